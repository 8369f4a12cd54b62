"""Samples: from PCM bytes or arrays to float32 mono, and to another rate."""

from array import array
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .resampler import Resampler
from .unit import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float32]
Bytes: TypeAlias = 'bytes | bytearray | memoryview | array[int] | npt.NDArray[np.uint8]'

#: Little-endian PCM formats by name: numpy type to read as, and bytes of a sample.
_FORMATS = {
    'U8': ('u1', 1),
    'S8': ('i1', 1),
    'S16LE': ('<i2', 2),
    'S24LE': ('<i4', 3),
    'S32LE': ('<i4', 4),
    'F32LE': ('<f4', 4),
}


def decode_pcm(
    data: Bytes,
    *,
    sample_format: str,
    channels: int,
) -> Samples:
    """
    Decode interleaved PCM.

    :param data: bytes, read where they are.
    :param sample_format: U8 (128 is zero), S8, S16LE, S24LE (packed), S32LE or F32LE.
    :param channels: number of channels.
    :return: float32 ``[n, channels]``, -1..1.
    :raises ValueError: when the format is unknown, or the length does not fit.
    """
    if sample_format not in _FORMATS:
        raise ValueError(
            f'sample format is {sample_format!r}, expected one of {", ".join(_FORMATS)}'
        )
    if channels < 1:
        raise ValueError(f'audio has {channels} channels, expected 1 or more')
    dtype, sample_bytes = _FORMATS[sample_format]
    values = np.frombuffer(data, np.uint8)
    if len(values) == 0 or len(values) % (sample_bytes * channels):
        raise ValueError(
            f'audio data has {len(values)} bytes, expected a positive multiple of '
            f'{sample_bytes * channels} ({channels} channels of {sample_format})'
        )
    if sample_format == 'S24LE':  # into the upper bytes of 32 bits
        wide = np.zeros((len(values) // 3, 4), np.uint8)
        wide[:, 1:] = values.reshape(-1, 3)
        values = wide.reshape(-1)
    return to_float(values.view(dtype)).reshape(-1, channels)


def to_float(samples: npt.NDArray[np.generic]) -> Samples:
    """
    Scale samples to -1..1.

    :param samples: floats -1..1 of any width; or uint8 (128 is zero), int8, int16 or int32 at
        full scale.
    :return: float32 of the same shape; not a copy where it is that already.
    :raises ValueError: when the dtype is another.
    """
    if samples.dtype.kind == 'f':
        return samples.astype(np.float32, copy=False)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - np.float32(128)) / np.float32(128)
    if samples.dtype.kind == 'i' and samples.dtype.itemsize <= 4:
        scale = np.float32(0.5 ** (8 * samples.dtype.itemsize - 1))
        return np.multiply(samples, scale, dtype=np.float32)
    raise ValueError(
        f'samples are {samples.dtype}, expected float -1..1, uint8, int8, int16 or int32'
    )


def to_mono(samples: npt.NDArray[np.generic], *, channel: int | None = None) -> Samples:
    """
    Mix channels, or pick one.

    :param samples: ``[n]`` or ``[n, channels]``, as ``to_float`` takes them.
    :param channel: number of the channel to pick, from 0; None mixes all by their mean.
    :return: float32 ``[n]``; not a copy where it is that already.
    :raises ValueError: when there is no sample, a value that is not finite, or no such channel.
    """
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise ValueError(
            f'audio has shape {list(samples.shape)}, expected [n] or [n, channels], n > 0'
        )
    if channel is not None and channel >= (1 if samples.ndim == 1 else samples.shape[1]):
        raise ValueError(
            f'audio has shape {list(samples.shape)} and no channel {channel} (counted from 0)'
        )
    if samples.ndim == 1:
        mono = to_float(samples)
    elif channel is not None:
        mono = np.ascontiguousarray(to_float(samples[:, channel]))
    elif samples.shape[1] == 1:
        mono = to_float(samples[:, 0])
    else:
        mono = to_float(samples).mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono.sum()):
        raise ValueError('audio has values that are not finite')
    return mono


def resample(samples: Samples, *, rate_hz: int, out_rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """
    Convert a whole signal to another rate.

    :param samples: float32 ``[n]``.
    :param rate_hz: its rate [Hz].
    :param out_rate_hz: the rate wanted [Hz].
    :return: float32 ``[ceil(n * out_rate_hz / rate_hz)]``; the first sample stays where it is.
    """
    count = -(-len(samples) * out_rate_hz // rate_hz)
    return Resampler(rate_hz, out_rate_hz).interpolate(
        samples, first=0.0, step=rate_hz / out_rate_hz, count=count
    )
