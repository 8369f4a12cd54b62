"""What time it is in the stream."""


class CaptureClock:
    """
    The capture time that sensors should have reached by now.

    Without a clock it is the newest stamp. With one, it goes on from there while the sensors are
    silent. Only differences of the clock count, so it may be in another time than the stamps
    (a recording that is played back), run faster or slower than them, and be set anew.

    :param alive_ns: after this long a silent sensor has no say while others send [ns].
    :param jump_ns: a step of the clock beyond this is a jump of the clock, not elapsed time [ns].
    """

    def __init__(self, *, alive_ns: int, jump_ns: int) -> None:
        self._alive_ns = alive_ns
        self._jump_ns = jump_ns
        self._newest_ns: dict[str, int] = {}
        self._silent_ns: dict[str, int] = {}  # known to be silent for that long
        self._heard: set[str] = set()  # since the last advance
        self._last_ns: int | None = None

    def advance(self, now_ns: int) -> None:
        """Let time pass until ``now_ns`` of any clock."""
        last_ns, self._last_ns = self._last_ns, now_ns
        if last_ns is None or not 0 <= now_ns - last_ns <= self._jump_ns:
            return  # no time is known to have passed
        for source in self._silent_ns.keys() - self._heard:
            self._silent_ns[source] += now_ns - last_ns
        self._heard.clear()

    def observe(self, source: str, stamp_ns: int) -> None:
        """Note that ``source`` delivered what it captured until ``stamp_ns``."""
        self._newest_ns[source] = max(stamp_ns, self._newest_ns.get(source, stamp_ns))
        self._silent_ns[source] = 0
        self._heard.add(source)

    def restart(self) -> None:
        """Forget the stamps: those to come are of another time."""
        self._newest_ns.clear()
        self._silent_ns.clear()
        self._heard.clear()

    def time_ns(self) -> int | None:
        """Return the capture time, or None before the first stamp [ns]."""
        if not self._newest_ns:
            return None
        limit_ns = max(self._alive_ns, min(self._silent_ns.values()))
        return max(
            self._newest_ns[source] + silent_ns
            for source, silent_ns in self._silent_ns.items()
            if silent_ns <= limit_ns
        )
