"""Every camera encoding to RGB, and everything that does not fit refused."""

from array import array

import cv2
from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.units.pixels import decode_compressed, decode_raw

HEIGHT, WIDTH = 8, 12
#: Colours that differ in every channel, blocky enough for halved chroma and Bayer patterns.
RGB = np.repeat(
    np.repeat(
        np.array(
            [
                [[200, 60, 30], [40, 180, 90], [70, 80, 220]],
                [[10, 10, 10], [240, 240, 240], [128, 0, 255]],
            ],
            np.uint8,
        ),
        4,
        axis=0,
    ),
    4,
    axis=1,
)


def interleaved(order: list[int], dtype: str = 'u1', alpha: bool = False) -> np.ndarray:
    pixels = RGB[:, :, order].astype(dtype)
    if alpha:
        pixels = np.concatenate([pixels, np.full((HEIGHT, WIDTH, 1), 7, dtype)], axis=2)
    # The lower byte of 16 bits is noise that must not matter.
    return (pixels * 256 + 99).astype(dtype) if pixels.dtype.itemsize == 2 else pixels


def padded(rows: np.ndarray, padding: int) -> tuple[bytes, int]:
    """Rows as bytes with padding after each, and the step."""
    raw = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    wide = np.pad(raw, ((0, 0), (0, padding)), constant_values=0xEE)
    return wide.tobytes(), wide.shape[1]


def decode(rows: np.ndarray, encoding: str, *, padding: int = 0, **kwargs: bool) -> np.ndarray:
    data, step = padded(rows, padding)
    return decode_raw(data, encoding=encoding, width=WIDTH, height=HEIGHT, step=step, **kwargs)


@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize(
    ('encoding', 'order', 'alpha'),
    [
        ('rgb', [0, 1, 2], False),
        ('bgr', [2, 1, 0], False),
        ('rgba', [0, 1, 2], True),
        ('bgra', [2, 1, 0], True),
    ],
)
def test_interleaved_colours(encoding: str, order: list[int], alpha: bool, padding: int) -> None:
    out = decode(interleaved(order, alpha=alpha), f'{encoding}8', padding=padding)
    np.testing.assert_array_equal(out, RGB)
    for byte_order, is_bigendian in (('<u2', False), ('>u2', True)):
        rows = interleaved(order, byte_order, alpha)
        out = decode(rows, f'{encoding}16', padding=padding, is_bigendian=is_bigendian)
        np.testing.assert_array_equal(out, RGB)


def test_grey_becomes_three_equal_channels() -> None:
    grey = RGB[:, :, 0]
    expected = np.stack([grey] * 3, axis=2)

    np.testing.assert_array_equal(decode(grey, 'mono8', padding=3), expected)
    for byte_order, is_bigendian in (('<u2', False), ('>u2', True)):
        rows = (grey.astype('u2') * 256 + 255).astype(byte_order)
        out = decode(rows, 'mono16', is_bigendian=is_bigendian)
        np.testing.assert_array_equal(out, expected)


def test_8_bit_pixels_are_not_copied() -> None:
    data = bytearray(interleaved([2, 1, 0]).tobytes())
    out = decode_raw(data, encoding='bgr8', width=WIDTH, height=HEIGHT, step=3 * WIDTH)

    assert np.shares_memory(out, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    'container',
    [bytes, bytearray, memoryview, lambda b: array('B', b), lambda b: np.frombuffer(b, np.uint8)],
)
def test_any_container_of_bytes_is_read(container: type) -> None:
    data = container(RGB.tobytes())
    out = decode_raw(data, encoding='rgb8', width=WIDTH, height=HEIGHT, step=3 * WIDTH)

    np.testing.assert_array_equal(out, RGB)


def luma_chroma() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BT.601 video-range planes, by the standard's own formula."""
    r, g, b = (RGB[:, :, channel].astype(float) for channel in range(3))
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112 * b) / 255
    v = 128 + (112 * r - 93.786 * g - 18.214 * b) / 255
    return tuple(np.rint(plane).astype(np.uint8) for plane in (y, u, v))


@pytest.mark.parametrize('padding', [0, 6])
def test_yuv_422(padding: int) -> None:
    y, u, v = luma_chroma()
    chroma = np.stack([u[:, ::2], v[:, ::2]], axis=2).reshape(HEIGHT, WIDTH)
    uyvy, yuy2 = np.stack([chroma, y], axis=2), np.stack([y, chroma], axis=2)

    np.testing.assert_allclose(decode(uyvy, 'yuv422', padding=padding), RGB.astype(int), atol=3)
    out = decode(yuy2, 'yuv422_yuy2', padding=padding)
    np.testing.assert_allclose(out, RGB.astype(int), atol=3)


@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize(('encoding', 'swap'), [('nv12', 1), ('nv21', -1)])
def test_nv12_and_nv21(encoding: str, swap: int, padding: int) -> None:
    y, u, v = luma_chroma()
    chroma = np.stack([u[::2, ::2], v[::2, ::2]][::swap], axis=2).reshape(HEIGHT // 2, WIDTH)
    out = decode(np.concatenate([y, chroma]), encoding, padding=padding)

    np.testing.assert_allclose(out, RGB.astype(int), atol=3)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('is_bigendian', [False, True])
def test_bayer(pattern: str, bits: int, is_bigendian: bool) -> None:
    colour = np.array([220, 120, 40], np.uint8)
    mosaic = np.empty((HEIGHT, WIDTH), np.uint8)
    for place, letter in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 :: 2] = colour['rgb'.index(letter)]
    if bits == 16:
        mosaic = (mosaic.astype(np.uint16) * 256 + 5).astype('>u2' if is_bigendian else '<u2')
    out = decode(mosaic, f'bayer_{pattern}{bits}', padding=2, is_bigendian=is_bigendian)

    np.testing.assert_allclose(out[2:-2, 2:-2], np.broadcast_to(colour, (4, 8, 3)), atol=1)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'encoding': '16UC1'}, 'depth map'),
        ({'encoding': '32FC1'}, 'depth map'),
        ({'encoding': 'theora'}, "encoding is 'theora', expected one of rgb8"),
        ({'width': 0}, 'no pixels'),
        ({'height': 0}, 'no pixels'),
        ({'step': 35}, 'step 35, expected 36 bytes or more'),
        ({'height': 9}, 'has 288 bytes, expected 324'),
        ({'step': 40}, 'has 288 bytes, expected 320'),
        ({'data': b'abc'}, 'has 3 bytes'),
        ({'data': b''}, 'has 0 bytes'),
        ({'encoding': 'nv12', 'width': 11}, 'expected even sides'),
        ({'encoding': 'nv12', 'height': 7}, 'expected even sides'),
        ({'encoding': 'yuv422', 'width': 11}, 'expected even sides'),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], reason: str) -> None:
    image = {
        'data': RGB.tobytes(),
        'encoding': 'rgb8',
        'width': WIDTH,
        'height': HEIGHT,
        'step': 36,
    }
    image.update(changes)
    with pytest.raises(ValueError, match=reason):
        decode_raw(image.pop('data'), **image)


@given(
    encoding=st.sampled_from(['rgb8', 'mono16', 'nv12', 'yuv422', 'bayer_rggb8', 'nonsense']),
    width=st.integers(0, 40),
    height=st.integers(0, 40),
    step=st.integers(0, 90),
    size=st.integers(0, 3000),
)
def test_any_header_decodes_or_is_refused(
    encoding: str, width: int, height: int, step: int, size: int
) -> None:
    try:
        out = decode_raw(bytes(size), encoding=encoding, width=width, height=height, step=step)
    except ValueError:
        return
    assert out.shape == (height, width, 3)


def encode(extension: str, image: np.ndarray) -> bytes:
    return cv2.imencode(extension, image)[1].tobytes()


def test_png_and_jpeg() -> None:
    large = cv2.resize(RGB, (96, 64), interpolation=cv2.INTER_NEAREST)
    bgr = large[:, :, ::-1]

    np.testing.assert_array_equal(decode_compressed(encode('.png', bgr)), large)
    out = decode_compressed(encode('.jpg', bgr))
    assert np.abs(out.astype(int) - large).mean() < 4


def test_other_kinds_of_png_become_8_bit_rgb() -> None:
    grey = RGB[:, :, 1]
    expected = np.stack([grey] * 3, axis=2)
    with_alpha = np.dstack([RGB[:, :, ::-1], np.full((HEIGHT, WIDTH), 9, np.uint8)])

    np.testing.assert_array_equal(decode_compressed(encode('.png', grey)), expected)
    wide = grey.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_compressed(encode('.png', wide)), expected)
    np.testing.assert_array_equal(decode_compressed(encode('.png', with_alpha)), RGB)


@pytest.mark.parametrize('extension', ['.png', '.jpg'])
def test_cut_off_files_are_refused(extension: str) -> None:
    data = encode(extension, cv2.resize(RGB, (96, 64)))
    for length in (0, 1, 8, len(data) // 2, len(data) - 12):
        with pytest.raises(ValueError, match=r'cut off|expected JPEG or PNG'):
            decode_compressed(data[:length])


def test_corrupt_files_are_refused() -> None:
    png = bytearray(encode('.png', cv2.resize(RGB, (96, 64))))
    png[50:90] = bytes(40)
    jpeg = b'\xff\xd8' + bytes(100) + b'\xff\xd9'
    for data in (png, jpeg):
        with pytest.raises(ValueError, match='corrupt'):
            decode_compressed(bytes(data))
    with pytest.raises(ValueError, match=r'expected JPEG or PNG'):
        decode_compressed(b'GIF89a' + bytes(50))


@pytest.mark.parametrize('extension', ['.png', '.jpg'])
@pytest.mark.parametrize('progressive', [0, 1])
def test_what_would_fill_the_memory_is_refused_before_it_is_decoded(
    extension: str, progressive: int
) -> None:
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive] if extension == '.jpg' else []
    data = bytearray(cv2.imencode(extension, np.zeros((48, 64, 3), np.uint8), flags)[1])
    assert decode_compressed(data).shape == (48, 64, 3)
    if extension == '.png':
        data[16:24] = (60_000).to_bytes(4, 'big') * 2
    else:
        at = data.index(b'\xff\xc2' if progressive else b'\xff\xc0')
        data[at + 5 : at + 9] = (60_000).to_bytes(2, 'big') * 2
    with pytest.raises(ValueError, match='60000x60000, at most 100,000,000 pixels'):
        decode_compressed(data)


@given(st.binary(max_size=60))
def test_any_head_of_a_jpeg_is_decoded_or_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match='compressed'):
        decode_compressed(b'\xff\xd8' + head + b'\xff\xd9')
