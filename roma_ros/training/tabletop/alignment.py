"""Word times of a voice that tells none: those of another voice, carried over."""

import numpy as np
import numpy.typing as npt

from ...units.unit import SAMPLE_RATE_HZ

_Samples = npt.NDArray[np.float32]
_Features = npt.NDArray[np.float64]

#: Distance and length of the frames that are compared [samples]: 5 and 25 ms.
_HOP, _WINDOW = 80, 400
_BANDS = 24
#: Cepstral coefficients: the first, loudness, and those of the coarse shape of the spectrum.
_COEFFICIENTS = 12
#: What a frame held on one side alone costs, beside the distance of the frames.
_HOLD_COST = 0.3


def carry_words(
    words: tuple[tuple[str, float, float], ...], said: _Samples, heard: _Samples
) -> tuple[tuple[str, float, float], ...]:
    """
    Find the words of one speaker in the same sentence of another.

    Both are laid over each other in time so that their spectra differ least (dynamic time
    warping). What differs by speaker, level and tilt of the spectrum, is taken out first.

    :param words: each word with its start and end [s] in ``said``.
    :param said: float32 ``[n]``, 16 kHz, without silence around it.
    :param heard: float32 ``[m]``, the same words by another voice, without silence around it.
    :return: each word with its start and end [s] in ``heard``.
    """
    path = _warp(_features(said), _features(heard))
    said_s, heard_s = path.T * (_HOP / SAMPLE_RATE_HZ)
    # The middle of the stay where one frame lies on several.
    frames_s, first = np.unique(said_s, return_index=True)
    last = np.append(first[1:], len(said_s)) - 1
    middle_s = (heard_s[first] + heard_s[last]) / 2
    bounds = np.interp([bound for word in words for bound in word[1:]], frames_s, middle_s)
    bounds[0], bounds[-1] = 0.0, len(heard) / SAMPLE_RATE_HZ
    return tuple(
        (word[0], float(begin), float(end))
        for word, begin, end in zip(words, bounds[::2], bounds[1::2], strict=True)
    )


def _features(samples: _Samples) -> _Features:
    """Make cepstra and their changes, each of mean 0 and variance 1: float64 ``[frames, F]``."""
    padded = np.pad(samples.astype(np.float64), _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), 512)))
    energy = power @ _band_weights()
    log = np.log(energy + 1e-5 * energy.max())
    angles = np.pi / _BANDS * (np.arange(_BANDS)[:, None] + 0.5) * np.arange(_COEFFICIENTS)
    cepstra = log @ np.cos(angles)
    change = np.pad(cepstra, ((3, 3), (0, 0)), mode='edge')
    both = np.concatenate([cepstra, change[6:] - change[:-6]], axis=1)
    return (both - both.mean(axis=0)) / (both.std(axis=0) + 1e-9)


def _band_weights() -> _Features:
    """Spread the bins over bands, narrow below and wide above: float64 ``[bins, bands]``."""
    hz = np.fft.rfftfreq(512, 1 / SAMPLE_RATE_HZ)
    pitch = np.log1p(hz / 700)
    centers = np.linspace(np.log1p(100 / 700), np.log1p(7500 / 700), _BANDS)
    return np.maximum(0, 1 - np.abs(pitch[:, None] - centers) / (centers[1] - centers[0]))


def _warp(a: _Features, b: _Features) -> npt.NDArray[np.intp]:
    """Return the pairs of frames on the cheapest way through both: ``[steps, 2]``."""
    squares = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
    cost = np.sqrt(np.maximum(squares, 0) / a.shape[1])
    total = np.empty_like(cost)
    hold = cost + _HOLD_COST
    total[0] = np.cumsum(hold[0])
    for i in range(1, len(a)):
        above = total[i - 1] + hold[i]
        above[1:] = np.minimum(above[1:], total[i - 1, :-1] + cost[i, 1:])
        # total[j] = min(above[j], total[j - 1] + hold[j]) for all j at once.
        along = np.cumsum(hold[i])
        total[i] = along + np.minimum.accumulate(above - along)
    i, j = len(a) - 1, len(b) - 1
    path = [(i, j)]
    while i or j:
        steps = []
        if i and j:
            steps.append((total[i - 1, j - 1] + cost[i, j], i - 1, j - 1))
        if i:
            steps.append((total[i - 1, j] + hold[i, j], i - 1, j))
        if j:
            steps.append((total[i, j - 1] + hold[i, j], i, j - 1))
        _, i, j = min(steps)
        path.append((i, j))
    return np.array(path[::-1], np.intp)
