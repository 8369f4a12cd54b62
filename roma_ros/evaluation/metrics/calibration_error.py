"""Whether a probability of 0.7 comes true seven times of ten."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .curves import check_labels

_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReliabilityBin:
    """
    Units of similar probability.

    :param low: lower end of the bin, outside it but for 0.
    :param high: upper end, inside it.
    :param count: units in it.
    :param mean_probability: of these units.
    :param share_true: how many of them were positive.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    share_true: float


def reliability(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, num_bins: int = 15
) -> tuple[ReliabilityBin, ...]:
    """
    Sort probabilities into bins of equal width, (low, high]; empty bins are left out.

    As ``sklearn.calibration.calibration_curve(strategy='uniform')``.

    :param labels: 0 or 1, ``[n]``.
    :param probabilities: 0..1, ``[n]``.
    :param num_bins: bins between 0 and 1.
    """
    truth, given = check_probabilities(labels, probabilities)
    edges = np.linspace(0, 1, num_bins + 1)
    index = np.searchsorted(edges[1:-1], given)
    return tuple(
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            count=int(inside.sum()),
            mean_probability=float(given[inside].mean()),
            share_true=float(truth[inside].mean()),
        )
        for i in range(num_bins)
        if (inside := index == i).any()
    )


def expected_calibration_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, num_bins: int = 15
) -> float | None:
    """
    Return the mean distance of probability and frequency, weighted by the bins' counts.

    Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017 (15 bins of equal width). Traps: it
    depends on the number of bins; a constant probability equal to the share of positives has
    0, so it says nothing without a curve; where positives are rare nearly every unit lies in the
    lowest bin, and what happens near the threshold does not count.

    :param labels: 0 or 1, ``[n]``.
    :param probabilities: 0..1, ``[n]``.
    :param num_bins: bins between 0 and 1.
    :return: 0..1; None for no units.
    """
    bins = reliability(labels, probabilities, num_bins=num_bins)
    total = sum(part.count for part in bins)
    if not total:
        return None
    gaps = (part.count * abs(part.mean_probability - part.share_true) for part in bins)
    return sum(gaps) / total


def brier_score(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float | None:
    """
    Return the mean squared distance of probability and label (Brier, 1950).

    As ``sklearn.metrics.brier_score_loss``. A constant p has p² + (1 - 2p) times the share of
    positives, its best is at p = that share.

    :param labels: 0 or 1, ``[n]``.
    :param probabilities: 0..1, ``[n]``.
    :return: 0..1; None for no units.
    """
    truth, given = check_probabilities(labels, probabilities)
    return float(np.mean((given - truth) ** 2)) if given.size else None


def check_probabilities(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], _FloatArray]:
    """
    Return labels and probabilities as arrays.

    :raises ValueError: when they are none.
    """
    truth, given = check_labels(labels, probabilities)
    if given.size and not 0 <= given.min() <= given.max() <= 1:
        raise ValueError(
            f'probabilities go from {given.min()} to {given.max()}, expected 0 to 1; '
            'take the sigmoid of logits first'
        )
    return truth, given
