"""Predictors that watch nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """
    Something that watches nothing.

    :param scores: of one a second, 0..1, from the number of seconds and random numbers.
    :param share: from which score on it speaks.
    """

    name: str
    scores: Callable[[int, np.random.Generator], _FloatArray]
    share: float = 0.5

    def speaks(self, seconds: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        """Tell for each second whether it speaks at its end."""
        return self.scores(seconds, rng) >= self.share

    def times_s(self, seconds: int, rng: np.random.Generator) -> list[float]:
        """Return when it speaks."""
        return (np.flatnonzero(self.speaks(seconds, rng)) + 1.0).tolist()


def _every(k: int) -> Baseline:
    return Baseline(
        f'every {k} s', lambda seconds, rng: np.where(np.arange(1, seconds + 1) % k, 0.0, 1.0)
    )


#: All of them. Random ones speak in a tenth of the seconds.
BASELINES = (
    Baseline('random', lambda seconds, rng: rng.random(seconds), share=0.9),
    Baseline('always', lambda seconds, rng: np.ones(seconds)),
    Baseline('never', lambda seconds, rng: np.zeros(seconds)),
    _every(5),
    _every(10),
    _every(20),
)
