"""From speak probabilities to intervals of the stream that match an instruction."""

from dataclasses import dataclass, replace
from enum import IntEnum


class HighlightState(IntEnum):
    """Where a highlight stands; values are those of ``Highlight.msg``."""

    BEGIN = 1
    UPDATE = 2
    END = 3


@dataclass(frozen=True, kw_only=True)
class Highlight:
    """
    An interval that matches an instruction, as far as it is known.

    :param number: running number in its tracker, from 0.
    :param state: begin, update or end.
    :param start_ns: capture time of its begin [ns].
    :param end_ns: capture time of its end so far [ns].
    :param score: highest speak probability in it, 0..1.
    """

    number: int
    state: HighlightState
    start_ns: int
    end_ns: int
    score: float


class HighlightTracker:
    """
    Joins units whose speak probability is high into highlights.

    A highlight begins with the first unit at or above ``threshold`` and ends when
    ``patience_units`` units in a row were below it; those are not part of it.

    :param threshold: speak probability, 0..1.
    :param patience_units: how many low units end a highlight.
    """

    def __init__(self, threshold: float, *, patience_units: int = 1) -> None:
        if not 0.0 < threshold < 1.0 or patience_units < 1:
            raise ValueError(
                f'threshold is {threshold} and patience_units {patience_units}; '
                'expected between 0 and 1, and at least 1'
            )
        self.threshold = threshold
        self.patience_units = patience_units
        self._open: Highlight | None = None
        self._low_units = 0
        self._count = 0

    def update(self, start_ns: int, end_ns: int, probability: float) -> Highlight | None:
        """
        Take the speak probability of the next unit.

        :param start_ns: capture time of the unit's begin [ns].
        :param end_ns: capture time of its end [ns].
        :param probability: 0..1.
        :return: what there is to report, if anything.
        """
        if probability >= self.threshold:
            self._low_units = 0
            if self._open is None:
                self._open = Highlight(
                    number=self._count,
                    state=HighlightState.BEGIN,
                    start_ns=start_ns,
                    end_ns=end_ns,
                    score=probability,
                )
                self._count += 1
            else:
                self._open = replace(
                    self._open,
                    state=HighlightState.UPDATE,
                    end_ns=end_ns,
                    score=max(self._open.score, probability),
                )
            return self._open
        self._low_units += 1
        return self.finish() if self._low_units >= self.patience_units else None

    def finish(self) -> Highlight | None:
        """
        End the highlight that is open, as at the end of a stream.

        :return: its last report, or None where none is open.
        """
        highlight, self._open = self._open, None
        return None if highlight is None else replace(highlight, state=HighlightState.END)
