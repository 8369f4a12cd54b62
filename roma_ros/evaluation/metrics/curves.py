"""Precision, recall and false alarms over all thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FloatArray = npt.NDArray[np.float64]


def check_labels(
    labels: Sequence[float] | npt.ArrayLike, scores: Sequence[float] | npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], _FloatArray]:
    """
    Return labels and scores as arrays.

    :param labels: 0 or 1, ``[n]``.
    :param scores: finite numbers, ``[n]``.
    :raises ValueError: when they are not; also NaN: what a NaN ranks as is for the caller to say.
    """
    truth, given = np.asarray(labels), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != given.shape:
        raise ValueError(
            f'labels have shape {truth.shape} and scores {given.shape}; expected [n] and [n]'
        )
    if not np.isfinite(given).all():
        index = int(np.flatnonzero(~np.isfinite(given))[0])
        raise ValueError(f'score {index} is {given[index]}; expected finite numbers')
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f'labels hold {np.unique(truth)[:5]}, expected 0 and 1')
    return truth.astype(bool), given


@dataclass(frozen=True, eq=False)
class Curve:
    """
    What each threshold gives; the highest threshold first.

    :param thresholds: each distinct score, falling; a score at the threshold counts as positive.
    :param num_true: positives at or above each.
    :param num_false: negatives at or above each.
    :param num_positives: positives in all.
    :param num_negatives: negatives in all.
    """

    thresholds: _FloatArray
    num_true: npt.NDArray[np.int64]
    num_false: npt.NDArray[np.int64]
    num_positives: int
    num_negatives: int

    @property
    def precision(self) -> _FloatArray:
        """Share of what is at or above each threshold that is positive."""
        return self.num_true / (self.num_true + self.num_false)

    @property
    def recall(self) -> _FloatArray:
        """Share of positives at or above each threshold; NaN without positives."""
        return self.num_true / (self.num_positives or np.nan)

    @property
    def false_positive_rate(self) -> _FloatArray:
        """Share of negatives at or above each threshold; NaN without negatives."""
        return self.num_false / (self.num_negatives or np.nan)


def sweep_thresholds(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Curve:
    """
    Count at every threshold; equal scores are one threshold.

    :param labels: 0 or 1, ``[n]``.
    :param scores: ``[n]``.
    """
    truth, given = check_labels(labels, scores)
    order = np.argsort(-given, kind='stable')
    given, truth = given[order], truth[order]
    last = np.flatnonzero(np.diff(given, append=-np.inf)) if given.size else np.empty(0, np.int64)
    num_true = np.cumsum(truth, dtype=np.int64)[last]
    return Curve(
        thresholds=given[last],
        num_true=num_true,
        num_false=last + 1 - num_true,
        num_positives=int(truth.sum()),
        num_negatives=int((~truth).sum()),
    )


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """
    Return the area under the precision-recall curve by steps: no interpolation.

    The sum of precision times the step of recall over all distinct thresholds; as
    ``sklearn.metrics.average_precision_score``. Traps: a random ranking gets the share of
    positives, not 0.5, so values of sets with other shares cannot be compared; ties flatter: two
    positives at one score are worth more than the same two apart below a negative; linear
    interpolation (``auc(recall, precision)``) is too optimistic; the official QVHighlights AP is
    another one, see :func:`.highlights.interpolated_average_precision`.

    :param labels: 0 or 1, ``[n]``.
    :param scores: ``[n]``.
    :return: 0..1; None without positives (scikit-learn says 0).
    """
    curve = sweep_thresholds(labels, scores)
    if not curve.num_positives:
        return None
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def roc_auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """
    Return the area under the ROC curve: how often a positive is above a negative.

    Ties count half; as ``sklearn.metrics.roc_auc_score``. Trap: where positives are rare, as
    moments to speak are, it looks good at precisions that nobody could bear.

    :param labels: 0 or 1, ``[n]``.
    :param scores: ``[n]``.
    :return: 0..1; None where one class is missing.
    """
    curve = sweep_thresholds(labels, scores)
    if not curve.num_positives or not curve.num_negatives:
        return None
    rate = np.concatenate([[0.0], curve.false_positive_rate])
    recall = np.concatenate([[0.0], curve.recall])
    return float(np.sum(np.diff(rate) * (recall[1:] + recall[:-1]) / 2))
