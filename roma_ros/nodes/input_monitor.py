"""What can be wrong with messages that do arrive: their rate and their stamps."""

from collections import deque
import time

#: Reports that a rate is taken over; one comes a second.
_NUM_REPORTS = 5
#: How far stamps may be ahead of the clock, or behind it, before it is told [ns].
_AHEAD_NS, _BEHIND_NS = 100_000_000, 2_000_000_000
#: Images a second that the network looks at.
_IMAGES_HZ = 2.0
#: Silence after which there is no rate to tell of [s].
_NO_RATE_S = 2.5
#: Distance of two reports in ROS time from which its clock was set, and tells of no rate [ns].
_LEAP_NS = 60_000_000_000
#: Share of the nominal sample rate by which the measured one may be off.
_RATE_TOLERANCE = 0.1


class InputMonitor:
    """Watches the messages of one sensor as they arrive; one thread notes, another may report."""

    def __init__(self) -> None:
        self._newest_s = time.monotonic()
        self._newest_ns = 0
        self._amount = 0
        self._rate_hz = 0
        self._unstamped = 0
        self._least_lag_ns: int | None = None  # since the last report
        # In ROS time, since what is played faster than real time is in order by its own clock.
        self._marks: deque[tuple[int, int]] = deque(maxlen=_NUM_REPORTS)

    @property
    def silence_s(self) -> float:
        """Return the time since the last message, or since the begin [s]."""
        return time.monotonic() - self._newest_s

    def note(self, stamp_ns: int, now_ns: int, *, amount: int = 1, rate_hz: int = 0) -> None:
        """
        Note a message.

        :param stamp_ns: its stamp [ns]; 0: it has none.
        :param now_ns: ROS time of its arrival [ns].
        :param amount: 1 for an image, samples per channel for audio.
        :param rate_hz: how many of these a second the message says that there are; 0: nothing.
        """
        self._newest_s, self._newest_ns = time.monotonic(), now_ns
        self._amount += amount
        self._rate_hz = rate_hz
        if not stamp_ns:
            self._unstamped += 1
            return
        lag_ns = now_ns - stamp_ns
        if self._least_lag_ns is None or lag_ns < self._least_lag_ns:
            self._least_lag_ns = lag_ns

    def report(self) -> list[str]:
        """Return what is wrong, in words; called about once a second."""
        problems = []
        unstamped, self._unstamped = self._unstamped, 0
        lag_ns, self._least_lag_ns = self._least_lag_ns, None
        if unstamped:
            problems.append(
                f'{unstamped} messages have no stamp; their time of arrival is taken, which is '
                'later than capture'
            )
        if lag_ns is not None and lag_ns < -_AHEAD_NS:
            problems.append(
                f'stamps are {-lag_ns / 1e9:.1f} s ahead of this clock; check the clocks of both '
                'machines, and use_sim_time'
            )
        if lag_ns is not None and lag_ns > _BEHIND_NS:
            problems.append(
                f'stamps are {lag_ns / 1e9:.1f} s old at arrival; check the clocks of both '
                'machines, use_sim_time, and what stands between'
            )
        last_ns = self._marks[-1][0] if self._marks else self._newest_ns
        was_set = not 0 <= self._newest_ns - last_ns < _LEAP_NS
        if was_set or self.silence_s > _NO_RATE_S:  # silence is told as such
            self._marks.clear()
        self._marks.append((self._newest_ns, self._amount))
        (begin_ns, begin), (end_ns, end) = self._marks[0], self._marks[-1]
        if len(self._marks) == _NUM_REPORTS and end > begin and end_ns > begin_ns:
            problems += self._judge_rate((end - begin) / (end_ns - begin_ns) * 1e9)
        return problems

    def _judge_rate(self, measured_hz: float) -> list[str]:
        nominal_hz = self._rate_hz
        if not nominal_hz:
            if measured_hz > 0.9 * _IMAGES_HZ:
                return []
            return [f'{measured_hz:.1f} images a second; the network looks at {_IMAGES_HZ:.0f}']
        if abs(measured_hz / nominal_hz - 1) <= _RATE_TOLERANCE:
            return []
        return [
            f'{measured_hz:.0f} samples a second arrive, where the messages say {nominal_hz} Hz'
        ]
