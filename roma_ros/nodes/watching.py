"""What there is to see of a running roma node: its newest scores, words, status, diagnostics."""

from collections import deque
from dataclasses import dataclass, field, replace
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from ..msg import SpeakScore, Status, Utterance
from .qos import latched

#: Units and utterances that are kept.
MAX_UNITS, MAX_UTTERANCES = 120, 100
#: Longest text of an utterance that is kept [characters].
_MAX_TEXT_CHARS = 2_000
#: Most instructions and diagnostics that are kept; nobody has so many, unless by mistake.
_MAX_SERIES, _MAX_DIAGNOSES = 64, 64
#: Units without a score after which an instruction counts as removed.
_REMOVED_UNITS = 5
#: Silence after which a diagnosis counts as gone, and a status as old [s].
_OLD_S = 5.0

#: Names of ``Status.state`` and of ``Utterance.kind``.
STATES = {
    Status.STATE_UNCONFIGURED: 'unconfigured',
    Status.STATE_LOADING: 'loading',
    Status.STATE_INACTIVE: 'inactive',
    Status.STATE_ACTIVE: 'active',
    Status.STATE_ERROR: 'error',
}
KINDS = {
    Utterance.KIND_NARRATION: 'narration',
    Utterance.KIND_ALERT: 'alert',
    Utterance.KIND_ANSWER: 'answer',
}


@dataclass(frozen=True)
class Point:
    """The speak probability of one unit for one instruction."""

    unit_index: int
    probability: float
    threshold: float
    triggered: bool


@dataclass(frozen=True)
class Series:
    """
    The newest points of one instruction.

    :param instruction_id: its name.
    :param kind: ``narration``, ``alert`` or ``answer``.
    :param text: the wish in words; empty where the status does not tell.
    :param points: oldest first; not empty.
    """

    instruction_id: str
    kind: str
    text: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Said:
    """
    An utterance as far as it is known.

    :param utterance_id: its running number.
    :param kind: ``narration``, ``alert`` or ``answer``.
    :param instruction_id: what it belongs to.
    :param text: all segments together.
    :param unit_index: unit of its first segment: seconds since the stream's begin.
    :param final: whether it is over.
    """

    utterance_id: int
    kind: str
    instruction_id: str
    text: str
    unit_index: int
    final: bool


@dataclass(frozen=True)
class Diagnosis:
    """One diagnostic status; ``level`` is 0 (ok), 1 (warning), 2 (error) or 3 (stale)."""

    name: str
    level: int
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class View:
    """
    All that is known at one moment.

    :param node: full name of the node that is watched.
    :param present: whether such a node is there now.
    :param others: full names of other roma nodes, where this one is not there.
    :param status: its newest status; None before the first.
    :param is_old: the node is there, but its last status is old.
    :param series: one for each instruction, in the node's order.
    :param transcript: oldest first.
    :param diagnoses: worst first.
    :param latency_ms: from the newest unit's end to its score's publication [ms]; 0 before it.
    """

    node: str
    present: bool = False
    others: tuple[str, ...] = ()
    status: Status | None = None
    is_old: bool = False
    series: tuple[Series, ...] = ()
    transcript: tuple[Said, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    latency_ms: float = 0.0

    @property
    def state(self) -> str:
        """Return the state of the node in a word; empty before the first status."""
        return '' if self.status is None else STATES.get(self.status.state, '?')


@dataclass
class Notes:
    """What the messages of a node tell, kept within bounds; knows no topic."""

    _status: Status | None = None
    _status_s: float = 0.0
    _points: dict[str, deque[Point]] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict)
    _newest_unit: int = -1
    _latency_ms: float = 0.0
    _said: deque[Said] = field(default_factory=lambda: deque(maxlen=MAX_UTTERANCES))
    _diagnoses: dict[str, tuple[float, Diagnosis]] = field(default_factory=dict)

    def add_status(self, message: Status, now_s: float) -> None:
        """Take a status; ``now_s`` is a steady time [s]."""
        self._status, self._status_s = message, now_s

    def add_score(self, message: SpeakScore) -> None:
        """Take a score; one of an earlier unit than the last tells of a new stream."""
        if message.unit_index < self._newest_unit:
            self._points.clear()
        self._newest_unit = message.unit_index
        self._latency_ms = message.latency_ms
        name = message.instruction_id
        if name not in self._points and len(self._points) >= _MAX_SERIES:
            return
        points = self._points.setdefault(name, deque(maxlen=MAX_UNITS))
        points.append(
            Point(message.unit_index, message.probability, message.threshold, message.triggered)
        )
        self._kinds[name] = KINDS.get(message.kind, '?')
        for other in list(self._points):
            if self._points[other][-1].unit_index < message.unit_index - _REMOVED_UNITS:
                del self._points[other], self._kinds[other]

    def add_utterance(self, message: Utterance) -> None:
        """Take a segment, and put it behind those of the same utterance."""
        last = self._said[-1] if self._said else None
        if message.sequence > 0 and last is not None and last.utterance_id == message.id:
            text = (last.text + message.text)[:_MAX_TEXT_CHARS]
            self._said[-1] = replace(last, text=text, final=message.final)
            return
        self._said.append(
            Said(
                utterance_id=message.id,
                kind=KINDS.get(message.kind, '?'),
                instruction_id=message.instruction_id,
                text=message.text[:_MAX_TEXT_CHARS],
                unit_index=message.unit_index,
                final=message.final,
            )
        )

    def add_diagnostics(self, message: DiagnosticArray, now_s: float) -> None:
        """Take diagnostics; ``now_s`` is a steady time [s]."""
        for status in message.status:
            if status.name in self._diagnoses or len(self._diagnoses) < _MAX_DIAGNOSES:
                values = tuple((value.key, value.value) for value in status.values)
                level = int.from_bytes(status.level, 'little')
                diagnosis = Diagnosis(status.name, level, status.message, values)
                self._diagnoses[status.name] = now_s, diagnosis

    def view(self, node: str, *, present: bool, others: tuple[str, ...], now_s: float) -> View:
        """Return all that is known; ``now_s`` is a steady time [s]."""
        status = self._status
        texts = {} if status is None else {i.id: i.text for i in status.instructions}
        for name in [n for n, (seen_s, _) in self._diagnoses.items() if now_s - seen_s > _OLD_S]:
            del self._diagnoses[name]
        return View(
            node=node,
            present=present,
            others=others,
            status=status,
            is_old=present and status is not None and now_s - self._status_s > _OLD_S,
            series=tuple(
                Series(name, self._kinds[name], texts.get(name, ''), tuple(points))
                for name, points in self._points.items()
            ),
            transcript=tuple(self._said),
            diagnoses=tuple(
                sorted((d for _, d in self._diagnoses.values()), key=lambda d: (-d.level, d.name))
            ),
            latency_ms=self._latency_ms,
        )


class Watcher:
    """
    Subscribes to what a roma node publishes.

    :param node: whose executor serves the subscriptions, on any thread.
    :param roma: full name of the node to watch, as in ``/roma``.
    """

    def __init__(self, node: Node, roma: str) -> None:
        self._node = node
        self._roma = roma
        self._notes = Notes()
        self._lock = threading.Lock()
        scores = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        subscribe = node.create_subscription
        subscribe(Status, f'{roma}/status', self._on_status, latched())
        subscribe(SpeakScore, f'{roma}/speak_score', self._on_score, scores)
        subscribe(Utterance, f'{roma}/utterance', self._on_utterance, 10)
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def view(self) -> View:
        """Return what is known now; any thread may ask."""
        present = self._node.count_publishers(f'{self._roma}/status') > 0
        others = () if present else self._others()
        with self._lock:
            return self._notes.view(
                self._roma, present=present, others=others, now_s=time.monotonic()
            )

    def _others(self) -> tuple[str, ...]:
        return tuple(
            topic.removesuffix('/status')
            for topic, types in sorted(self._node.get_topic_names_and_types())
            if 'roma_ros/msg/Status' in types
            and topic.endswith('/status')
            and self._node.count_publishers(topic) > 0
        )

    def _on_status(self, message: Status) -> None:
        with self._lock:
            self._notes.add_status(message, time.monotonic())

    def _on_score(self, message: SpeakScore) -> None:
        with self._lock:
            self._notes.add_score(message)

    def _on_utterance(self, message: Utterance) -> None:
        with self._lock:
            self._notes.add_utterance(message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._lock:
            self._notes.add_diagnostics(message, time.monotonic())
