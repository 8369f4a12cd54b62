"""What is calibrated on: scored and labelled instructions, and the folds that they fall into."""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np
import numpy.typing as npt

from ..evaluation.metrics.spans import check_spans, Span
from .instructions import InstructionKind

_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredInstruction:
    """
    One instruction on one recording: what the model scored, and when it was due.

    :param stream: name of the recording.
    :param kind: narrate, alert or answer.
    :param ends_s: end of each unit, rising, ``[units]``: from then on the robot can speak.
    :param probabilities: its speak probability, ``[units]``; NaN: not scored.
    :param windows: closed spans in which it was due to speak.
    :raises ValueError: when lengths differ, times do not rise, or nothing was scored.
    """

    stream: str
    kind: InstructionKind
    ends_s: npt.ArrayLike
    probabilities: npt.ArrayLike
    windows: tuple[Span, ...]

    def __post_init__(self) -> None:
        ends, given = self.arrays()
        what = f'the {self.kind.name.lower()} on {self.stream!r}'
        if ends.ndim != 1 or ends.shape != given.shape or not (np.diff(ends) > 0).all():
            raise ValueError(
                f'{what} has {ends.size} unit ends and {given.size} probabilities; expected as '
                'many, and rising ends'
            )
        if np.isnan(given).all():
            raise ValueError(f'{what} has no probability at all; nothing was scored')
        check_spans(self.windows, what=what)

    def arrays(self) -> tuple[_FloatArray, _FloatArray]:
        """Return unit ends and probabilities as arrays."""
        return np.asarray(self.ends_s, np.float64), np.asarray(self.probabilities, np.float64)


class Folds:
    """
    Which fold a moment of a recording belongs to.

    Recordings are the folds, evenly by their lengths, or, where there are fewer than folds, equal
    stretches of each.

    :param scored: instructions of one kind.
    :param num_folds: at least 2.
    :raises ValueError: when a fold would have less than two seconds.
    """

    def __init__(self, scored: Sequence[ScoredInstruction], num_folds: int) -> None:
        self.num_folds = num_folds
        ends: dict[str, float] = {}
        for item in scored:
            ends[item.stream] = max(ends.get(item.stream, 0.0), float(item.arrays()[0][-1]))
        self._length_s = ends
        self._fold: dict[str, int] = {}
        if len(ends) >= num_folds:
            filled = np.zeros(num_folds)
            for stream in sorted(ends, key=lambda name: (-ends[name], name)):
                self._fold[stream] = int(np.argmin(filled))
                filled[self._fold[stream]] += ends[stream]
        seconds = np.zeros(num_folds)
        for item in scored:
            times, probabilities = item.arrays()
            known = ~np.isnan(probabilities)
            seconds += np.bincount(self.of(item.stream, times[known]), minlength=num_folds)
        if seconds.min() < 2:
            raise ValueError(
                f'{int(seconds.sum())} units were scored, which is not 2 for each of {num_folds} '
                'folds; record more'
            )
        #: Time that was scored in each fold, over all instructions, ``[folds]``.
        self.hours = seconds / 3600

    def of(self, stream: str, times_s: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the folds of moments of a recording."""
        times = np.asarray(times_s, np.float64)
        if stream in self._fold:
            return np.full(times.shape, self._fold[stream])
        # Ends of units are inside: the last one belongs to the last stretch.
        share = np.ceil(times) - 0.5
        index = np.floor(share / math.ceil(self._length_s[stream]) * self.num_folds)
        return np.clip(index, 0, self.num_folds - 1).astype(np.int64)
