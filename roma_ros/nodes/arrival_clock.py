"""Capture times for a sound card's samples, from their count and the times they arrive."""

from collections import deque

#: How far back the promptest arrival is looked for [ns].
_WINDOW_NS = 2_000_000_000
#: How fast stamps move towards it, as a share of time; 100 times the drift of a bad crystal.
_MAX_SLEW = 0.005
#: Distance from which stamps jump instead [ns].
_JUMP_NS = 50_000_000


class ArrivalClock:
    """
    Stamp samples by counting them, held against the ROS clock.

    A chunk arrives some time after its last sample was captured: always later, never earlier,
    and by an amount that the scheduler decides. So the promptest arrival of the last two seconds
    tells when a sample was captured, and the others are noise. The count gives every sample its
    place; the stamps follow the promptest arrivals slowly, which takes out the drift of the
    card's crystal, and jump only when they are 50 ms off.

    :param rate_hz: nominal sample rate [Hz].
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self.num_samples = 0  #: samples so far, lost ones included
        self.num_jumps = 0  #: times that the stamps jumped
        self._origin_ns: int | None = None  # capture time of sample 0
        # Arrival time and the origin it speaks for; origins rise, so the first is the smallest.
        self._arrivals: deque[tuple[int, int]] = deque()

    def stamp_ns(self, num_samples: int, arrival_ns: int) -> int:
        """
        Count a chunk and return the capture time of its first sample [ns].

        :param num_samples: samples in the chunk, per channel.
        :param arrival_ns: ROS time at which its last sample was there.
        """
        first = self.num_samples
        self.num_samples += num_samples
        target_ns = self._promptest(arrival_ns)
        if self._origin_ns is None:
            self._origin_ns = target_ns
        error_ns = target_ns - self._origin_ns
        if abs(error_ns) > _JUMP_NS:
            self.num_jumps += 1
        else:
            limit_ns = int(self._duration_ns(num_samples) * _MAX_SLEW)
            error_ns = max(-limit_ns, min(limit_ns, error_ns))
        self._origin_ns += error_ns
        return self._origin_ns + self._duration_ns(first)

    def skip_lost(self, arrival_ns: int) -> int:
        """
        Count samples that were lost, so that those after them keep their capture time.

        :param arrival_ns: ROS time at which the loss was noticed.
        :return: how many, judged by the clock.
        """
        if self._origin_ns is None:
            return 0
        due = (arrival_ns - self._origin_ns) * self._rate_hz // 1_000_000_000
        lost = max(0, due - self.num_samples)
        self.num_samples += lost
        self._arrivals.clear()
        return lost

    def _promptest(self, arrival_ns: int) -> int:
        origin_ns = arrival_ns - self._duration_ns(self.num_samples)
        arrivals = self._arrivals
        while arrivals and arrivals[-1][1] >= origin_ns:
            arrivals.pop()
        arrivals.append((arrival_ns, origin_ns))
        while arrival_ns - arrivals[0][0] > _WINDOW_NS:
            arrivals.popleft()
        return arrivals[0][1]

    def _duration_ns(self, num_samples: int) -> int:
        return num_samples * 1_000_000_000 // self._rate_hz
