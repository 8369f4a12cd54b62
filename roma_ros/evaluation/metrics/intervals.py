"""How sure a figure is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

import numpy as np
import numpy.typing as npt

_FloatArray = npt.NDArray[np.float64]

#: Share of intervals that hold the truth.
LEVEL = 0.95
#: Resamples of a bootstrap.
NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """
    A figure and where it may lie.

    :param value: the figure; None where it is not defined, as a rate of nothing.
    :param low: lower end of the interval at ``LEVEL``; None where nothing can be said.
    :param high: upper end, likewise.
    :param count: what it rests on: how many windows, utterances, delays...
    """

    value: float | None
    low: float | None
    high: float | None
    count: int


def bootstrap(
    statistic: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]],
    num_groups: int,
    *,
    seed: int = 0,
) -> tuple[float | None, float | None]:
    """
    Return a percentile bootstrap interval.

    Whole groups (streams, videos) are drawn, with replacement, since what happens in one is not
    independent. Resamples in which the figure is not defined are left out. Trap: it is too narrow
    below some twenty groups, and has no width where all groups are alike; see
    :func:`rate_without_events_high` for counts of zero.

    :param statistic: from how often each group was drawn, int64 ``[resamples, num_groups]``, to
        the figures ``[resamples]``; NaN where not defined.
    :param num_groups: number of groups.
    :param seed: of the draws; the same seed, the same interval.
    :return: lower and upper end; None for fewer than two groups, or where half of the resamples
        or more are not defined.
    """
    if num_groups < 2:
        return None, None
    rng = np.random.default_rng(seed)
    figures = statistic(
        rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), NUM_RESAMPLES)
    )
    figures = figures[~np.isnan(figures)]
    if figures.size <= NUM_RESAMPLES / 2:
        return None, None
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def ratio_estimate(above: _FloatArray, below: _FloatArray, count: int, seed: int) -> Estimate:
    """
    Return the ratio of two sums over groups; not defined where the lower one is zero.

    :param above: of each group, ``[groups]``.
    :param below: likewise, at least 0.
    :param count: what the figure rests on.
    :param seed: of the interval.
    """

    def figures(weights: npt.NDArray[np.int64]) -> _FloatArray:
        bottom = weights @ below
        known = bottom > 0
        return np.where(known, weights @ above / np.where(known, bottom, 1), np.nan)

    value = float(figures(np.ones((1, len(above)), np.int64))[0])
    if np.isnan(value):
        return Estimate(None, None, None, count)
    return Estimate(value, *bootstrap(figures, len(above), seed=seed), count)


def bounded(estimate: Estimate, *, high: float | None, low: float | None = None) -> Estimate:
    """
    Put a limit such as the rule of three in the place of a bootstrap that has seen nothing.

    :param estimate: of a bootstrap; one that is not defined stays as it is.
    :param high: upper end; None beside a ``low``: the value itself.
    :param low: lower end; None beside a ``high``: the value itself.
    """
    if estimate.value is None or (high is None and low is None):
        return estimate
    return Estimate(
        estimate.value,
        estimate.value if low is None else low,
        estimate.value if high is None else high,
        estimate.count,
    )


def quantile_estimates(
    name: str, groups: Sequence[Sequence[float]], seed: int
) -> dict[str, Estimate]:
    """
    Return median and 90th percentile (linear interpolation) of what is in the groups.

    :param name: the figures are ``<name>_median_s`` and ``<name>_p90_s``.
    :param groups: seconds.
    :param seed: of the intervals.
    """
    values = np.array([value for group in groups for value in group])
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    order = np.argsort(values, kind='stable')
    values, owner = values[order], owner[order]
    estimates = {}
    for label, share in (('median', 0.5), ('p90', 0.9)):
        if not values.size:
            estimates[f'{name}_{label}_s'] = Estimate(None, None, None, 0)
            continue

        def figures(weights: npt.NDArray[np.int64], share: float = share) -> _FloatArray:
            upto = np.cumsum(weights[:, owner], axis=1)  # [resamples, values], drawn so far
            place = share * np.maximum(upto[:, -1] - 1, 0)
            low, high = (
                values[np.minimum((upto <= at[:, None]).sum(1), len(values) - 1)]
                for at in (np.floor(place), np.ceil(place))
            )
            return np.where(upto[:, -1] > 0, low + (high - low) * (place % 1), np.nan)

        value = float(figures(np.ones((1, len(groups)), np.int64))[0])
        interval = bootstrap(figures, len(groups), seed=seed)
        estimates[f'{name}_{label}_s'] = Estimate(value, *interval, len(values))
    return estimates


def rate_without_events_high(amount: float) -> float:
    """
    Return the highest rate that fits with no event at all: the rule of three.

    No event in an amount T excludes, at ``LEVEL``, Poisson rates above -ln(1 - LEVEL) / T =
    3.0 / T (Hanley and Lippman-Hand, JAMA 1983).

    :param amount: what was watched: hours.
    :return: events per the unit of ``amount``; infinite for an amount of zero.
    """
    return -math.log(1 - LEVEL) / amount if amount > 0 else math.inf


def share_without_events_high(count: int) -> float:
    """
    Return the highest share that fits with none of ``count``: exact, 3 / n for large n.

    :param count: trials; 0 gives 1.
    """
    return 1 - (1 - LEVEL) ** (1 / count) if count else 1.0


def poisson_high(count: int, *, level: float = LEVEL) -> float:
    """
    Return the exact one-sided upper limit of a Poisson mean (Garwood, Biometrika 1936).

    With zero events it is the rule of three.

    :param count: events that were seen.
    :param level: share of such limits that hold, between 0 and 1.
    :return: the mean at which so few events or fewer have probability 1 - ``level``.
    """
    if count < 0 or not 0 < level < 1:
        raise ValueError(f'count is {count} and level {level}; expected at least 0, and 0 to 1')
    logs = np.cumsum(np.log(np.maximum(np.arange(count + 1), 1)))

    def probability_of_at_most(mean: float) -> float:
        return float(np.exp(np.arange(count + 1) * math.log(mean) - mean - logs).sum())

    low, high = float(max(count, 1e-9)), count + 10 * math.sqrt(count + 1) - math.log(1 - level)
    for _ in range(100):
        middle = (low + high) / 2
        if probability_of_at_most(middle) > 1 - level:
            low = middle
        else:
            high = middle
    return (low + high) / 2
