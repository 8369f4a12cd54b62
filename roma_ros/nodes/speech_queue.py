"""What is spoken next, and what gives way: alerts before answers before narrations."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
import threading
import time

from ..policy.instructions import InstructionKind

#: The lower, the sooner.
_RANKS = {InstructionKind.ALERT: 0, InstructionKind.ANSWER: 1, InstructionKind.NARRATION: 2}


@dataclass(frozen=True)
class Phrase:
    """
    Text to be spoken.

    :param utterance_id: the utterance that it is a segment of.
    :param kind: of the utterance.
    :param text: what to say.
    :param queued_s: monotonic time at which it came [s].
    """

    utterance_id: int
    kind: InstructionKind
    text: str
    queued_s: float


class SpeechQueue:
    """
    Phrases that wait, of all threads.

    An alert cuts off what is being spoken unless that is an alert; an answer cuts off a
    narration. What was cut off is not taken up again: its moment has passed. So has that of a
    narration that waits for longer than ``narration_age_s``, or that a newer one follows.

    :param narration_age_s: how long a narration may wait [s].
    :param capacity: phrases that may wait.
    """

    def __init__(self, *, narration_age_s: float, capacity: int = 32) -> None:
        self._narration_age_s = narration_age_s
        self._capacity = capacity
        self._waiting: list[Phrase] = []
        self._current: Phrase | None = None
        self._is_cut_off = False
        self._silenced: int | None = None  # utterance whose other phrases are not spoken
        self._wake = threading.Condition()
        self.counters: Counter[str] = Counter()  #: phrases spoken, and not, since the start

    def add(self, phrase: Phrase) -> None:
        """Queue a phrase; it may cut off what is being spoken."""
        with self._wake:
            if phrase.utterance_id == self._silenced:
                self.counters['cut off'] += 1
                return
            if phrase.kind is InstructionKind.NARRATION:
                self._drop(
                    lambda p: p.kind is phrase.kind and p.utterance_id != phrase.utterance_id
                )
            if len(self._waiting) >= self._capacity:
                self.counters['too many'] += 1
                return
            self._waiting.append(phrase)
            self._waiting.sort(key=lambda p: _RANKS[p.kind])  # stable: in order within a kind
            current = self._current
            if current is not None and _RANKS[phrase.kind] < _RANKS[current.kind]:
                self._cut_off(current)
            self._wake.notify_all()

    def take(self, timeout_s: float) -> Phrase | None:
        """Return the next phrase to speak; None when none came in time."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting, timeout=timeout_s)
            oldest_s = time.monotonic() - self._narration_age_s
            self._drop(lambda p: p.kind is InstructionKind.NARRATION and p.queued_s < oldest_s)
            self._current = self._waiting.pop(0) if self._waiting else None
            self._is_cut_off = False
            return self._current

    def done(self) -> None:
        """Note that the phrase that was taken is spoken, or was cut off."""
        with self._wake:
            self.counters['cut off' if self._is_cut_off else 'spoken'] += 1
            self._current = None

    @property
    def is_cut_off(self) -> bool:
        """Tell whether the phrase that is being spoken has to end now."""
        return self._is_cut_off

    def silence(self) -> None:
        """End what is being spoken, the rest of its utterance, and all that waits."""
        with self._wake:
            self._drop(lambda p: True)
            if self._current is not None:
                self._cut_off(self._current)

    def _cut_off(self, current: Phrase) -> None:
        self._is_cut_off = True
        self._silenced = current.utterance_id
        self._drop(lambda p: p.utterance_id == current.utterance_id)

    def _drop(self, matches: Callable[[Phrase], bool]) -> None:
        kept = [p for p in self._waiting if not matches(p)]
        self.counters['not spoken'] += len(self._waiting) - len(kept)
        self._waiting = kept
