"""The gate of the stream: which stamps belong to its time, and when its clock has jumped."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class Message:
    """
    What a sensor delivered.

    :param source: name of the sensor.
    :param stamp_ns: capture time of its begin [ns].
    :param duration_ns: how long it lasts, 0 for an instant [ns].
    :param content: anything.
    """

    source: str
    stamp_ns: int
    duration_ns: int
    content: Any

    @property
    def end_ns(self) -> int:
        """Capture time of its end [ns]."""
        return self.stamp_ns + self.duration_ns


@dataclass
class Admission:
    """What the gate let in, in order, and what it dropped for good."""

    admitted: list[Message] = field(default_factory=list)
    dropped: list[Message] = field(default_factory=list)
    is_jump: bool = False  #: those admitted begin a new time


@dataclass
class _Input:
    held: list[tuple[int, Message]] = field(default_factory=list)  # arrival number, message
    newest_ns: int | None = None
    last_admitted: int = -1  # arrival number


class StampGate:
    """
    Hold back messages whose stamps are not of the stream's time, until it is clear what they are.

    One stray stamp is dropped. When every sensor sends stamps of the same other time (a looped
    recording, a clock that was set), or one does and the others are silent, the clock has jumped
    and what was held is let in. A sensor that stays alone with its time stays outside. The begin
    of a stream is such a jump too: it waits until every expected sensor has sent, or long enough.

    :param expected: sensors to wait for at the begin.
    :param patience_ns: how long to wait for the other sensors [ns].
    :param start_patience_ns: how long to do so at the begin [ns].
    :param reorder_ns: a sensor's stamps that fall back by more than this are of another time [ns].
    :param jump_ns: so are those that are ahead of the stream by more than this [ns].
    :param capacity: messages of one sensor that may be held.
    """

    def __init__(
        self,
        expected: frozenset[str],
        *,
        patience_ns: int,
        start_patience_ns: int,
        reorder_ns: int,
        jump_ns: int,
        capacity: dict[str, int],
    ) -> None:
        self._expected = expected
        self._patience_ns = patience_ns
        self._start_patience_ns = start_patience_ns
        self._reorder_ns = reorder_ns
        self._jump_ns = jump_ns
        self._capacity = capacity
        self._inputs = {source: _Input() for source in capacity}
        self._num_arrived = 0
        self._is_open = False

    def admit(self, message: Message, *, time_ns: int | None) -> Admission:
        """
        Take a message, and decide on it and on those held.

        :param time_ns: the stream's capture time, None before its begin [ns].
        """
        source = self._inputs[message.source]
        self._num_arrived += 1
        admission = Admission()
        if self._is_open and self._fits(source, message, time_ns):
            # Those held were strays: their sensor is back in time.
            admission.dropped = [held for _, held in source.held]
            source.held.clear()
            self._let_in(source, self._num_arrived, message)
            admission.admitted.append(message)
            return admission
        if source.held and not self._are_of_one_time(source.held[-1][1], message):
            admission.dropped = [held for _, held in source.held]
            source.held.clear()
        source.held.append((self._num_arrived, message))
        if self._is_new_time(message.source):
            admission.is_jump = self._is_open
            admission.admitted = self._open(source.held[-1][1])
        else:
            while self._holds_too_much(message.source):
                admission.dropped.append(source.held.pop(0)[1])
        return admission

    def release(self) -> Admission:
        """End the wait at the begin of a stream; what is held later than that is dropped."""
        held = [entry for source in self._inputs.values() for entry in source.held]
        admission = Admission()
        if held and not self._is_open:
            admission.admitted = self._open(max(held, key=lambda entry: entry[0])[1])
        for source in self._inputs.values():
            admission.dropped += [message for _, message in source.held]
            source.held.clear()
        return admission

    def _are_of_one_time(self, first: Message, second: Message) -> bool:
        distance_ns = abs(first.stamp_ns - second.stamp_ns)
        return distance_ns <= self._jump_ns + max(first.duration_ns, second.duration_ns)

    def _fits(self, source: _Input, message: Message, time_ns: int | None) -> bool:
        if source.newest_ns is not None:
            oldest_ns = source.newest_ns - self._reorder_ns - message.duration_ns
            if message.stamp_ns < oldest_ns:
                return False
        return time_ns is None or message.stamp_ns <= time_ns + self._jump_ns

    def _is_new_time(self, name: str) -> bool:
        """Say whether what ``name`` sends begins a new time."""
        # One message of another time may be a stray.
        num_needed = 2 if self._is_open else 1
        source = self._inputs[name]
        if len(source.held) < num_needed:
            return False
        (first_number, first), (_, last) = source.held[0], source.held[-1]
        patience_ns = self._patience_ns if self._is_open else self._start_patience_ns
        has_waited = (
            last.end_ns - first.stamp_ns >= patience_ns or len(source.held) >= self._capacity[name]
        )
        for other_name, other in self._inputs.items():
            if other_name == name:
                continue
            if len(other.held) >= num_needed and self._are_of_one_time(other.held[-1][1], last):
                continue
            is_silent = other.last_admitted < first_number
            if not is_silent or (self._is_awaited(other_name) and not has_waited):
                return False
        return True

    def _has_waited(self, name: str, *, since: int) -> bool:
        """Say whether what ``name`` sends has been held long enough, from one message on."""
        held = self._inputs[name].held
        patience_ns = self._patience_ns if self._is_open else self._start_patience_ns
        span_ns = held[-1][1].end_ns - held[since][1].stamp_ns
        return span_ns >= patience_ns or len(held) - since >= self._capacity[name]

    def _holds_too_much(self, name: str) -> bool:
        """Say whether the wait was long enough without the oldest held message."""
        return len(self._inputs[name].held) > 2 and self._has_waited(name, since=1)

    def _is_awaited(self, name: str) -> bool:
        if self._is_open:
            return self._inputs[name].newest_ns is not None
        return name in self._expected

    def _open(self, newest: Message) -> list[Message]:
        """Begin the time of ``newest``: let in what is held of it."""
        self._is_open = True
        let_in = []
        for source in self._inputs.values():
            source.newest_ns = None
            if source.held and self._are_of_one_time(source.held[-1][1], newest):
                let_in += source.held
                for number, message in source.held:
                    self._let_in(source, number, message)
                source.held = []
        return [message for _, message in sorted(let_in, key=lambda entry: entry[0])]

    @staticmethod
    def _let_in(source: _Input, number: int, message: Message) -> None:
        source.last_admitted = number
        if source.newest_ns is None or message.stamp_ns > source.newest_ns:
            source.newest_ns = message.stamp_ns
