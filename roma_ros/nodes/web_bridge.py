"""Between a running roma node and its page in the browser: a view out, commands in."""

from dataclasses import asdict
import math
import threading
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.node import Node
from rclpy.task import Future

from ..action import Ask
from ..msg import Instruction
from ..srv import AddInstruction, RemoveInstruction
from .ask_client import AskClient
from .newest_image import NewestImage
from .watching import View, Watcher

#: How long the node may take to answer [s]; an answer in words takes as long as it is spoken.
_SERVICE_S, _ANSWER_S = 30.0, 120.0
_INSTRUCTION_KINDS = {
    'narrate': Instruction.KIND_NARRATION,
    'alert': Instruction.KIND_ALERT,
}


class CommandError(ValueError):
    """The node did not do what was asked; the message says why."""


class WebBridge:
    """
    All that the page shows and does, as plain data; any thread may call.

    :param node: whose executor serves what is subscribed to.
    :param roma: full name of the roma node.
    :param image_topic: topic of the picture; empty: the camera that the node names in its
        diagnostics.
    :raises ValueError: when OpenCV is missing.
    """

    def __init__(self, node: Node, roma: str, *, image_topic: str = '') -> None:
        self._node = node
        self._watcher = Watcher(node, roma)
        self._image = NewestImage(node)
        self._following = threading.Lock()
        self._image_topic = image_topic
        self._add = node.create_client(AddInstruction, f'{roma}/add_instruction')
        self._remove = node.create_client(RemoveInstruction, f'{roma}/remove_instruction')
        self._ask = AskClient(node, f'{roma}/ask')

    def view(self) -> dict[str, Any]:
        """Return what is known of the node, ready for JSON."""
        view = self._watcher.view()
        with self._following:
            for topic in [self._image_topic] if self._image_topic else _topics(view):
                self._image.follow(topic)
                if self._image.topic == topic:
                    break
        status = view.status
        return {
            'node': view.node,
            'present': view.present,
            'others': view.others,
            'state': view.state,
            'is_old': view.is_old,
            'detail': status.detail if status else '',
            'units': status.units if status else 0,
            'units_dropped': status.units_dropped if status else 0,
            'queue_length': status.queue_length if status else 0,
            'queue_capacity': status.queue_capacity if status else 0,
            'latency_ms': _finite(view.latency_ms),
            'instructions': [
                {'id': i.id, 'kind': i.kind, 'text': i.text, 'threshold': _finite(i.threshold)}
                for i in (status.instructions if status else ())
            ],
            'series': [
                {
                    'id': s.instruction_id,
                    'kind': s.kind,
                    'text': s.text,
                    'points': [
                        [p.unit_index, _finite(p.probability), _finite(p.threshold), p.triggered]
                        for p in s.points
                    ],
                }
                for s in view.series
            ],
            'transcript': [asdict(said) for said in view.transcript],
            'diagnoses': [
                {'name': d.name, 'level': d.level, 'message': d.message} for d in view.diagnoses
            ],
            'image_topic': self._image.topic,
        }

    def jpeg(self) -> bytes | None:
        """
        Return the newest picture of the camera; None where there is no new one.

        :raises ValueError: when it cannot be decoded.
        """
        return self._image.jpeg()

    def add_instruction(self, kind: str, text: str, threshold: float) -> str:
        """
        Add a standing instruction.

        :param kind: ``narrate`` or ``alert``.
        :param text: the wish itself.
        :param threshold: 0..1; 0: the preset of the kind.
        :return: the name that it has now.
        :raises CommandError: when the node refuses it, or is not there.
        """
        if kind not in _INSTRUCTION_KINDS:
            raise CommandError(f'kind is {kind!r}, expected narrate or alert')
        request = AddInstruction.Request(
            kind=_INSTRUCTION_KINDS[kind], text=text, threshold=threshold
        )
        return str(self._call(self._add, request).id)

    def remove_instruction(self, instruction_id: str) -> None:
        """
        Remove a standing instruction.

        :raises CommandError: when there is none of that name, or the node is not there.
        """
        self._call(self._remove, RemoveInstruction.Request(id=instruction_id))

    def ask(self, question: str) -> str:
        """
        Ask a question and wait for the answer, which the transcript shows as it comes.

        :return: the answer; empty: the node had nothing to say.
        :raises CommandError: when the node refuses it, or is not there.
        """
        if not self._ask.server_is_ready():
            raise CommandError('the node takes no questions now; is it running and active?')
        goal = self._wait(self._ask.send_goal_async(Ask.Goal(question=question)), _SERVICE_S)
        if not goal.accepted:
            raise CommandError('the node takes no questions now; is it active?')
        try:
            response = self._wait(goal.get_result_async(), _ANSWER_S)
        except CommandError:
            goal.cancel_goal_async()
            raise
        if response.status == GoalStatus.STATUS_ABORTED:
            raise CommandError(response.result.message or 'the answer was broken off')
        return str(response.result.answer)

    def _call(self, client: Any, request: Any) -> Any:
        if not client.service_is_ready():
            raise CommandError('the node takes no instructions now; is it running and active?')
        response = self._wait(client.call_async(request), _SERVICE_S)
        if not response.success:
            raise CommandError(response.message)
        return response

    def _wait(self, future: Future, timeout_s: float) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout_s):
            future.cancel()
            raise CommandError(f'the node did not answer within {timeout_s:.0f} s')
        return future.result()


def _topics(view: View) -> list[str]:
    """Return the topics that the node names in its diagnostics; one of them is its camera's."""
    own = f'{view.node.rpartition("/")[2]}: '
    return [
        value
        for diagnosis in view.diagnoses
        if diagnosis.name.startswith(own)
        for key, value in diagnosis.values
        if key == 'topic' and value
    ]


def _finite(number: float) -> float:
    """Return a number that JSON can hold."""
    return round(number, 4) if math.isfinite(number) else 0.0
