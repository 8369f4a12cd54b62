"""Messages of a camera and a microphone, made up, and fed to the units as the node does."""

from collections.abc import Iterable
from types import SimpleNamespace as Fields
from typing import Any

import numpy as np

from ..nodes.conversions import fill_audio_chunk, fill_image
from ..nodes.filters import UnitFilter
from ..units.unit import UNIT_NS

#: When the first frame was taken [ns].
T0_NS = 1_700_000_000_000_000_000
#: By name: encoding of images of 640×480 at 30 fps, sample rate [Hz], drift of the sound [ppm].
INPUTS = {
    'rgb8 640x480, 16 kHz': ('rgb8', 16_000, 0),
    'rgb8 640x480, 16 kHz drifting': ('rgb8', 16_000, 50),
    'rgb8 640x480, 48 kHz': ('rgb8', 48_000, 50),
    'bgr8 640x480, 16 kHz drifting': ('bgr8', 16_000, 50),
    'yuv422_yuy2 640x480, 16 kHz drifting': ('yuv422_yuy2', 16_000, 50),
    'jpeg 640x480, 16 kHz drifting': ('jpeg', 16_000, 50),
}
_FPS, _CHUNKS_PER_S = 30, 50


def make_messages(encoding: str, rate_hz: int, drift_ppm: float, seconds: int) -> list[Fields]:
    """
    Return a stream's messages in the order in which they come.

    :param encoding: of ``sensor_msgs/Image``, or ``jpeg``. All images share their pixels.
    :param rate_hz: of the sound.
    :param drift_ppm: how much faster the microphone's clock is than the camera's.
    :param seconds: length.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    length, period_s = rate_hz // _CHUNKS_PER_S, 1 / (rate_hz * (1 + drift_ppm * 1e-6))
    image = Fields()
    fill_image(image, pixels)
    content = {'format': 'jpeg', 'data': _jpeg()} if encoding == 'jpeg' else vars(image)
    if encoding != 'jpeg':
        bytes_per_pixel = 2 if encoding.startswith('yuv') else 3
        content |= {
            'encoding': encoding,
            'step': 640 * bytes_per_pixel,
            'data': image.data[: 480 * 640 * bytes_per_pixel],
        }
    timed: list[tuple[float, Fields]] = []
    for number in range(seconds * _FPS):
        time_s = number / _FPS
        timed.append((time_s, Fields(**content | {'header': _header(time_s)})))
    for number in range(seconds * _CHUNKS_PER_S):
        time_s = 0.0137 + number * length * period_s
        chunk = Fields(header=_header(time_s), FORMAT_S16=2)
        samples = np.sin(np.arange(length) * 0.1).astype(np.float32)
        fill_audio_chunk(chunk, samples, rate_hz=rate_hz, first_sample=number * length)
        timed.append((time_s + length * period_s, chunk))
    return [message for _, message in sorted(timed, key=lambda entry: entry[0])]


def feed(unit_filter: UnitFilter, messages: Iterable[Any]) -> None:
    """Give messages to a filter."""
    for message in messages:
        if hasattr(message, 'first_sample'):
            unit_filter.add_audio(message)
        else:
            unit_filter.add_image(message)


def _header(time_s: float) -> Fields:
    sec, nanosec = divmod(T0_NS + round(time_s * 1e9), UNIT_NS)
    return Fields(stamp=Fields(sec=sec, nanosec=nanosec), frame_id='')


def _jpeg() -> bytes:
    import cv2

    ramp = np.add.outer(np.arange(480), np.arange(640)).astype(np.uint8)
    return cv2.imencode('.jpg', np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2))[1].tobytes()
