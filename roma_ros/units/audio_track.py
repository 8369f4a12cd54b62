"""The samples of one microphone at one rate, placed in capture time."""

from collections import deque
from dataclasses import dataclass
from math import sqrt
from statistics import median

import numpy as np
import numpy.typing as npt

from .resampler import Resampler
from .sample_clock import SampleClock
from .sample_store import SampleStore
from .unit import SAMPLE_RATE_HZ, UNIT_NS

#: Chunks, or seconds of audio, that show how noisy the stamps are before any has its place.
_START_CHUNKS = 9
_START_S = 0.25
#: Noise that is presumed until the stamps have shown theirs [s].
_PRESUMED_NOISE_S = 12e-3
#: Stamps this exact come from a sample counter: a step in them is a loss, never a hiccup [s].
_EXACT_NOISE_S = 0.2e-3
#: Least and largest step of the stamps [s] that counts as a loss where stamps are exact.
_STEP_MIN_S = 0.25e-3
_STEP_MAX_S = 20e-3
#: Standard deviations of the stamps' noise that are no step, and those that are none either if
#: they are little; for the noise, measured on a few stamps, may be underrated.
_STEP_DEVIATIONS = 5.0
_SMALL_STEP_DEVIATIONS, _SMALL_STEP_S = 12.0, 50e-3
#: Audio after a step of noisy stamps that proves it, beside audio of the step's length [s].
_STEP_PROOF_S = 0.1
#: Largest change of speed by which the reading follows the clock: 8.6 cents, 5 ms a second.
_SLEW = 0.005


@dataclass
class ChunkCounts:
    """Chunks that brought nothing, or too late."""

    late: int = 0  #: came after a part of them had been read
    doubled: int = 0  #: brought only samples that were there already


@dataclass(frozen=True, slots=True)
class _Chunk:
    stamp_ns: int
    samples: npt.NDArray[np.float32]
    first_sample: int | None

    def __len__(self) -> int:
        return len(self.samples)


class AudioTrack:
    """
    One run of a microphone: chunks go in, 16 kHz audio of any second comes out.

    Chunks that follow one another stay joined at the sample, whatever their stamps' jitter, and
    ``SampleClock`` says when each sample was captured. A lasting step of the stamps is a loss
    (a hole), a chunk that fits in a hole or that is there already was out of order or doubled.
    Reading follows the clock by resampling at a speed that changes from unit to unit, without a
    seam. Samples missing at the rims of holes count as zeros.

    :param rate_hz: nominal sample rate [Hz].
    :param counts: counted up.
    """

    def __init__(self, rate_hz: int, counts: ChunkCounts) -> None:
        self.rate_hz = rate_hz
        self._counts = counts
        self._resampler = Resampler(rate_hz, SAMPLE_RATE_HZ)
        self._store = SampleStore()
        self._clock: SampleClock | None = None
        self._waiting: list[_Chunk] = []  # chunks without a place yet
        self._lengths: deque[int] = deque(maxlen=64)
        self._last: _Chunk | None = None
        self._next_index = 0  # the sample after the last one
        self._shift = 0  # from the source's own sample numbers to ours
        self._read_until: float | None = None  # up to where samples were read
        self._is_joined = False  # reading has to go on exactly there

    def add(
        self, stamp_ns: int, samples: npt.NDArray[np.float32], *, first_sample: int | None = None
    ) -> None:
        """
        Take a chunk.

        :param stamp_ns: capture time of its first sample [ns].
        :param samples: float32 ``[n]``, n > 0; kept, not copied.
        :param first_sample: the source's own number of the first sample, where it has one; 0 may
            also mean that it does not count, or that it has begun anew.
        """
        chunk = _Chunk(stamp_ns, samples, first_sample)
        if self._clock is not None and self._last is not None:
            self._clock.add_difference(stamp_ns - self._last.stamp_ns, len(self._last))
            if self._clock.num_differences < 2 * _START_CHUNKS:  # later once a unit
                self._clock.measure_noise()
        self._last = chunk
        self._lengths.append(len(chunk))
        self._waiting.append(chunk)
        self._settle(at_once=False)

    def has_passed(self, end_ns: int, *, given_up_ns: int) -> bool:
        """
        Say whether all that is needed to read up to ``end_ns`` is here.

        :param given_up_ns: chunks that are missing before this time are lost, later ones may have
            been overtaken [ns].
        """
        if self._clock is None or not self._reaches(end_ns):
            return False
        end = int(self._clock.index_at(end_ns))
        begin = int(self._clock.index_at(max(given_up_ns, end_ns - UNIT_NS)))
        return begin >= end or not self._store.holes(begin, min(end, self._next_index))

    def read(
        self, start_ns: int, end_ns: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """
        Read one second; what came is given its place first, and older samples are forgotten.

        :return: audio float32 ``[16000]`` and bool ``[16000]``, true where a sample covers it;
            elsewhere the audio is zero.
        """
        if self._clock is None or not self._reaches(end_ns):
            self._settle(at_once=True)
        if self._clock is None:
            return np.zeros(SAMPLE_RATE_HZ, np.float32), np.zeros(SAMPLE_RATE_HZ, np.bool_)
        first, step = self._span(start_ns, end_ns)
        last = first + step * SAMPLE_RATE_HZ
        begin = int(np.floor(first)) - self._resampler.half_width
        end = int(np.ceil(last)) + self._resampler.half_width + 1
        audio = self._resampler.interpolate(
            self._store.read(begin, end), first=first - begin, step=step, count=SAMPLE_RATE_HZ
        )
        covered = np.ones(SAMPLE_RATE_HZ, np.bool_)
        for hole in self._store.holes(begin, end):
            # 1e-4: a position that rounding put just before a sample is on it.
            at = [int(np.ceil((edge - first) / step - 1e-4)) for edge in hole]
            covered[max(at[0], 0) : max(at[1], 0)] = False
        self._read_until = last
        self._is_joined = bool(covered[-1])
        self._store.drop_before(begin + int(last - first))
        self._clock.measure_noise()
        return np.where(covered, audio, np.float32(0)), covered

    def ends_before(self, stamp_ns: int) -> bool:
        """Say whether no sample was captured at or after ``stamp_ns``."""
        self._settle(at_once=True)
        return self._clock is None or self._clock.index_at(stamp_ns) >= self._next_index

    def _reaches(self, end_ns: int) -> bool:
        """Say whether the samples go as far as reading up to ``end_ns`` does."""
        assert self._clock is not None
        end = self._clock.index_at(end_ns)
        if self._next_index >= end + self._resampler.half_width:
            return True
        if self._next_index < end - 0.5:
            return False
        first, step = self._span(end_ns - UNIT_NS, end_ns)
        return not self._resampler.needs_filter(first, step, SAMPLE_RATE_HZ)

    def _span(self, start_ns: int, end_ns: int) -> tuple[float, float]:
        """Return the first position and the step at which a second is to be read."""
        assert self._clock is not None
        first, last = self._clock.index_at(start_ns), self._clock.index_at(end_ns)
        if self._is_joined and self._read_until is not None:
            length = last - first
            first = self._read_until
            last = min(max(last, first + (1 - _SLEW) * length), first + (1 + _SLEW) * length)
        return first, (last - first) / SAMPLE_RATE_HZ

    def _settle(self, *, at_once: bool) -> None:
        """Give waiting chunks their place, those whose place is certain or, at once, all."""
        if self._clock is None:
            num_samples = sum(len(chunk) for chunk in self._waiting)
            is_enough = (
                len(self._waiting) >= _START_CHUNKS or num_samples >= _START_S * self.rate_hz
            )
            if not self._waiting or not (is_enough or at_once):
                return
            self._clock = self._make_clock()
        while self._waiting:
            place = self._find_place(self._waiting[0], at_once=at_once)
            if place is None:
                return
            index, is_timely = place
            chunk = self._waiting.pop(0)
            if is_timely:
                self._clock.observe(index, chunk.stamp_ns)
            self._put(chunk, index)

    def _make_clock(self) -> SampleClock:
        first = self._waiting[0]
        self._next_index = first.first_sample or 0
        clock = SampleClock(self.rate_hz, index=self._next_index, stamp_ns=first.stamp_ns)
        for chunk, follower in zip(self._waiting, self._waiting[1:], strict=False):
            clock.add_difference(follower.stamp_ns - chunk.stamp_ns, len(chunk))
        clock.measure_noise()
        return clock

    def _find_place(self, chunk: _Chunk, *, at_once: bool) -> tuple[int, bool] | None:
        """
        Return the number of a chunk's first sample, and whether its stamp tells the time.

        :return: None while that is uncertain.
        """
        assert self._clock is not None
        expected = self._expected_index(chunk, self._next_index, self._shift)
        step_s = self._clock.error_s(chunk.stamp_ns, index=expected)
        tolerance_s = self._tolerance_s(chunk, expected)
        if abs(step_s) <= tolerance_s:
            return expected, True
        num_differences = self._clock.num_differences
        is_exact = num_differences >= _START_CHUNKS - 1 and self._clock.noise_s < _EXACT_NOISE_S
        if step_s > 0 and not is_exact and not at_once:
            # A late stamp is followed by stamps that are right again, a loss is not.
            steps_s = self._steps_s()
            if any(abs(later_s) <= tolerance_s for later_s in steps_s[1:]):
                return expected, False
            num_samples = sum(len(waiting) for waiting in self._waiting)
            if num_samples < (_STEP_PROOF_S + step_s) * self.rate_hz:
                return None
            step_s = median(steps_s)
        index = expected + round(step_s / self._clock.period_s)
        if step_s < 0 and abs(step_s) < _STEP_MAX_S:
            # A small step back is out of order or doubled if it fits, else a slip of the stamps.
            num_missing = sum(e - b for b, e in self._store.holes(index, index + len(chunk)))
            if 0 < num_missing < len(chunk):
                return expected, True
        return index, True

    def _steps_s(self) -> list[float]:
        """Return the errors of the waiting chunks' stamps if there were no step."""
        assert self._clock is not None
        steps_s = []
        next_index, shift = self._next_index, self._shift
        for chunk in self._waiting:
            index = self._expected_index(chunk, next_index, shift)
            steps_s.append(self._clock.error_s(chunk.stamp_ns, index=index))
            next_index = index + len(chunk)
            shift = index - (chunk.first_sample or 0)
        return steps_s

    @staticmethod
    def _expected_index(chunk: _Chunk, next_index: int, shift: int) -> int:
        return chunk.first_sample + shift if chunk.first_sample else next_index

    def _tolerance_s(self, chunk: _Chunk, expected: int) -> float:
        """Return the largest error of a chunk's stamp [s] that is no step."""
        assert self._clock is not None
        if chunk.first_sample:
            least_s = _STEP_MAX_S
        else:  # at least half of the shortest chunk that can get lost
            shortest_s = min(self._lengths) / self.rate_hz
            least_s = min(max(shortest_s / 2, _STEP_MIN_S), _STEP_MAX_S)
        doubt = max(0.0, 1 - self._clock.num_differences / (_START_CHUNKS - 1))
        noise_s = max(self._clock.noise_s, _PRESUMED_NOISE_S * sqrt(doubt))
        return max(
            least_s,
            _STEP_DEVIATIONS * max(noise_s, self._clock.uncertainty_s(expected)),
            min(_SMALL_STEP_DEVIATIONS * noise_s, _SMALL_STEP_S),
        )

    def _put(self, chunk: _Chunk, index: int) -> None:
        self._shift = index - (chunk.first_sample or 0)
        self._next_index = max(self._next_index, index + len(chunk))
        num_new = self._store.add(index, chunk.samples)
        if num_new == 0:
            self._counts.doubled += 1
        elif self._read_until is not None and index + 1 <= self._read_until:
            self._counts.late += 1
