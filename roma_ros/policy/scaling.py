"""From the speak head's probability to one that can be believed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FloatArray = npt.NDArray[np.float64]

# Probabilities nearer to 0 and 1 are taken as this near: float32 has no more.
_EDGE = 1e-6
# Pull towards temperature 1 and offset 0, worth a thousandth of a unit: keeps the fit finite where
# all scores are equal.
_RIDGE = 1e-3
# Bounds of 1 / temperature: scores that contradict their labels end at the lower one.
_SHARPEST, _DULLEST = 20.0, 0.02


@dataclass(frozen=True)
class Scaling:
    """
    Temperature scaling with an offset: sigmoid(logit(p) / temperature + offset).

    Source: Guo et al., ICML 2017, and Platt, 1999. The offset is needed as well, since the
    speak head is trained with positives weighted 3 (paper 5.1), which adds about log 3 to every
    logit. It is monotonic: no decision changes when the threshold is scaled too.

    :param temperature: above 1: the head was too sure of itself.
    :param offset: added to the logit afterwards.
    """

    temperature: float = 1.0
    offset: float = 0.0

    def __call__(self, probabilities: npt.ArrayLike) -> _FloatArray:
        """Scale probabilities, 0..1, any shape; NaN stays NaN."""
        return _sigmoid(_logit(probabilities) / self.temperature + self.offset)


def fit_scaling(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Scaling:
    """
    Fit temperature and offset to labelled units: the smallest log loss.

    Labels are softened as Platt does, (N₊ + 1) / (N₊ + 2) and 1 / (N₋ + 2), so that few or
    perfectly separated units do not make the result sure of everything.

    :param labels: 0 or 1, ``[n]``.
    :param probabilities: of the speak head, ``[n]``, finite.
    :return: the identity where there are no units.
    """
    truth = np.asarray(labels, bool)
    logits = _logit(probabilities)
    if truth.shape != logits.shape or not np.isfinite(logits).all():
        raise ValueError(
            f'{truth.size} labels and {logits.size} probabilities, {int(np.isnan(logits).sum())} '
            'of them NaN; expected as many, and finite'
        )
    num_true, num_false = int(truth.sum()), int((~truth).sum())
    if not truth.size:
        return Scaling()
    target = np.where(truth, (num_true + 1) / (num_true + 2), 1 / (num_false + 2))
    slope, offset = _newton(logits, target, np.array([1.0, 0.0]), free=np.array([True, True]))
    if not _DULLEST <= slope <= _SHARPEST:
        start = np.array([np.clip(slope, _DULLEST, _SHARPEST), 0.0])
        slope, offset = _newton(logits, target, start, free=np.array([False, True]))
    return Scaling(float(1 / slope), float(offset))


def log_loss(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float | None:
    """
    Return the mean of -log p of what happened [nats]; None for no units.

    :param labels: 0 or 1, ``[n]``.
    :param probabilities: ``[n]``; 0 and 1 count as 1e-6 and 1 - 1e-6.
    """
    truth = np.asarray(labels, bool)
    given = np.clip(np.asarray(probabilities, np.float64), _EDGE, 1 - _EDGE)
    return float(-np.log(np.where(truth, given, 1 - given)).mean()) if truth.size else None


def _newton(
    logits: _FloatArray, target: _FloatArray, start: _FloatArray, *, free: npt.NDArray[np.bool_]
) -> _FloatArray:
    """Minimise the penalised log loss over slope and offset; it is convex, so this ends."""
    design = np.stack([logits, np.ones_like(logits)], axis=1)  # [n, 2]
    centre = np.array([1.0, 0.0])
    weights = start

    def loss(w: _FloatArray) -> float:
        z = design @ w
        return float(np.sum(np.logaddexp(0, z) - target * z) + _RIDGE * np.sum((w - centre) ** 2))

    for _ in range(100):
        share = _sigmoid(design @ weights)
        gradient = design.T @ (share - target) + 2 * _RIDGE * (weights - centre)
        hessian = (design * (share * (1 - share))[:, None]).T @ design + 2 * _RIDGE * np.eye(2)
        step = np.zeros(2)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        before, size = loss(weights), 1.0
        while size > 1e-8 and loss(weights - size * step) > before:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return weights


def _logit(probabilities: npt.ArrayLike) -> _FloatArray:
    given = np.clip(np.asarray(probabilities, np.float64), _EDGE, 1 - _EDGE)
    return np.log(given) - np.log1p(-given)


def _sigmoid(logits: _FloatArray) -> _FloatArray:
    with np.errstate(invalid='ignore'):  # NaN stays NaN
        return np.exp(-np.logaddexp(0, -logits))
