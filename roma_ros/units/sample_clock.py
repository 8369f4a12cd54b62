"""The clock of a microphone: which capture time each of its samples has."""

from collections import deque
from math import sqrt
from statistics import median

#: Expected error of a nominal sample rate (standard deviation); crystals stay within 0.02 %.
_DRIFT_PRIOR = 300e-6
#: Expected error of the first stamp [s]; any large value, as the first observation settles it.
_OFFSET_PRIOR_S = 1.0
#: Wander of the drift [1 / sqrt(s)]: 0.08 ppm a minute, what temperature does to a crystal.
_DRIFT_WANDER = 1e-8
#: Stamps are never trusted beyond this [s]; it is above rounding to nanoseconds.
_NOISE_FLOOR_S = 1e-6
#: Standard deviations beyond which a stamp counts as an outlier.
_OUTLIER = 5.0
#: Stamps from which the noise is estimated.
_HISTORY = 128


class SampleClock:
    """
    Map sample numbers to capture time from jittered stamps: a Kalman filter of offset and drift.

    A sound card counts samples at its own rate, some 10 to 200 ppm off, while stamps are in ROS
    time and may jitter by tens of milliseconds. The noise of the stamps is measured on the way:
    exact stamps are followed at once, jittered ones are averaged over minutes.

    :param rate_hz: nominal sample rate [Hz].
    :param index: number of a sample.
    :param stamp_ns: its capture time [ns].
    """

    def __init__(self, rate_hz: int, *, index: int, stamp_ns: int) -> None:
        self._period_s = 1 / rate_hz
        # The estimate: sample `_index` was captured at `_anchor_ns` + `_offset_s`.
        self._index = index
        self._anchor_ns = stamp_ns
        self._offset_s = 0.0
        self._drift = 0.0
        self._noise_s = _NOISE_FLOOR_S
        # Covariance of offset and drift.
        self._var_offset = _OFFSET_PRIOR_S**2
        self._covariance = 0.0
        self._var_drift = _DRIFT_PRIOR**2
        self._last_outlier_s = 0.0
        self._differences: deque[float] = deque(maxlen=_HISTORY)
        self._innovations: deque[float] = deque(maxlen=_HISTORY)

    @property
    def period_s(self) -> float:
        """Distance of two samples in capture time [s]."""
        return self._period_s * (1 + self._drift)

    @property
    def noise_s(self) -> float:
        """Noise of the stamps as measured so far (about one standard deviation) [s]."""
        return self._noise_s

    @property
    def num_differences(self) -> int:
        """Number of stamps, at most 128, that the noise was measured from."""
        return len(self._differences)

    def error_s(self, stamp_ns: int, *, index: float) -> float:
        """Return how much later ``stamp_ns`` is than sample ``index`` was captured [s]."""
        expected_s = self._offset_s + (index - self._index) * self.period_s
        return (stamp_ns - self._anchor_ns) * 1e-9 - expected_s

    def index_at(self, stamp_ns: int) -> float:
        """Return the (fractional) sample number at a capture time."""
        return self._index + self.error_s(stamp_ns, index=self._index) / self.period_s

    def uncertainty_s(self, index: int) -> float:
        """Return the standard deviation of the capture time of sample ``index`` [s]."""
        ahead_s = (index - self._index) * self._period_s
        return sqrt(
            max(
                0.0,
                self._var_offset + ahead_s * (2 * self._covariance + ahead_s * self._var_drift),
            )
        )

    def add_difference(self, elapsed_ns: int, num_samples: int) -> None:
        """Note that two stamps ``num_samples`` samples apart differ by ``elapsed_ns``."""
        self._differences.append(abs(elapsed_ns * 1e-9 - num_samples * self.period_s))

    def measure_noise(self) -> None:
        """Bring ``noise_s`` up to date; a median, so that half of the stamps may be strays."""
        if len(self._differences) >= 3:
            noise_s = median(self._differences)
            if len(self._innovations) >= 3:  # unlike differences, these are free of drift
                noise_s = min(noise_s, median(self._innovations))
            noise_s = max(noise_s, _NOISE_FLOOR_S)
            if noise_s > 2 * self._noise_s:  # what was learned so far was trusted too much
                self._doubt(noise_s)
            self._noise_s = noise_s

    def observe(self, index: int, stamp_ns: int) -> None:
        """Learn that sample ``index`` was stamped ``stamp_ns``; older ones than known are void."""
        ahead_s = (index - self._index) * self._period_s
        if ahead_s < 0:
            return
        error_s = self.error_s(stamp_ns, index=index)
        self._predict(index, ahead_s)
        self._innovations.append(abs(error_s))
        if abs(error_s) > _OUTLIER * sqrt(self._var_offset + self._noise_s**2):
            # One stray stamp is void; two on the same side are a step of the stamps' clock.
            is_step = self._last_outlier_s * error_s > 0
            self._last_outlier_s = error_s
            if not is_step:
                return
            self._doubt(abs(error_s))
        else:
            self._last_outlier_s = 0.0
        self._correct(error_s)

    def _doubt(self, error_s: float) -> None:
        """Keep the estimate, but expect it to be wrong by ``error_s`` now, and any drift."""
        self._var_offset = max(self._var_offset, error_s**2)
        self._covariance = 0.0
        self._var_drift = _DRIFT_PRIOR**2

    def _predict(self, index: int, ahead_s: float) -> None:
        offset_s = self._offset_s + (index - self._index) * self.period_s
        self._index = index
        # The anchor moves along, so that floats stay small after days.
        whole_ns = round(offset_s * 1e9)
        self._anchor_ns += whole_ns
        self._offset_s = offset_s - whole_ns * 1e-9
        wander = _DRIFT_WANDER**2
        self._var_offset += ahead_s * (
            2 * self._covariance + ahead_s * (self._var_drift + wander * ahead_s / 3)
        )
        self._covariance += ahead_s * (self._var_drift + wander * ahead_s / 2)
        self._var_drift += wander * ahead_s

    def _correct(self, error_s: float) -> None:
        total = self._var_offset + self._noise_s**2
        gain_offset = self._var_offset / total
        gain_drift = self._covariance / total
        self._offset_s += gain_offset * error_s
        self._drift += gain_drift * error_s
        self._var_drift -= gain_drift * self._covariance
        self._covariance *= 1 - gain_offset
        self._var_offset *= 1 - gain_offset
