"""Other voices, microphones and cameras than those of the training streams, made of these."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..model.processor import UnitFeatures

#: Largest stretch of the mel axis, as a longer or shorter throat makes it.
MAX_WARP = 0.06
#: Largest change of a microphone's tone, in the spectrogram's unit: 0.1 is 4 dB.
MAX_TILT = 0.06
#: Points between which the tone changes smoothly.
_TILT_POINTS = 6
#: Bands of each of two gaps in the spectrogram, at most.
_MAX_GAP_BANDS = 5
#: Largest change of a camera's contrast and of its colours, as a share.
MAX_CONTRAST, MAX_TINT = 0.1, 0.08
#: Largest shift of brightness, in normalised pixel values.
_MAX_BRIGHTNESS = 0.1


def augment(features: Sequence[UnitFeatures], rng: np.random.Generator) -> list[UnitFeatures]:
    """
    Change how a stream looks and sounds, the same way in all units, and not what is true of it.

    :param features: of its units.
    :param rng: all of its chance.
    :return: the changed features.
    """
    bands = next((f.mel.shape[0] for f in features if f.mel is not None), 0)
    sources, tone = _ear(rng, bands)
    gain, shift = _eye(rng)
    changed = []
    for unit in features:
        mel, pixels = unit.mel, unit.pixel_values
        if mel is not None:
            mel = _hear(mel, sources, tone)
        if pixels is not None:
            channels = pixels.reshape(len(pixels), 3, -1) * gain[:, None] + shift[:, None]
            pixels = channels.reshape(pixels.shape).astype(np.float32)
        changed.append(replace(unit, mel=mel, pixel_values=pixels))
    return changed


def _ear(
    rng: np.random.Generator, bands: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draw from which place of the mel axis each band is read, and what is added to it."""
    warp = rng.uniform(-MAX_WARP, MAX_WARP) if rng.random() < 0.7 else 0.0
    sources = np.clip(np.arange(bands) * (1 + warp), 0, max(0, bands - 1))
    points = rng.uniform(-MAX_TILT, MAX_TILT, _TILT_POINTS)
    tone = np.interp(np.arange(bands), np.linspace(0, bands, _TILT_POINTS), points)
    for _ in range(2):
        width = int(rng.integers(0, _MAX_GAP_BANDS + 1))
        first = int(rng.integers(0, max(1, bands - width)))
        tone[first : first + width] = -np.inf
    return sources, tone


def _hear(
    mel: npt.NDArray[np.float32],
    sources: npt.NDArray[np.float64],
    tone: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    lower = np.floor(sources).astype(int)
    upper = np.minimum(lower + 1, len(mel) - 1)
    share = (sources - lower)[:, None]
    heard = mel[lower] * (1 - share) + mel[upper] * share
    # Gaps are as quiet as the quietest; the spectrogram ends 2 below its maximum, as ever.
    heard = np.maximum(heard + tone[:, None], mel.min())
    return np.maximum(heard, heard.max() - 2.0).astype(np.float32)


def _eye(
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draw gain and shift of each colour channel."""
    contrast = 1 + rng.uniform(-MAX_CONTRAST, MAX_CONTRAST)
    gain = contrast * (1 + rng.uniform(-MAX_TINT, MAX_TINT, 3) / 2)
    shift = rng.uniform(-_MAX_BRIGHTNESS, _MAX_BRIGHTNESS) + rng.uniform(-0.04, 0.04, 3)
    return gain, shift
