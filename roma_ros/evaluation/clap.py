"""The clap test: is a flash where its click is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

# A flash raises the mean luminance by at least this much from one frame to the next, 0..255.
_FLASH_STEP = 100.0
# The click lies this near to the flash [ns]; it is this loud, and this far above its surroundings.
_REACH_NS = 500_000_000
_CLICK_PEAK, _CLICK_OVER_RMS = 0.2, 6.0


@dataclass(frozen=True)
class Clap:
    """
    One instant, seen and heard.

    :param flash_ns: stamp of the first bright frame [ns].
    :param click_ns: capture time of the click's first sample [ns].
    """

    flash_ns: int
    click_ns: int

    @property
    def offset_ms(self) -> float:
        """How much later the click is than the flash [ms]."""
        return (self.click_ns - self.flash_ns) / 1e6


def find_clap(
    luminance: Sequence[tuple[int, float]],
    sample_stamps_ns: npt.NDArray[np.int64],
    samples: npt.NDArray[np.float32],
) -> Clap | None:
    """
    Find the first clap.

    :param luminance: stamp [ns] and mean luminance (0..255) of each frame, in order.
    :param sample_stamps_ns: capture time of each sample [ns].
    :param samples: the sound, -1..1, as long.
    :return: the clap; none when there is no flash, or no click near it.
    """
    for (_, before), (flash_ns, level) in pairwise(luminance):
        if level - before < _FLASH_STEP:
            continue
        near = np.abs(sample_stamps_ns - flash_ns) <= _REACH_NS
        loudness = np.abs(samples[near])
        if not loudness.size:
            return None
        peak = float(loudness.max())
        if peak < max(_CLICK_PEAK, _CLICK_OVER_RMS * float(np.sqrt(np.mean(loudness**2)))):
            return None
        onset = np.flatnonzero(loudness > peak / 2)[0]
        return Clap(flash_ns, int(sample_stamps_ns[near][onset]))
    return None
