"""Everything that a long run of the node roma is judged by, heard from another process."""

from dataclasses import dataclass, field
import threading
from types import TracebackType

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import String

from ..msg import SpeakScore, Status, Utterance
from ..policy.instructions import InstructionKind
from .conversions import time_to_ns
from .qos import latched
from .side import SideNode

#: How long the node may take to answer [s].
_ANSWER_S = 60.0


@dataclass
class Heard:
    """
    What was heard so far.

    :param unit_indices: of the units that were scored, each once, as they came.
    :param unit_flags: of the same units.
    :param score_latencies_ms: from the end of each of these units to its score's arrival [ms].
    :param utterance_latencies_ms: to the arrival of an utterance's first segment, by kind [ms].
    :param status: the newest; None: none yet.
    :param begin: what it was when :meth:`StreamListener.mark_begin` was called.
    :param begin_units: units that were scored by then.
    :param problems: how often each diagnostic was not OK, and its last words, by its name.
    :param counters: the newest counters of each device, by the name of its status.
    """

    unit_indices: list[int] = field(default_factory=list)
    unit_flags: list[int] = field(default_factory=list)
    score_latencies_ms: list[float] = field(default_factory=list)
    utterance_latencies_ms: dict[str, list[float]] = field(default_factory=dict)
    status: Status | None = None
    begin: Status | None = None
    begin_units: int = 0
    problems: dict[str, tuple[int, str]] = field(default_factory=dict)
    counters: dict[str, dict[str, str]] = field(default_factory=dict)


class StreamListener:
    """
    Listens to the node roma within ``with``, on a thread of its own, and asks it.

    :param real_time: stamps are of this machine's clock, so that arrival counts; else the
        node's own latencies do, which are in the stream's time.
    """

    def __init__(self, *, real_time: bool = True) -> None:
        self.heard = Heard()
        self.lock = threading.Lock()  #: of all that was heard
        self._real_time = real_time
        self._side = SideNode('listener')
        self._node: Node | None = None

    def __enter__(self) -> 'StreamListener':
        self._node = node = self._side.__enter__()
        subscribe = node.create_subscription
        subscribe(Status, 'roma/status', self._on_status, latched())
        subscribe(SpeakScore, 'roma/speak_score', self._on_score, qos_profile_sensor_data)
        subscribe(Utterance, 'roma/utterance', self._on_utterance, 10)
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._question = node.create_publisher(String, 'question', 10)
        self._transitions = node.create_client(ChangeState, 'roma/change_state')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._side.__exit__(kind, error, traceback)

    @property
    def node(self) -> Node:
        """Return the node by which this listens, while it does."""
        assert self._node is not None
        return self._node

    @property
    def state(self) -> int:
        """Return the node's state, one of ``Status.STATE_*``; 0: it is not known yet."""
        with self.lock:
            return 0 if self.heard.status is None else self.heard.status.state

    @property
    def is_active(self) -> bool:
        """Tell whether the node runs the model."""
        return self.state == Status.STATE_ACTIVE

    def mark_begin(self) -> None:
        """Note what was before the part of the stream that counts."""
        with self.lock:
            self.heard.begin = self.heard.status
            self.heard.begin_units = len(self.heard.unit_indices)

    def ask(self, question: str) -> None:
        """Type a question."""
        self._question.publish(String(data=question))

    def change_state(self, transition: str) -> None:
        """
        Let the node make a transition, and wait until it has.

        :param transition: ``configure``, ``activate``, ``deactivate`` or ``cleanup``.
        :raises RuntimeError: when the node does not answer, or refuses.
        """
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f'TRANSITION_{transition.upper()}')
        answer = None
        if self._transitions.wait_for_service(_ANSWER_S):
            answer = self._transitions.call(request, timeout_sec=_ANSWER_S)
        if answer is None or not answer.success:
            raise RuntimeError(f'the node roma did not {transition}')

    def _latency_ms(self, message: SpeakScore | Utterance) -> float:
        if not self._real_time:
            return float(message.latency_ms)
        now_ns = self.node.get_clock().now().nanoseconds
        return (now_ns - time_to_ns(message.header.stamp)) / 1e6

    def _on_status(self, message: Status) -> None:
        with self.lock:
            last = self.heard.status
            # What is told after the stream's end has no figures.
            if last is None or message.units or not last.units:
                self.heard.status = message

    def _on_score(self, message: SpeakScore) -> None:
        with self.lock:
            heard = self.heard
            if heard.unit_indices[-1:] == [message.unit_index]:
                return  # of another instruction
            heard.unit_indices.append(message.unit_index)
            heard.unit_flags.append(message.unit_flags)
            heard.score_latencies_ms.append(self._latency_ms(message))

    def _on_utterance(self, message: Utterance) -> None:
        if message.sequence:
            return
        name = InstructionKind(message.kind).name.lower()
        with self.lock:
            latencies_ms = self.heard.utterance_latencies_ms.setdefault(name, [])
            latencies_ms.append(self._latency_ms(message))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self.lock:
            for status in message.status:
                if status.level != b'\x00':
                    count, _ = self.heard.problems.get(status.name, (0, ''))
                    self.heard.problems[status.name] = (count + 1, status.message)
                if status.name.endswith(': device'):
                    self.heard.counters[status.name] = {v.key: v.value for v in status.values}
