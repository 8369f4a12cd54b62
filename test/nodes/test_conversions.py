"""Messages made here are read back as what went in."""

from array import array
from types import SimpleNamespace as Fields

from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.nodes.conversions import (
    fill_audio_chunk,
    fill_image,
    ns_to_time,
    read_audio,
    read_image,
    time_to_ns,
)


def header() -> Fields:
    return Fields(stamp=Fields(sec=1, nanosec=2), frame_id='')


@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
@pytest.mark.ros
def test_stamps_there_and_back(stamp_ns: int) -> None:
    time = ns_to_time(stamp_ns)

    assert 0 <= time.nanosec < 10**9
    assert time_to_ns(time) == stamp_ns


@pytest.mark.ros
@pytest.mark.parametrize('stamp_ns', [2**31 * 10**9, -(2**31) * 10**9 - 1])
def test_stamps_beyond_the_message_are_refused(stamp_ns: int) -> None:
    with pytest.raises(ValueError, match='int32 cannot hold'):
        ns_to_time(stamp_ns)


def images() -> list[np.ndarray]:
    image = np.random.default_rng(0).integers(0, 256, (6, 10, 3)).astype(np.uint8)
    return [image, image[::-1, :, ::-1], np.broadcast_to(image[:1, :1], (6, 10, 3))]


@pytest.mark.parametrize('image', images(), ids=['plain', 'a view', 'repeated'])
def test_images_there_and_back(image: np.ndarray) -> None:
    message = Fields(header=header())
    fill_image(message, image)

    assert isinstance(message.data, array)  # what rclpy takes over without a copy
    np.testing.assert_array_equal(read_image(message), image)


@pytest.mark.parametrize('shape', [(50,), (50, 1), (25, 2)])
def test_audio_there_and_back(shape: tuple[int, ...]) -> None:
    samples = np.linspace(-1.2, 1.2, 50).astype(np.float32).reshape(shape)
    message = Fields(header=header(), FORMAT_S16=2)
    fill_audio_chunk(message, samples, rate_hz=44_100, first_sample=882)
    chunk = read_audio(message)

    assert isinstance(message.data, array)
    expected = np.clip(samples.reshape(len(samples), -1), -1, 1)
    np.testing.assert_allclose(chunk.samples, expected, atol=2 / 2**15)
    assert (chunk.stamp_ns, chunk.rate_hz, chunk.first_sample) == (1_000_000_002, 44_100, 882)


@pytest.mark.ros
def test_real_messages_are_filled_and_read() -> None:
    from roma_ros.msg import AudioChunk
    from sensor_msgs.msg import Image

    image = images()[0]
    message = Image()
    fill_image(message, image)
    np.testing.assert_array_equal(read_image(message), image)
    assert np.shares_memory(read_image(message), np.frombuffer(message.data, np.uint8))

    chunk = AudioChunk()
    fill_audio_chunk(chunk, np.full((4, 2), 0.5, np.float32), rate_hz=16_000, first_sample=7)
    read = read_audio(chunk)
    np.testing.assert_allclose(read.samples, 0.5)
    assert (chunk.channels, read.first_sample) == (2, 7)
