"""
From sensor messages to arrays, by the names of their fields.

Nothing of ROS is imported: messages of rclpy and of the ``rosbags`` package read the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .audio import decode_pcm, Samples, to_float
from .pixels import decode_compressed, decode_raw, Image

#: ``AudioChunk.FORMAT_*`` by number.
_CHUNK_FORMATS = {1: 'U8', 2: 'S16LE', 3: 'S32LE', 4: 'F32LE'}
#: Formats of PortAudio by number, and the field of ``AudioData`` that has them.
_PORTAUDIO_FIELDS = {
    1: 'float32_data',
    2: 'int32_data',
    8: 'int16_data',
    16: 'int8_data',
    32: 'uint8_data',
}


@dataclass(frozen=True, eq=False)
class Chunk:
    """
    One audio message.

    :param stamp_ns: capture time of the first sample [ns], as stamped.
    :param samples: float32 ``[n, channels]``, -1..1.
    :param rate_hz: sample rate [Hz].
    :param first_sample: the source's own number of the first sample, where it counts them.
    """

    stamp_ns: int
    samples: Samples
    rate_hz: int
    first_sample: int | None = None


def time_to_ns(time: Any) -> int:
    """Convert a ``builtin_interfaces/Time`` to nanoseconds; seconds may be negative."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)


def read_image(message: Any) -> Image:
    """
    Read a ``sensor_msgs/Image`` or ``CompressedImage``.

    :return: uint8 ``[H, W, 3]``, RGB; may be a read-only view of the message's data.
    :raises ValueError: with the reason, when it is no picture or is corrupt.
    """
    if hasattr(message, 'encoding'):
        return decode_raw(
            message.data,
            encoding=message.encoding,
            width=message.width,
            height=message.height,
            step=message.step,
            is_bigendian=bool(message.is_bigendian),
        )
    if 'compressedDepth' in message.format:
        raise ValueError(
            f'compressed image has format {message.format!r}: a depth map, not a picture'
        )
    return decode_compressed(message.data)


def read_audio(message: Any, *, info: Any = None) -> Chunk:
    """
    Read ``roma_ros/AudioChunk``, or the stamped audio of either ``audio_common_msgs``.

    :param message: AudioChunk, AudioDataStamped (ros-drivers) or AudioStamped (mgonzs13).
    :param info: the latched ``audio_common_msgs/AudioInfo`` that AudioDataStamped needs.
    :raises ValueError: with the reason, when it is malformed, coded (MP3), or lacks its info.
    """
    return _find_reader(message)(message, info)


def _find_reader(message: Any) -> Callable[[Any, Any], Chunk]:
    if hasattr(message, 'first_sample'):
        return _read_chunk
    if hasattr(message, 'audio'):
        return _read_typed if hasattr(message.audio, 'audio_data') else _read_described
    raise ValueError(
        f'{type(message).__name__} is no audio message with a stamp, expected AudioChunk, '
        'AudioDataStamped or AudioStamped'
    )


def _read_chunk(message: Any, info: Any) -> Chunk:
    sample_format = _CHUNK_FORMATS.get(message.sample_format)
    if sample_format is None:
        raise ValueError(
            f'AudioChunk has sample_format {message.sample_format}, expected one of '
            f'{", ".join(f"{number} ({name})" for number, name in _CHUNK_FORMATS.items())}'
        )
    samples = decode_pcm(message.data, sample_format=sample_format, channels=message.channels)
    return Chunk(
        time_to_ns(message.header.stamp),
        samples,
        int(message.sample_rate),
        int(message.first_sample),
    )


def _read_described(message: Any, info: Any) -> Chunk:
    """Read ros-drivers' AudioDataStamped, whose format is told by a latched AudioInfo."""
    if info is None:
        raise ValueError('AudioDataStamped came before any AudioInfo, which tells its format')
    if info.coding_format.lower() not in ('wave', 'wav', 'pcm', 'raw'):
        raise ValueError(
            f'audio is coded as {info.coding_format!r}, expected WAVE; set the format parameter '
            'of audio_capture to wave'
        )
    samples = decode_pcm(
        message.audio.data, sample_format=info.sample_format.upper(), channels=info.channels
    )
    return Chunk(time_to_ns(message.header.stamp), samples, int(info.sample_rate))


def _read_typed(message: Any, info: Any) -> Chunk:
    """Read mgonzs13's AudioStamped, which has one field for each sample type."""
    info = message.audio.info
    field = _PORTAUDIO_FIELDS.get(info.format)
    if field is None:
        raise ValueError(
            f"AudioStamped has format {info.format}, expected one of PortAudio's "
            f'{", ".join(map(str, _PORTAUDIO_FIELDS))}'
        )
    values = np.asarray(getattr(message.audio.audio_data, field))
    if info.channels < 1 or len(values) == 0 or len(values) % info.channels:
        raise ValueError(
            f'AudioStamped has {len(values)} samples in {field}, expected a positive multiple of '
            f'its {info.channels} channels'
        )
    samples = to_float(values).reshape(-1, info.channels)
    return Chunk(time_to_ns(message.header.stamp), samples, int(info.rate))
