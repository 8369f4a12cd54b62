"""The ``~/ask`` action: a typed question in, its answer segment by segment."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
import threading

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from ..action import Ask
from ..runtime.results import Segment
from ..runtime.worker import InferenceWorker

#: Questions that may wait for their answers; more are rejected.
MAX_PENDING = 8


@dataclass(eq=False)
class _Pending:
    """A goal whose answer is not complete."""

    goal: ServerGoalHandle
    question_id: str = ''
    text: str = ''
    utterance_id: int = 0


class AskServer:
    """
    Serves questions while there is a worker to answer them, and rejects them else.

    It stands as long as the node does: a goal ends in a task of the executor, and an action
    server that is destroyed before that task runs leaves its client without a result. Goals are
    not executed until their answer is complete: a waiting coroutine would keep the executor
    spinning (rclpy polls unfinished tasks), and a waiting thread would want one each.

    :param node: owns the action.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._worker: InferenceWorker | None = None
        self._pending: list[_Pending] = []
        self._lock = threading.Lock()
        self._server = ActionServer(
            node,
            Ask,
            '~/ask',
            execute_callback=lambda goal: Ask.Result(),
            goal_callback=self._admit,
            handle_accepted_callback=self._ask,
            cancel_callback=self._cancel,
        )

    def begin(self, worker: InferenceWorker) -> None:
        """Have questions answered by a worker."""
        self._worker = worker

    def end(self, message: str) -> None:
        """Answer no more questions, and abort those that wait, with the reason."""
        self._worker = None
        self.abort_all(message)

    def take(self, segment: Segment) -> None:
        """Hand on a segment that may belong to a question; called on the worker's thread."""
        pending = self._find(lambda p: p.question_id == segment.instruction_id)
        if pending is None:
            return
        pending.text += segment.text
        pending.utterance_id = segment.utterance_id
        pending.goal.publish_feedback(Ask.Feedback(text=segment.text, sequence=segment.sequence))
        if segment.final:
            self._finish(pending)

    def abort_all(self, message: str) -> None:
        """Abort what is not answered, with the reason."""
        with self._lock:
            unanswered = list(self._pending)
        for pending in unanswered:
            self._finish(pending, message)

    def destroy(self) -> None:
        """End the action."""
        self._server.destroy()

    def _admit(self, request: Ask.Goal) -> GoalResponse:
        reason = ''
        if self._worker is None:
            reason = 'the node is not active'
        elif len(self._pending) >= MAX_PENDING:
            reason = f'{MAX_PENDING} questions wait for their answers already'
        if reason:
            self._node.get_logger().warning(f'rejected a question: {reason}')
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _ask(self, goal: ServerGoalHandle) -> None:
        pending = _Pending(goal)
        with self._lock:
            self._pending.append(pending)
        worker = self._worker
        if worker is None:  # deactivated since the goal was admitted
            self._finish(pending, 'the node is not active')
            return
        asked = worker.call(lambda session: session.ask(goal.request.question))
        asked.add_done_callback(lambda future: self._asked(pending, future))

    def _asked(self, pending: _Pending, future: Future[str]) -> None:
        try:
            pending.question_id = future.result()
        except (ValueError, CancelledError) as error:
            self._finish(pending, message=str(error) or 'the node is not active')

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        pending, worker = self._find(lambda p: p.goal is goal), self._worker
        if pending is not None and worker is not None:
            question_id = pending.question_id
            taken_back = worker.call(lambda session: session.withdraw(question_id))
            taken_back.add_done_callback(lambda _: self._finish(pending))
        return CancelResponse.ACCEPT

    def _find(self, matches: Callable[[_Pending], bool]) -> _Pending | None:
        with self._lock:
            return next((p for p in self._pending if matches(p)), None)

    def _finish(self, pending: _Pending, message: str = '') -> None:
        """End a goal on the executor's thread; whoever comes second is too late."""
        with self._lock:
            if pending not in self._pending:
                return
            self._pending.remove(pending)
        pending.goal.execute(lambda goal: _conclude(goal, pending, message))


def _conclude(goal: ServerGoalHandle, pending: _Pending, message: str) -> Ask.Result:
    if goal.is_cancel_requested:
        goal.canceled()
    elif message:
        goal.abort()
    else:
        goal.succeed()
    return Ask.Result(answer=pending.text, utterance_id=pending.utterance_id, message=message)
