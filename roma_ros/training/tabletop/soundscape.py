"""The sound of a stream: speech and sounds at their times and levels, in a room, over noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...units.unit import SAMPLE_RATE_HZ

_Samples = npt.NDArray[np.float32]

#: Levels over the noise to draw from [dB].
MIN_SNR_DB, MAX_SNR_DB = 3.0, 25.0
#: No sample is louder than this: a louder mix is made quieter as a whole.
MAX_PEAK = 0.95
#: Time in which the echo falls by 60 dB, shortest and longest [s].
_MIN_DECAY_S, _MAX_DECAY_S = 0.08, 0.3
#: The echo's level against the direct sound, lowest and highest [dB].
_MIN_ECHO_DB, _MAX_ECHO_DB = -20.0, -8.0
_LEVEL_FRAME = SAMPLE_RATE_HZ // 50


@dataclass(frozen=True, eq=False)
class Item:
    """
    One sound or utterance in a soundscape.

    :param samples: float32 ``[n]``, mono, 16 kHz, at any level.
    :param start_s: when it begins; what reaches past the end is cut.
    :param snr_db: its level (``level``) over that of the noise beneath it.
    """

    samples: _Samples
    start_s: float
    snr_db: float


def mix(
    duration_s: float, items: Sequence[Item], noise: _Samples, rng: np.random.Generator
) -> _Samples:
    """
    Place items over noise, all in one room drawn at random.

    The room adds a light echo after each item, 8 dB or more below it, that moves no onset.

    :param duration_s: length of the mix.
    :param items: what is heard, in any order.
    :param noise: float32 ``[duration_s * 16000]``; silence for a mix without noise is not
        allowed where there are items, since their levels are relative to it.
    :param rng: source of the room.
    :return: float32 ``[duration_s * 16000]``, within ``MAX_PEAK``.
    :raises ValueError: when the noise has another length or is silent, or an item begins outside.
    """
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    if noise.shape != (num_samples,):
        raise ValueError(f'noise of {noise.shape} for a mix of {num_samples} samples')
    room = _room(rng)
    track = noise.astype(np.float32)
    floor = float(np.sqrt(np.mean(np.square(noise))))
    if items and not floor > 0:
        raise ValueError('the noise is silent: levels of items are relative to it')
    for item in items:
        start = round(item.start_s * SAMPLE_RATE_HZ)
        if not 0 <= start < num_samples:
            raise ValueError(f'an item begins at {item.start_s} s of {duration_s} s')
        beneath = noise[start : start + len(item.samples)]
        # Where the noise swells it is the swell that the item has to be heard over.
        noise_rms = max(floor, float(np.sqrt(np.mean(np.square(beneath)))))
        gain = noise_rms * 10 ** (item.snr_db / 20) / level(item.samples)
        wet = _convolve(item.samples * np.float32(gain), room)[: num_samples - start]
        track[start : start + len(wet)] += wet
    peak = float(np.abs(track).max(initial=0))
    return track * np.float32(MAX_PEAK / peak) if peak > MAX_PEAK else track


def level(samples: _Samples) -> float:
    """
    Return how loud a sound is while it sounds: pauses between knocks do not count.

    :param samples: float32 ``[n]``.
    :return: root mean square of the frames of 20 ms within 20 dB of the loudest one.
    """
    padded = np.zeros(-(-len(samples) // _LEVEL_FRAME) * _LEVEL_FRAME, np.float32)
    padded[: len(samples)] = samples
    power = np.mean(np.square(padded.reshape(-1, _LEVEL_FRAME)), axis=1)
    return float(np.sqrt(power[power >= power.max() / 100].mean()))


def _room(rng: np.random.Generator) -> _Samples:
    """Draw a room's response: the direct sound, then reflections that die away."""
    decay_s = rng.uniform(_MIN_DECAY_S, _MAX_DECAY_S)
    count = round(decay_s * SAMPLE_RATE_HZ)
    seconds = np.arange(count) / SAMPLE_RATE_HZ
    echo = rng.standard_normal(count) * 10 ** (-3 * seconds / decay_s)
    # Sparse at first, dense later, as paths of one wall, then of many.
    echo *= rng.random(count) < np.minimum(1, 0.01 + seconds / 0.05)
    echo[: round(rng.uniform(0.002, 0.006) * SAMPLE_RATE_HZ)] = 0
    gain = 10 ** (rng.uniform(_MIN_ECHO_DB, _MAX_ECHO_DB) / 20)
    response = echo * (gain / np.sqrt(np.sum(np.square(echo))))
    response[0] = 1.0
    return response.astype(np.float32)


def _convolve(samples: _Samples, response: _Samples) -> _Samples:
    count = len(samples) + len(response) - 1
    size = 1 << (count - 1).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[:count].astype(np.float32)
