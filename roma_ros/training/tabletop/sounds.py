"""Sounds made from their physics: each draw is another bell, another glass, another knock."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ...units.unit import SAMPLE_RATE_HZ

_Samples = npt.NDArray[np.floating]

#: Peak of every sound.
PEAK = 0.5
#: Length of the shortest and the longest sound [s].
MIN_SOUND_S, MAX_SOUND_S = 0.4, 2.0
#: Partials above this would fold back [Hz].
_MAX_HZ = 7600.0


def make_sound(name: str, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """
    Make one sound with pitch, length and timbre drawn at random.

    :param name: one of ``SOUNDS``.
    :param rng: source of the draws.
    :return: float32 ``[n]``, mono, 16 kHz, 0.4 to 2 s, peak ``PEAK``; it begins at once.
    :raises ValueError: when there is no such sound.
    """
    if name not in _MAKERS:
        raise ValueError(f'no sound {name!r}; there are {", ".join(SOUNDS)}')
    samples = _MAKERS[name](rng)
    samples *= PEAK / np.abs(samples).max()
    return samples.astype(np.float32)


def _seconds(duration_s: float) -> _Samples:
    return np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def _fade(samples: _Samples, *, in_s: float, out_s: float) -> _Samples:
    """Shape the begin and the end so that neither clicks."""
    seconds = np.arange(len(samples)) / SAMPLE_RATE_HZ
    samples *= np.minimum(1, seconds / in_s) * np.minimum(1, seconds[::-1] / out_s)
    return samples


def _modes(
    count: int, hz: _Samples, amplitude: _Samples, decay_s: _Samples, phase: _Samples
) -> _Samples:
    """Sum damped vibrations, each of its own frequency, amplitude and decay time."""
    audible = hz < _MAX_HZ
    rate = (2j * np.pi * hz[audible] - 1 / decay_s[audible])[:, None] / SAMPLE_RATE_HZ
    start = (amplitude[audible] * np.exp(1j * phase[audible]))[:, None]
    # exp(r (256 i + j)) = exp(256 r i) exp(r j): one small matrix product for all samples.
    blocks = start * np.exp(rate * 256 * np.arange(-(-count // 256)))
    return np.asarray((blocks.T @ np.exp(rate * np.arange(256))).imag.reshape(-1)[:count])


def _band_noise(rng: np.random.Generator, count: int, low_hz: float, high_hz: float) -> _Samples:
    """Make white noise between two frequencies, with soft edges."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    gain = 1 / np.sqrt((1 + (low_hz / np.maximum(hz, 1)) ** 6) * (1 + (hz / high_hz) ** 6))
    return np.fft.irfft(spectrum * gain, count)


def _bell(rng: np.random.Generator) -> _Samples:
    """Strike a bell once or twice: partials that are not multiples, the higher the sooner gone."""
    seconds = _seconds(rng.uniform(0.9, MAX_SOUND_S))
    strike_hz = 350 * 2 ** rng.uniform(0, 1.8)
    ratio = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.52, 3.01, 4.17, 5.43, 6.8])
    ratio *= rng.uniform(0.985, 1.015, len(ratio))
    amplitude = rng.uniform(0.4, 1, len(ratio)) / ratio**0.5
    decay_s = rng.uniform(0.35, 0.8) / ratio**0.6
    # Each partial is a pair a little apart, since no bell is quite round: it beats.
    hz = np.repeat(strike_hz * ratio, 2)
    hz[1::2] += rng.uniform(0.5, 4, len(ratio))
    phase = rng.uniform(0, 2 * np.pi, len(hz))
    ring = _modes(len(seconds), hz, np.repeat(amplitude, 2), np.repeat(decay_s, 2), phase)
    click = _band_noise(rng, 512, 2000, 6000) * np.exp(-seconds[:512] / 0.004)
    ring[:512] += rng.uniform(0.1, 0.5) * click
    if rng.random() < 0.4:
        second = round(rng.uniform(0.25, 0.45) * SAMPLE_RATE_HZ)
        ring[second:] += rng.uniform(0.6, 1) * ring[:-second].copy()
    return _fade(ring, in_s=0.001, out_s=0.05)


def _beep(rng: np.random.Generator) -> _Samples:
    """Make one to four equal tones of one steady pitch, as an appliance does."""
    count = int(rng.integers(1, 5))
    tone_s = rng.uniform(0.45, 0.8) if count == 1 else rng.uniform(0.16, 0.25)
    gap_s = rng.uniform(0.08, 0.18)
    seconds = _seconds(tone_s)
    hz = 700 * 2 ** rng.uniform(0, 1.8)
    # From a sine to something near a square wave.
    edge = rng.uniform(0, 0.8)
    tone = sum(
        np.sin(2 * np.pi * hz * k * seconds) * edge ** (k // 2) / k
        for k in (1, 3, 5)
        if hz * k < _MAX_HZ
    )
    tone = _fade(np.asarray(tone), in_s=0.005, out_s=0.008)
    piece = np.concatenate([tone, np.zeros(round(gap_s * SAMPLE_RATE_HZ))])
    return np.concatenate([np.tile(piece, count - 1), tone])


def _siren(rng: np.random.Generator) -> _Samples:
    """Sweep a tone with harmonics up and down without a break."""
    seconds = _seconds(rng.uniform(1.2, MAX_SOUND_S))
    low_hz = rng.uniform(400, 700)
    octaves = rng.uniform(0.9, 1.6)
    period_s = rng.uniform(0.35, 1.4)
    turn = (seconds / period_s + rng.random()) % 1
    if rng.random() < 0.5:
        height = 0.5 - 0.5 * np.cos(2 * np.pi * turn)
    else:
        height = 1 - np.abs(2 * turn - 1)
    hz = low_hz * 2 ** (octaves * height)
    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE_HZ
    falloff = rng.uniform(0.25, 0.7)
    wave = sum(falloff ** (k - 1) * np.sin(k * phase) * (k * hz < _MAX_HZ) for k in range(1, 6))
    return _fade(np.asarray(wave), in_s=0.03, out_s=0.06)


def _knock(rng: np.random.Generator) -> _Samples:
    """Hit wood two to four times: a dull thud of a few low modes, gone in 50 ms."""
    count = int(rng.integers(2, 5))
    period_s = rng.uniform(0.14, 0.3)
    seconds = _seconds(0.16)
    modes = 6
    hz = rng.uniform(110, 260) * np.cumprod(rng.uniform(1.25, 1.9, modes))
    amplitude = rng.uniform(0.4, 1, modes) / np.arange(1, modes + 1)
    decay_s = rng.uniform(0.012, 0.03) / np.arange(1, modes + 1) ** 0.5
    click = rng.uniform(0.2, 0.6)
    track = np.zeros(max(round(((count - 1) * period_s + 0.16) * SAMPLE_RATE_HZ), 6400))
    for index in range(count):
        phase = rng.uniform(-0.3, 0.3, modes)
        hit = _modes(len(seconds), hz, amplitude, decay_s, phase)
        hit += click * _band_noise(rng, len(seconds), 300, 2500) * np.exp(-seconds / 0.006)
        late_s = index and index * period_s * rng.uniform(0.94, 1.06)
        start = min(round(late_s * SAMPLE_RATE_HZ), len(track) - len(hit))
        track[start : start + len(hit)] += rng.uniform(0.6, 1) * _fade(
            hit, in_s=0.0005, out_s=0.01
        )
    return track


def _glass(rng: np.random.Generator) -> _Samples:
    """Break a glass: a bright burst, then splinters that ring high, ever fewer."""
    seconds = _seconds(rng.uniform(0.6, 1.5))
    track = np.zeros(len(seconds))
    burst = _band_noise(rng, 8192, 2500, 7000)
    track[:8192] = burst * np.exp(-seconds[:8192] / rng.uniform(0.02, 0.06))
    splinters = int(rng.integers(14, 40))
    late_s = rng.exponential(rng.uniform(0.12, 0.3), splinters)
    for start_s in late_s[late_s < seconds[-1] - 0.1]:
        start = round(start_s * SAMPLE_RATE_HZ)
        hz = rng.uniform(1900, 6500) * np.array([1.0, rng.uniform(1.3, 1.7)])
        splinter = _modes(
            min(len(seconds) - start, SAMPLE_RATE_HZ // 4),
            hz,
            np.array([1.0, 0.5]),
            rng.uniform(0.008, 0.05, 2),
            rng.uniform(0, 2 * np.pi, 2),
        )
        loudness = rng.uniform(0.15, 0.6) * np.exp(-start_s / 0.6)
        track[start : start + len(splinter)] += loudness * splinter
    return _fade(track, in_s=0.001, out_s=0.05)


def _hum(rng: np.random.Generator) -> _Samples:
    """Run a transformer or a motor: steady low harmonics that hardly change."""
    seconds = _seconds(rng.uniform(1.0, MAX_SOUND_S))
    base_hz = rng.uniform(90, 180)
    orders = np.arange(1, rng.integers(6, 16))
    amplitude = rng.uniform(0.3, 1, len(orders)) / orders ** rng.uniform(0.5, 1.1)
    phase = rng.uniform(0, 2 * np.pi, len(orders))
    steady = np.full(len(orders), np.inf)
    wave = _modes(len(seconds), base_hz * orders, amplitude, steady, phase)
    swell = 1 + rng.uniform(0, 0.25) * np.sin(2 * np.pi * rng.uniform(2, 9) * seconds)
    return _fade(wave * swell, in_s=0.06, out_s=0.08)


_MAKERS: dict[str, Callable[[np.random.Generator], _Samples]] = {
    'bell': _bell,
    'beep': _beep,
    'siren': _siren,
    'knock': _knock,
    'glass': _glass,
    'hum': _hum,
}
#: Names of the sounds, in a fixed order.
SOUNDS: tuple[str, ...] = tuple(_MAKERS)
