"""The synchronizer: frames and audio chunks in, one unit a second out."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
import logging

import numpy as np
import numpy.typing as npt

from .audio import to_mono
from .audio_timeline import AudioTimeline
from .audio_track import ChunkCounts
from .capture_clock import CaptureClock
from .stamp_gate import Admission, Message, StampGate
from .unit import MultimodalUnit, UNIT_NS, UnitFlag
from .video import FrameGrid, FrameSource

logger = logging.getLogger(__name__)

_FRAME, _AUDIO = 'frame', 'audio'
#: Messages of each input that are held while it is unclear which time they are of.
_CAPACITY = {_FRAME: 64, _AUDIO: 1024}
#: A rest of this length or less at the end of a stream is a codec's padding, not a unit [ns].
_PADDING_NS = 100_000_000


@dataclass(frozen=True)
class SynchronizerConfig:
    """How units are cut."""

    #: How long after a unit's end a lagging input is awaited [ns].
    patience_ns: int = 500_000_000
    #: How long the begin of a stream waits for an input that has not sent yet [ns]; above the
    #: length of an audio chunk.
    start_patience_ns: int = 3_000_000_000
    #: Stamps of an input that fall back by more than this mean that its clock was set back [ns];
    #: cameras deliver out of order by some frames, a looped clip is longer.
    reorder_ns: int = 1_000_000_000
    #: Stamps that run ahead by more than this mean that the clock jumped; less is a gap [ns].
    clock_jump_ns: int = 5_000_000_000
    #: Begin of any unit [ns]; None = the first unit begins with the first frame or sample.
    origin_ns: int | None = None
    #: Inputs arrive in order of capture, as from a file: waiting for one that ended is not LATE.
    is_ordered: bool = False
    #: Wait for frames.
    expect_video: bool = True
    #: Wait for audio.
    expect_audio: bool = True
    #: Channel of the audio to use, from 0; None = the mean of all.
    audio_channel: int | None = None
    #: Added to frames' stamps, to make up for a camera's delay [ns].
    frame_offset_ns: int = 0
    #: Added to audio's stamps, to make up for a microphone's delay [ns].
    audio_offset_ns: int = 0

    def __post_init__(self) -> None:
        for name in ('patience_ns', 'start_patience_ns', 'reorder_ns', 'clock_jump_ns'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name} is {getattr(self, name)}, expected 0 or more')
        if self.clock_jump_ns < UNIT_NS:
            raise ValueError(
                f'clock_jump_ns is {self.clock_jump_ns}, expected {UNIT_NS} (one unit) or more'
            )
        if not (self.expect_video or self.expect_audio):
            raise ValueError('expect_video and expect_audio are both false; expect at least one')
        if self.audio_channel is not None and self.audio_channel < 0:
            raise ValueError(f'audio_channel is {self.audio_channel}, expected 0 or more, or None')


@dataclass
class SynchronizerCounters:
    """What came in, what went out, and what was lost, since the begin or the last reset."""

    units: int = 0  #: units that were emitted
    units_late: int = 0  #: units that patience closed
    frames_received: int = 0  #: frames that arrived
    frames_late: int = 0  #: frames that arrived after their unit was closed
    frames_rejected: int = 0  #: frames that could not be decoded, or whose stamp made no sense
    frames_repeated: int = 0  #: units in which one frame serves twice
    audio_samples_received: int = 0  #: samples per channel, at the source's rate
    audio_chunks_received: int = 0  #: chunks that arrived
    audio_chunks_late: int = 0  #: chunks that arrived after a unit that they belong to was closed
    audio_chunks_doubled: int = 0  #: chunks that had arrived before
    audio_chunks_rejected: int = 0  #: chunks that are malformed, or whose stamp made no sense
    audio_gaps: int = 0  #: spans without audio
    audio_gap_ns: int = 0  #: their total length
    clock_jumps: int = 0  #: jumps of the capture clock
    rest_ns: int = 0  #: what was too short for a unit at the end of the stream
    last_rejection: str = ''  #: why the newest rejected message was rejected


class UnitSynchronizer:
    """
    Cut what a camera and a microphone deliver into units, on a one-second grid of capture time.

    A unit is closed when audio is there up to its end and a frame at or after its last grid
    time, or when patience has run out. Units come in order and without end: once the first stamp
    is known, ``advance`` alone keeps them coming. Frames are chosen by ``FrameGrid``, audio is
    read from ``AudioTimeline``, and ``StampGate`` decides on stamps of another time; the grid
    starts anew when the capture clock jumps, and nowhere else. Memory is bounded whatever comes.

    Not thread-safe: call it under one lock or from one thread. ``on_unit`` is called from within.

    :param config: how units are cut.
    :param on_unit: called with each unit.
    """

    def __init__(
        self,
        config: SynchronizerConfig | None = None,
        *,
        on_unit: Callable[[MultimodalUnit], None],
    ) -> None:
        self.config = config or SynchronizerConfig()
        self._on_unit = on_unit
        self.reset()

    def reset(self) -> None:
        """Forget everything: what follows is a new stream."""
        config = self.config
        expected = [_FRAME] * config.expect_video + [_AUDIO] * config.expect_audio
        self._gate = StampGate(
            frozenset(expected),
            patience_ns=config.patience_ns,
            start_patience_ns=config.start_patience_ns,
            reorder_ns=config.reorder_ns,
            jump_ns=config.clock_jump_ns,
            capacity=_CAPACITY,
        )
        self._clock = CaptureClock(alive_ns=config.patience_ns, jump_ns=config.clock_jump_ns)
        self._counters = SynchronizerCounters()
        self._start_ns: int | None = None  # of the unit that is open
        self._newest_end_ns = 0  # end of the newest data
        self._has_jumped = False
        self._begin_ns = 0  # begin of the grid
        self._durations_ns: deque[int] = deque([0], maxlen=64)  # of the newest audio chunks
        self._gap_end_ns: int | None = None  # end of the unit before, if it ended in a gap
        self._frames = FrameGrid(0, on_corrupt=partial(self._reject, _FRAME))
        self._chunk_counts = ChunkCounts()
        self._audio = AudioTimeline(self._chunk_counts)

    @property
    def counters(self) -> SynchronizerCounters:
        """The counters as they are now."""
        return replace(
            self._counters,
            audio_chunks_late=self._chunk_counts.late,
            audio_chunks_doubled=self._chunk_counts.doubled,
        )

    def add_frame(self, stamp_ns: int, frame: FrameSource) -> None:
        """
        Take a frame.

        :param stamp_ns: capture time [ns].
        :param frame: uint8 ``[H, W, 3]`` RGB, kept until its unit is emitted; or a function that
            returns it, called only if the frame is chosen. A frame that is malformed, or whose
            function raises ValueError, is rejected, and the next nearest is used.
        """
        self._counters.frames_received += 1
        corrected_ns = stamp_ns + self.config.frame_offset_ns
        self._submit(Message(_FRAME, corrected_ns, 0, (stamp_ns, frame)))

    def add_audio(
        self,
        stamp_ns: int,
        samples: npt.NDArray[np.generic],
        *,
        rate_hz: int,
        first_sample: int | None = None,
    ) -> None:
        """
        Take an audio chunk; a malformed one is rejected.

        :param stamp_ns: capture time of its first sample [ns].
        :param samples: ``[n]`` or ``[n, channels]``; float -1..1, or integers at full scale.
        :param rate_hz: nominal sample rate [Hz].
        :param first_sample: the source's own number of the first sample, where it counts them:
            losses are then found exactly, however noisy the stamps.
        """
        try:
            mono = to_mono(samples, channel=self.config.audio_channel)
            if not 1000 <= rate_hz <= 1_000_000:
                raise ValueError(f'sample rate is {rate_hz} Hz, expected 1 kHz to 1 MHz')
        except ValueError as error:
            self.reject_audio(str(error))
            return
        self._counters.audio_chunks_received += 1
        self._counters.audio_samples_received += len(mono)
        duration_ns = len(mono) * UNIT_NS // rate_hz
        corrected_ns = stamp_ns + self.config.audio_offset_ns
        self._submit(Message(_AUDIO, corrected_ns, duration_ns, (mono, rate_hz, first_sample)))

    def reject_frame(self, reason: str) -> None:
        """Count a frame that never became one."""
        self._counters.frames_received += 1
        self._reject(_FRAME, reason)

    def reject_audio(self, reason: str) -> None:
        """Count an audio chunk that never became one."""
        self._counters.audio_chunks_received += 1
        self._reject(_AUDIO, reason)

    def advance(self, now_ns: int) -> None:
        """
        Let time pass, and close units whose patience has run out.

        :param now_ns: any clock that runs with the stamps, best the one they are taken from [ns].
        """
        self._clock.advance(now_ns)
        self._close_units()

    def flush(self) -> None:
        """
        Emit what is left at the end of a stream.

        The last, partial second becomes a unit too, with silence after its end; a rest of up to
        0.1 s is dropped and counted (codecs pad the last packet).
        """
        self._take(self._gate.release())
        self._flush_units()

    def _submit(self, message: Message) -> None:
        self._take(self._gate.admit(message, time_ns=self._clock.time_ns()))
        self._close_units()

    def _take(self, admission: Admission) -> None:
        for message in admission.dropped:
            self._reject(message.source, f'stamp {message.stamp_ns} ns is not of this time')
        if not admission.admitted:
            return
        if admission.is_jump:
            self._flush_units()
            self._counters.clock_jumps += 1
            self._has_jumped = True
            self._start_ns = None
            logger.warning(
                'The capture clock jumped from %d ns to %d ns: units start anew',
                self._newest_end_ns,
                admission.admitted[-1].stamp_ns,
            )
        if self._start_ns is None:
            self._start(min(message.stamp_ns for message in admission.admitted))
        for message in admission.admitted:
            self._add(message)

    def _start(self, stamp_ns: int) -> None:
        """Begin the grid with the unit in which ``stamp_ns`` lies."""
        if self.config.origin_ns is not None:
            stamp_ns -= (stamp_ns - self.config.origin_ns) % UNIT_NS
        self._begin_ns = self._start_ns = self._newest_end_ns = stamp_ns
        self._gap_end_ns = None
        self._clock.restart()
        self._frames = FrameGrid(stamp_ns, on_corrupt=partial(self._reject, _FRAME))
        self._audio = AudioTimeline(self._chunk_counts)

    def _add(self, message: Message) -> None:
        assert self._start_ns is not None
        self._clock.observe(message.source, message.end_ns)
        self._newest_end_ns = max(self._newest_end_ns, message.end_ns)
        if message.source == _AUDIO:
            mono, rate_hz, first_sample = message.content
            self._durations_ns.append(message.duration_ns)
            self._audio.add(message.stamp_ns, mono, rate_hz=rate_hz, first_sample=first_sample)
        elif message.stamp_ns < self._start_ns:
            self._counters.frames_late += 1
        else:
            source_stamp_ns, frame = message.content
            self._frames.add(message.stamp_ns, frame, source_stamp_ns=source_stamp_ns)

    def _close_units(self) -> None:
        """Emit the units that are complete or out of patience."""
        while self._start_ns is not None:
            time_ns = self._clock.time_ns()
            end_ns = self._start_ns + UNIT_NS
            if time_ns is None or time_ns < end_ns:
                return
            is_complete = self._has_passed(end_ns, time_ns)
            if not is_complete and time_ns < self._deadline_ns(end_ns):
                return
            self._emit(is_late=not is_complete and not self.config.is_ordered)

    def _has_passed(self, end_ns: int, time_ns: int) -> bool:
        """Say whether every expected input is through with the unit that ends at ``end_ns``."""
        given_up_ns = time_ns - self.config.patience_ns - self._chunk_ns
        if self.config.expect_audio and not self._audio.has_passed(
            end_ns, given_up_ns=given_up_ns
        ):
            return False
        return not self.config.expect_video or self._frames.has_passed(end_ns)

    def _deadline_ns(self, end_ns: int) -> int:
        """Return the capture time at which a unit is closed even if it is not complete."""
        deadline_ns = end_ns + self.config.patience_ns + self._chunk_ns
        has_begun = (self._audio.has_begun or not self.config.expect_audio) and (
            self._frames.newest_ns is not None or not self.config.expect_video
        )
        if has_begun:
            return deadline_ns
        return max(deadline_ns, self._begin_ns + self.config.start_patience_ns)

    @property
    def _chunk_ns(self) -> int:
        """How late the begin of an audio chunk is, as it is sent after its end [ns]."""
        return min(max(self._durations_ns), self.config.clock_jump_ns)

    def _flush_units(self) -> None:
        """Emit all units that hold data, up to a partial one at the end."""
        while self._start_ns is not None and self._newest_end_ns - self._start_ns > _PADDING_NS:
            self._emit(is_late=False)
        if self._start_ns is not None:
            self._counters.rest_ns += max(0, self._newest_end_ns - self._start_ns)

    def _emit(self, *, is_late: bool) -> None:
        assert self._start_ns is not None
        start_ns, end_ns = self._start_ns, self._start_ns + UNIT_NS
        choice = self._frames.choose(start_ns)
        audio, gaps_ns = self._audio.read(start_ns, end_ns)
        flags = UnitFlag.NONE
        if not choice.stamps_ns:
            flags |= UnitFlag.NO_VIDEO
        if gaps_ns == ((start_ns, end_ns),):
            flags |= UnitFlag.NO_AUDIO
        if is_late:
            flags |= UnitFlag.LATE
        if choice.is_repeated:
            flags |= UnitFlag.REPEATED_FRAME
        if self._has_jumped:
            flags |= UnitFlag.CLOCK_JUMP
        unit = MultimodalUnit(
            index=self._counters.units,
            start_ns=start_ns,
            end_ns=end_ns,
            frames=choice.frames,
            frame_stamps_ns=choice.stamps_ns,
            audio=audio,
            audio_gaps_ns=gaps_ns,
            flags=flags,
        )
        self._start_ns = end_ns
        self._has_jumped = False
        self._count(unit)
        self._on_unit(unit)

    def _count(self, unit: MultimodalUnit) -> None:
        counters = self._counters
        counters.units += 1
        counters.units_late += UnitFlag.LATE in unit.flags
        counters.frames_repeated += UnitFlag.REPEATED_FRAME in unit.flags
        for begin_ns, end_ns in unit.audio_gaps_ns:
            # A gap that goes on from the unit before is the same gap.
            counters.audio_gaps += begin_ns != self._gap_end_ns
            counters.audio_gap_ns += end_ns - begin_ns
            self._gap_end_ns = end_ns

    def _reject(self, source: str, reason: str) -> None:
        if source == _FRAME:
            self._counters.frames_rejected += 1
        else:
            self._counters.audio_chunks_rejected += 1
        self._counters.last_rejection = f'{source}: {reason}'
        logger.debug('Rejected %s: %s', source, reason)
