"""
Between messages and arrays, both ways; needs no ROS itself.

The ways in are those of ``units.message_readers``, which recordings are read by as well.
"""

from array import array
from typing import Any

import numpy as np

from ..units.audio import Samples
from ..units.message_readers import Chunk, read_audio, read_image, time_to_ns
from ..units.pixels import Image

__all__ = [
    'Chunk',
    'fill_audio_chunk',
    'fill_image',
    'ns_to_time',
    'read_audio',
    'read_image',
    'time_to_ns',
]


def ns_to_time(stamp_ns: int) -> Any:
    """
    Convert nanoseconds to a ``builtin_interfaces/Time``.

    :raises ValueError: when it is outside of the message's range, about 68 years around 1970.
    """
    from builtin_interfaces.msg import Time

    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    if not -(2**31) <= seconds < 2**31:
        raise ValueError(f'stamp {stamp_ns} ns is {seconds} s, which int32 cannot hold')
    return Time(sec=seconds, nanosec=nanoseconds)


def fill_image(message: Any, image: Image) -> None:
    """
    Write RGB pixels into a ``sensor_msgs/Image``; its header stays as it is.

    :param message: the message.
    :param image: uint8 ``[H, W, 3]``, RGB.
    """
    message.height, message.width = image.shape[:2]
    message.encoding = 'rgb8'
    message.is_bigendian = 0
    message.step = 3 * image.shape[1]
    message.data = _to_array(image)


def fill_audio_chunk(
    message: Any, samples: Samples, *, rate_hz: int, first_sample: int = 0
) -> None:
    """
    Write samples into a ``roma_ros/AudioChunk`` as 16 bits; its header stays as it is.

    :param message: the message.
    :param samples: float32 ``[n]`` or ``[n, channels]``, -1..1; what is beyond is clipped.
    :param rate_hz: sample rate [Hz].
    :param first_sample: number of the first sample since the source began, per channel.
    """
    message.sample_rate = rate_hz
    message.channels = 1 if samples.ndim == 1 else samples.shape[1]
    message.sample_format = message.FORMAT_S16
    message.first_sample = first_sample
    scaled = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767)
    message.data = _to_array(scaled.astype('<i2'))


def _to_array(values: np.ndarray) -> 'array[int]':
    """Return the bytes as what rclpy takes over as it is; from numpy it copies item by item."""
    data = array('B')
    data.frombytes(np.ascontiguousarray(values).data.cast('B'))
    return data
