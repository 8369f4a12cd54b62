"""Looking on while the roma node works, from another process."""

from dataclasses import dataclass, replace
import threading
import time
from types import TracebackType

from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from ..msg import SpeakScore, Status, Utterance
from .qos import latched
from .side import SideNode

_NO_INPUT = SpeakScore.UNIT_NO_VIDEO | SpeakScore.UNIT_NO_AUDIO


@dataclass(frozen=True)
class StreamView:
    """
    What the observer knows at one moment.

    :param state: ``Status.STATE_*``; 0 before the first status.
    :param detail: the status's own words.
    :param units: units that were scored and had any input.
    :param last_unit_s: monotonic time at which the newest of them was seen; 0 before the first.
    :param stream_s: length of the stream up to the end of the newest of them [s].
    :param probability: highest speak probability of the newest unit, 0..1.
    :param threshold: threshold of the same instruction.
    :param utterance: the newest utterance's text so far.
    :param latency_p95_ms: as in the status.
    :param queue_length: units that wait, as in the status.
    """

    state: int = 0
    detail: str = ''
    units: int = 0
    last_unit_s: float = 0.0
    stream_s: int = 0
    probability: float = 0.0
    threshold: float = 0.0
    utterance: str = ''
    latency_p95_ms: float = 0.0
    queue_length: int = 0

    @property
    def active(self) -> bool:
        """Tell whether the node runs the model."""
        return self.state == Status.STATE_ACTIVE

    @property
    def failed(self) -> bool:
        """Tell whether the node reports an error, or why it cannot go on."""
        stuck = self.state in (Status.STATE_UNCONFIGURED, Status.STATE_INACTIVE)
        return self.state == Status.STATE_ERROR or (stuck and self.detail != '')


class StreamObserver:
    """
    Follow the roma node in a thread of its own, with a ROS context of its own, and ask it.

    :param node_name: name of the node to follow.
    """

    def __init__(self, node_name: str = 'roma') -> None:
        self._name = node_name
        self._side = SideNode('observer')
        self._view = StreamView()
        self._lock = threading.Lock()
        self._newest_unit = -1
        self._utterance_id = 0

    def __enter__(self) -> 'StreamObserver':
        node = self._side.__enter__()
        scores = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        subscribe = node.create_subscription
        subscribe(Status, f'{self._name}/status', self._on_status, latched())
        subscribe(SpeakScore, f'{self._name}/speak_score', self._on_score, scores)
        subscribe(Utterance, f'{self._name}/utterance', self._on_utterance, 10)
        self._question = node.create_publisher(String, 'question', 10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._side.__exit__(kind, error, traceback)

    @property
    def view(self) -> StreamView:
        """Return what is known now."""
        with self._lock:
            return self._view

    def ask(self, question: str) -> None:
        """Type a question."""
        self._question.publish(String(data=question))

    def _on_status(self, message: Status) -> None:
        with self._lock:
            self._view = replace(
                self._view,
                state=message.state,
                detail=message.detail,
                latency_p95_ms=message.unit_latency_p95_ms,
                queue_length=message.queue_length,
            )

    def _on_score(self, message: SpeakScore) -> None:
        if message.unit_flags & _NO_INPUT == _NO_INPUT:
            return
        with self._lock:
            new = message.unit_index != self._newest_unit
            self._newest_unit = message.unit_index
            if new or message.probability > self._view.probability:
                self._view = replace(
                    self._view,
                    units=self._view.units + new,
                    last_unit_s=time.monotonic(),
                    stream_s=message.unit_index + 1,  # a unit is a second
                    probability=message.probability,
                    threshold=message.threshold,
                )

    def _on_utterance(self, message: Utterance) -> None:
        with self._lock:
            before = self._view.utterance if message.id == self._utterance_id else ''
            self._utterance_id = message.id
            self._view = replace(self._view, utterance=before + message.text)
