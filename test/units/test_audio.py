"""PCM in every format, mixing, and resampling of whole signals."""

from array import array

from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.units.audio import decode_pcm, resample, to_float, to_mono

#: Format: bytes of the samples -1, -0.5, 0 and 0.5.
ENCODED = {
    'U8': bytes([0, 64, 128, 192]),
    'S8': np.array([-128, -64, 0, 64], np.int8).tobytes(),
    'S16LE': np.array([-(2**15), -(2**14), 0, 2**14], '<i2').tobytes(),
    'S24LE': b'\x00\x00\x80\x00\x00\xc0\x00\x00\x00\x00\x00\x40',
    'S32LE': np.array([-(2**31), -(2**30), 0, 2**30], '<i4').tobytes(),
    'F32LE': np.array([-1, -0.5, 0, 0.5], '<f4').tobytes(),
}


@pytest.mark.parametrize('sample_format', ENCODED)
@pytest.mark.parametrize('container', [bytes, bytearray, memoryview, lambda b: array('B', b)])
def test_every_format_is_scaled_to_one(sample_format: str, container: type) -> None:
    data = container(ENCODED[sample_format])
    mono = decode_pcm(data, sample_format=sample_format, channels=1)
    stereo = decode_pcm(data, sample_format=sample_format, channels=2)

    assert mono.dtype == np.float32
    assert mono.tolist() == [[-1], [-0.5], [0], [0.5]]
    assert stereo.tolist() == [[-1, -0.5], [0, 0.5]]


@pytest.mark.parametrize(
    ('data', 'sample_format', 'channels', 'reason'),
    [
        (b'', 'S16LE', 1, 'has 0 bytes'),
        (b'abc', 'S16LE', 1, 'has 3 bytes, expected a positive multiple of 2'),
        (b'abcd', 'S24LE', 2, 'expected a positive multiple of 6'),
        (b'ab', 'S16LE', 0, '0 channels'),
        (b'ab', 'S16BE', 1, "sample format is 'S16BE', expected one of U8"),
    ],
)
def test_what_does_not_fit_is_refused(
    data: bytes, sample_format: str, channels: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_pcm(data, sample_format=sample_format, channels=channels)


@given(st.binary(max_size=64), st.sampled_from(list(ENCODED)), st.integers(0, 9))
def test_any_bytes_decode_or_are_refused(data: bytes, sample_format: str, channels: int) -> None:
    try:
        samples = decode_pcm(data, sample_format=sample_format, channels=channels)
    except ValueError:
        return
    assert samples.shape[1] == channels
    assert samples.size > 0


def test_float32_is_not_copied() -> None:
    samples = np.zeros((4, 1), np.float32)

    assert np.shares_memory(to_float(samples), samples)
    assert np.shares_memory(to_mono(samples), samples)


def test_channels_are_mixed_or_picked() -> None:
    samples = np.array([[1, 3], [2, 6]], np.int16)

    np.testing.assert_allclose(to_mono(samples) * 2**15, [2, 4])
    np.testing.assert_allclose(to_mono(samples, channel=1) * 2**15, [3, 6])
    with pytest.raises(ValueError, match='no channel 2'):
        to_mono(samples, channel=2)
    with pytest.raises(ValueError, match='no channel 1'):
        to_mono(samples[:, 0], channel=1)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match='not finite'):
        to_mono(np.array([0, value], np.float32))


@pytest.mark.parametrize('rate_hz', [8000, 22_050, 48_000])
def test_a_whole_signal_changes_its_rate(rate_hz: int) -> None:
    time_s = np.arange(rate_hz) / rate_hz
    out = resample(np.sin(2 * np.pi * 440 * time_s).astype(np.float32), rate_hz=rate_hz)

    assert out.shape == (16_000,)
    exact = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(out[200:-200], exact[200:-200], atol=1e-4)
    assert len(resample(np.zeros(1001, np.float32), rate_hz=48_000)) == 334
