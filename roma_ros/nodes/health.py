"""How the node is doing: status, diagnostics and the figures behind them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from std_msgs.msg import Header

from .. import msg
from ..policy.instructions import Instruction
from ..runtime.worker import WorkerCounters
from ..units.synchronizer import SynchronizerCounters
from .messages import make_instruction

#: Units that latencies are taken over.
RECENT_UNITS = 600
#: Silence of a topic from which it is an error [s].
SILENCE_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """
    Everything that status and diagnostics tell of, at one moment.

    :param state: one of ``Status.STATE_*``.
    :param detail: the reason in an error, else what is going on.
    :param model: the model's folder.
    :param engine: its name.
    :param device: where it runs.
    :param instructions: what stands, each with the threshold in force.
    :param inputs: counters of the synchronizer; None while the node is not active.
    :param worker: counters of the inference thread; None likewise.
    :param queue_capacity: units that may wait.
    :param utterances: utterances since activation.
    :param highlights: highlights since activation.
    :param cache_tokens: tokens in the fullest cache.
    :param cache_capacity: tokens that fit into it.
    :param image_topic: full name of the image topic.
    :param audio_topic: full name of the audio topic.
    :param image_silence_s: time since the last image, or since activation [s].
    :param audio_silence_s: likewise for audio [s].
    :param image_problems: what is wrong with the images, in words.
    :param audio_problems: likewise for audio.
    :param held_back: utterances that were not published, for quiet or a minimum interval.
    :param quiet: whether narrations are held back.
    :param error: the last error of the inference thread, since the last snapshot.
    """

    state: int
    detail: str = ''
    model: str = ''
    engine: str = ''
    device: str = ''
    instructions: Sequence[tuple[Instruction, float]] = ()
    inputs: SynchronizerCounters | None = None
    worker: WorkerCounters | None = None
    queue_capacity: int = 0
    utterances: int = 0
    highlights: int = 0
    cache_tokens: int = 0
    cache_capacity: int = 0
    image_topic: str = ''
    audio_topic: str = ''
    image_silence_s: float = 0.0
    audio_silence_s: float = 0.0
    image_problems: Sequence[str] = ()
    audio_problems: Sequence[str] = ()
    held_back: int = 0
    quiet: bool = False
    error: str = ''


@dataclass
class Health:
    """The figures of the recent units, and the messages that tell of them."""

    _compute_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_UNITS))
    _latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_UNITS))
    _last: Snapshot | None = None

    def add_unit(self, *, compute_ms: float, latency_ms: float) -> None:
        """
        Take the figures of one unit; called on the worker's thread.

        :param compute_ms: processing, encoding, step and decoding [ms].
        :param latency_ms: from the unit's end to its score's publication [ms].
        """
        self._compute_ms.append(compute_ms)
        self._latency_ms.append(latency_ms)

    def make_status(self, snapshot: Snapshot, stamp: Time) -> msg.Status:
        """Make the status message."""
        status = msg.Status(
            header=Header(stamp=stamp),
            state=snapshot.state,
            detail=snapshot.detail,
            model=snapshot.model,
            engine=snapshot.engine,
            device=snapshot.device,
            instructions=[
                make_instruction(instruction, threshold)
                for instruction, threshold in snapshot.instructions
            ],
            utterances=snapshot.utterances,
            highlights=snapshot.highlights,
            queue_capacity=snapshot.queue_capacity,
            cache_tokens=snapshot.cache_tokens,
            cache_capacity=snapshot.cache_capacity,
        )
        status.unit_compute_p50_ms, status.unit_compute_p95_ms = _percentiles(self._compute_ms)
        status.unit_latency_p50_ms, status.unit_latency_p95_ms = _percentiles(self._latency_ms)
        if snapshot.worker is not None:
            status.units = snapshot.worker.units
            status.units_dropped = snapshot.worker.units_dropped
            status.queue_length = snapshot.worker.queue_length
        if snapshot.inputs is not None:
            inputs = snapshot.inputs
            status.frames_received = inputs.frames_received
            status.frames_rejected = inputs.frames_rejected
            status.frames_late = inputs.frames_late
            status.audio_samples_received = inputs.audio_samples_received
            status.audio_chunks_rejected = inputs.audio_chunks_rejected
            status.audio_chunks_late = inputs.audio_chunks_late
            status.audio_gaps = inputs.audio_gaps
            status.clock_jumps = inputs.clock_jumps
        return status

    def make_diagnostics(self, snapshot: Snapshot, stamp: Time, node: str) -> DiagnosticArray:
        """
        Make the diagnostics (REP 107) of what changed since the last call.

        :param node: the node's name, before each status' own.
        """
        last, self._last = self._last, snapshot
        statuses = [_model_status(snapshot)]
        if snapshot.inputs is not None and snapshot.worker is not None:
            if last is None or last.inputs is None or last.worker is None:
                last = snapshot
            assert last.inputs is not None
            statuses += [
                _input_status(
                    'camera',
                    snapshot.image_topic,
                    snapshot.image_silence_s,
                    snapshot.image_problems,
                    snapshot.inputs,
                    last.inputs,
                    counted='frames',
                    also=('clock_jumps',),
                ),
                _input_status(
                    'microphone',
                    snapshot.audio_topic,
                    snapshot.audio_silence_s,
                    snapshot.audio_problems,
                    snapshot.inputs,
                    last.inputs,
                    counted='audio_chunks',
                    also=('audio_samples_received', 'audio_gaps'),
                ),
                self._inference_status(snapshot, last),
            ]
        for status in statuses:
            status.name = f'{node}: {status.name}'
            status.hardware_id = node
        return DiagnosticArray(header=Header(stamp=stamp), status=statuses)

    def _inference_status(self, now: Snapshot, last: Snapshot) -> DiagnosticStatus:
        assert now.worker is not None
        assert last.worker is not None
        dropped = now.worker.units_dropped - last.worker.units_dropped
        p50, p95 = _percentiles(self._latency_ms)
        status = DiagnosticStatus(
            name='inference', level=DiagnosticStatus.OK, message='keeps up with the stream'
        )
        if now.error:
            status.level, status.message = DiagnosticStatus.ERROR, f'a unit failed: {now.error}'
        elif dropped:
            status.level = DiagnosticStatus.WARN
            status.message = (
                f'dropped {dropped} units: the model is slower than the stream; use a smaller '
                'model, fewer instructions or a faster device'
            )
        return _with_values(
            status,
            units=now.worker.units,
            units_dropped=now.worker.units_dropped,
            units_failed=now.worker.units_failed,
            queue=f'{now.worker.queue_length} of {now.queue_capacity}',
            unit_latency_p50_ms=f'{p50:.0f}',
            unit_latency_p95_ms=f'{p95:.0f}',
            cache=f'{now.cache_tokens} of {now.cache_capacity} tokens',
            utterances=now.utterances,
            utterances_held_back=now.held_back,
            quiet=now.quiet,
            highlights=now.highlights,
        )


def _model_status(now: Snapshot) -> DiagnosticStatus:
    names = {
        msg.Status.STATE_UNCONFIGURED: 'unconfigured',
        msg.Status.STATE_LOADING: 'loading',
        msg.Status.STATE_INACTIVE: 'inactive',
        msg.Status.STATE_ACTIVE: 'active',
        msg.Status.STATE_ERROR: 'error',
    }
    # A detail where nothing goes on is why it does not.
    stuck = now.state in (msg.Status.STATE_UNCONFIGURED, msg.Status.STATE_INACTIVE)
    failed = now.state == msg.Status.STATE_ERROR or (stuck and now.detail != '')
    status = DiagnosticStatus(
        name='model',
        level=DiagnosticStatus.ERROR if failed else DiagnosticStatus.OK,
        message=now.detail or names[now.state],
    )
    return _with_values(
        status, state=names[now.state], model=now.model, engine=now.engine, device=now.device
    )


def _input_status(
    name: str,
    topic: str,
    silence_s: float,
    problems: Sequence[str],
    now: SynchronizerCounters,
    last: SynchronizerCounters,
    *,
    counted: str,
    also: Sequence[str],
) -> DiagnosticStatus:
    """
    Judge one sensor.

    :param problems: what is wrong with its messages, in words.
    :param counted: what its counters are called, before ``_received``, ``_rejected``, ``_late``.
    :param also: more counters to show.
    """
    names = [f'{counted}_received', f'{counted}_rejected', f'{counted}_late', *also]
    values = {counter: getattr(now, counter) for counter in names}
    rejected, late = (values[c] - getattr(last, c) for c in names[1:3])
    status = DiagnosticStatus(name=name, level=DiagnosticStatus.OK, message='messages arrive')
    if silence_s > SILENCE_S:
        status.level = DiagnosticStatus.ERROR
        status.message = '; '.join(problems) or (
            f'nothing on {topic} for {silence_s:.0f} s; is its driver running, and does '
            f"'ros2 topic info -v {topic}' show a publisher of the right type?"
        )
    elif rejected:
        status.level = DiagnosticStatus.WARN
        status.message = f'{rejected} messages could not be decoded; the log names the reason'
    elif late:
        status.level = DiagnosticStatus.WARN
        status.message = (
            f'{late} messages came after their unit was closed; raise patience_s, or look for '
            'stamps that are not capture time'
        )
    elif problems:
        status.level, status.message = DiagnosticStatus.WARN, '; '.join(problems)
    return _with_values(status, topic=topic, **values)


def _with_values(status: DiagnosticStatus, **values: object) -> DiagnosticStatus:
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return status


def _percentiles(values: deque[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile; 0 without values."""
    if not values:
        return 0.0, 0.0
    p50, p95 = np.percentile(list(values), (50, 95))
    return float(p50), float(p95)
