"""Messages read by their fields; any object with these fields is a message."""

from types import SimpleNamespace as Fields

import numpy as np
import pytest

from roma_ros.units.message_readers import read_audio, read_image, time_to_ns


def header(sec: int = 12, nanosec: int = 345) -> Fields:
    return Fields(stamp=Fields(sec=sec, nanosec=nanosec), frame_id='somewhere')


@pytest.mark.parametrize(
    ('sec', 'nanosec', 'expected'),
    [
        (0, 0, 0),
        (1, 999_999_999, 1_999_999_999),
        (-1, 500_000_000, -500_000_000),
        (2**31 - 1, 1, (2**31 - 1) * 10**9 + 1),
    ],
)
def test_time_to_ns(sec: int, nanosec: int, expected: int) -> None:
    assert time_to_ns(Fields(sec=sec, nanosec=nanosec)) == expected
    # rosbags gives numpy's integers, which must not overflow.
    assert time_to_ns(Fields(sec=np.int32(sec), nanosec=np.uint32(nanosec))) == expected


def test_images_raw_and_compressed() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    raw = Fields(
        header=header(),
        encoding='rgb8',
        width=4,
        height=2,
        step=12,
        is_bigendian=0,
        data=pixels.tobytes(),
    )
    np.testing.assert_array_equal(read_image(raw), pixels)

    with pytest.raises(ValueError, match='expected JPEG or PNG'):
        read_image(Fields(header=header(), format='jpeg', data=b'nothing'))
    with pytest.raises(ValueError, match='depth map'):
        read_image(Fields(header=header(), format='16UC1; compressedDepth png', data=b''))


def audio_chunk(**changes: object) -> Fields:
    fields = {
        'header': header(),
        'sample_rate': 48_000,
        'channels': 2,
        'sample_format': 2,
        'first_sample': 960,
        'data': np.array([[16384, -16384], [0, 32767]], '<i2').tobytes(),
    }
    return Fields(**{**fields, **changes})


def test_audio_chunk() -> None:
    chunk = read_audio(audio_chunk())

    assert (chunk.stamp_ns, chunk.rate_hz, chunk.first_sample) == (12_000_000_345, 48_000, 960)
    np.testing.assert_allclose(chunk.samples, [[0.5, -0.5], [0, 1]], atol=1e-4)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'sample_format': 9}, r'sample_format 9, expected one of 1 \(U8\)'),
        ({'channels': 0}, '0 channels'),
        ({'data': b'abc'}, '3 bytes'),
    ],
)
def test_malformed_audio_chunks(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_audio(audio_chunk(**changes))


def described(**info: object) -> tuple[Fields, Fields]:
    """ros-drivers' AudioDataStamped and AudioInfo."""
    data = np.array([16384, -16384], '<i2').tobytes()
    fields = {
        'channels': 1,
        'sample_rate': 16_000,
        'sample_format': 'S16LE',
        'coding_format': 'WAVE',
    }
    return Fields(header=header(), audio=Fields(data=data)), Fields(**{**fields, **info})


def test_audio_data_stamped_with_its_info() -> None:
    message, info = described()
    chunk = read_audio(message, info=info)

    assert chunk.samples.tolist() == [[0.5], [-0.5]]
    assert (chunk.rate_hz, chunk.first_sample) == (16_000, None)


def test_audio_data_stamped_needs_plain_samples_and_its_info() -> None:
    message, info = described(coding_format='MP3')
    with pytest.raises(ValueError, match="coded as 'MP3', expected WAVE"):
        read_audio(message, info=info)
    with pytest.raises(ValueError, match='before any AudioInfo'):
        read_audio(message)


def typed(**info: int) -> Fields:
    """mgonzs13's AudioStamped."""
    data = Fields(
        float32_data=[],
        int32_data=[],
        int16_data=np.array([16384, -16384], np.int16),
        int8_data=[],
        uint8_data=[],
    )
    fields = {'format': 8, 'channels': 1, 'rate': 44_100, 'chunk': 2}
    return Fields(
        header=header(), audio=Fields(audio_data=data, info=Fields(**{**fields, **info}))
    )


def test_audio_stamped() -> None:
    chunk = read_audio(typed())

    assert chunk.samples.tolist() == [[0.5], [-0.5]]
    assert chunk.rate_hz == 44_100


@pytest.mark.parametrize(
    ('info', 'reason'),
    [
        ({'format': 4}, 'format 4, expected one of'),
        ({'format': 1}, '0 samples in float32_data'),
        ({'channels': 0}, 'its 0 channels'),
        ({'channels': 3}, 'multiple of its 3 channels'),
    ],
)
def test_malformed_audio_stamped(info: dict[str, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_audio(typed(**info))


def test_audio_without_a_stamp_is_no_input() -> None:
    with pytest.raises(ValueError, match='is no audio message with a stamp'):
        read_audio(Fields(data=b''))
