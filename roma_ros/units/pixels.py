"""Pixels: from the encodings of cameras to RGB."""

from array import array
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
Bytes: TypeAlias = 'bytes | bytearray | memoryview | array[int] | Image'

#: Interleaved encodings: channels, and which of them are red, green and blue.
_CHANNELS = {
    'rgb': (3, slice(0, 3)),
    'bgr': (3, slice(2, None, -1)),
    'rgba': (4, slice(0, 3)),
    'bgra': (4, slice(2, None, -1)),
    'mono': (1, slice(0, 1)),
}
_INTERLEAVED = {
    f'{name}{bits}': (channels, order, bits // 8)
    for name, (channels, order) in _CHANNELS.items()
    for bits in (8, 16)
}
#: Encodings that OpenCV converts: bytes of a pixel in a row, rows for two rows of pixels, and the
#: name of the conversion. OpenCV names Bayer patterns by their second row's second pixel.
_CONVERTED = {
    'yuv422': (2, 2, 'COLOR_YUV2RGB_UYVY'),
    'yuv422_yuy2': (2, 2, 'COLOR_YUV2RGB_YUY2'),
    'nv12': (1, 3, 'COLOR_YUV2RGB_NV12'),
    'nv21': (1, 3, 'COLOR_YUV2RGB_NV21'),
    **{
        f'bayer_{pattern}{bits}': (bits // 8, 2, f'COLOR_Bayer{name}2RGB')
        for pattern, name in (('rggb', 'BG'), ('bggr', 'RG'), ('gbrg', 'GR'), ('grbg', 'GB'))
        for bits in (8, 16)
    },
}
#: Largest compressed image that is decoded [px]: that of the largest cameras.
MAX_COMPRESSED_PIXELS = 100_000_000
#: Markers of JPEG without a length (T.81, table B.1), and those among SOF0 to SOF15 that are none.
_JPEG_LONE = (0x01, *range(0xD0, 0xD9))
_JPEG_NO_FRAME = (0xC4, 0xC8, 0xCC)
_ENCODINGS = (*_INTERLEAVED, *_CONVERTED)


def decode_raw(
    data: Bytes,
    *,
    encoding: str,
    width: int,
    height: int,
    step: int,
    is_bigendian: bool = False,
) -> Image:
    """
    Convert the pixels of a ``sensor_msgs/Image`` to RGB.

    Of 16-bit encodings the upper byte is taken, so that 65535 is white, also for cameras that
    fill 12 bits only. 8-bit interleaved encodings are not copied: the result is a view.

    :param data: ``step`` bytes for each row, padding included.
    :param encoding: name as in ``sensor_msgs/image_encodings.hpp``.
    :param width: of the image [px].
    :param height: of the image [px].
    :param step: length of a row [bytes].
    :param is_bigendian: byte order of 16-bit encodings.
    :return: uint8 ``[height, width, 3]``, RGB; may be read-only.
    :raises ValueError: when the encoding is no picture, or the sizes do not fit together.
    """
    if encoding in _INTERLEAVED:
        channels, order, depth = _INTERLEAVED[encoding]
        rows = _rows(data, encoding, width * channels * depth, height, height, step)
        if depth == 2:
            rows = rows[:, (0 if is_bigendian else 1) :: 2]
        pixels = rows.reshape(height, width, channels)[:, :, order]
        return np.broadcast_to(pixels, (height, width, 3))
    if encoding not in _CONVERTED:
        raise ValueError(_describe_unknown(encoding))
    pixel_bytes, rows_of_two, conversion = _CONVERTED[encoding]
    if width % 2 or (height % 2 and rows_of_two == 3):
        raise ValueError(f'{encoding} image is {width}x{height}, expected even sides')
    rows = _rows(data, encoding, width * pixel_bytes, height, height * rows_of_two // 2, step)
    if encoding.startswith('bayer'):
        planes = rows[:, (0 if is_bigendian else pixel_bytes - 1) :: pixel_bytes]
    else:
        planes = rows.reshape(len(rows), width, pixel_bytes)
    cv2 = _import_cv2(f'{encoding} images')
    return _checked(
        lambda: cv2.cvtColor(np.ascontiguousarray(planes), getattr(cv2, conversion)), encoding
    )


def decode_compressed(data: Bytes) -> Image:
    """
    Decode JPEG or PNG.

    :param data: the file's bytes; 16-bit PNG is scaled to 8 bits, grey becomes RGB, and alpha
        and the orientation tag are ignored.
    :return: uint8 ``[H, W, 3]``, RGB.
    :raises ValueError: when it is neither, is cut off, is corrupt, or would fill the memory.
    """
    buffer = np.frombuffer(data, np.uint8)
    head, tail = buffer[:8].tobytes(), buffer[-64:].tobytes()
    if head.startswith(b'\xff\xd8'):
        is_whole = b'\xff\xd9' in tail  # libjpeg would fill the rest with grey
    elif head == b'\x89PNG\r\n\x1a\n':
        is_whole = b'IEND' in tail
    else:
        raise ValueError(f'compressed image begins with {head!r}, expected JPEG or PNG')
    if not is_whole:
        raise ValueError(f'compressed image of {len(buffer)} bytes is cut off: its end is missing')
    # Before it is decoded: a few kilobytes can claim gigabytes of pixels.
    width, height = _png_size(buffer) if head[0] == 0x89 else _jpeg_size(buffer)
    if width * height > MAX_COMPRESSED_PIXELS:
        raise ValueError(
            f'compressed image is {width}x{height}, at most {MAX_COMPRESSED_PIXELS:,} pixels are '
            'decoded'
        )
    cv2 = _import_cv2('compressed images')
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = _checked(lambda: cv2.imdecode(buffer, flags), 'compressed')
    return _checked(lambda: cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), 'compressed')


def _png_size(buffer: Image) -> tuple[int, int]:
    """Return width and height, which stand at a fixed place (PNG, 11.2.2)."""
    width, height = (int.from_bytes(buffer[at : at + 4].tobytes(), 'big') for at in (16, 20))
    return width, height


def _jpeg_size(buffer: Image) -> tuple[int, int]:
    """Return width and height, of the frame header (T.81, B.2.2); 0 where there is none."""
    at = 2
    while at + 9 <= len(buffer):
        marker = int(buffer[at + 1])
        if buffer[at] != 0xFF:
            return 0, 0  # the decoder says what is wrong
        if marker == 0xFF or marker in _JPEG_LONE:
            at += 1 if marker == 0xFF else 2
            continue
        length, height, width = (
            int(buffer[i]) << 8 | int(buffer[i + 1]) for i in (at + 2, at + 5, at + 7)
        )
        if 0xC0 <= marker <= 0xCF and marker not in _JPEG_NO_FRAME:
            return width, height
        at += 2 + length
    return 0, 0


def _rows(
    data: Bytes, encoding: str, row_bytes: int, height: int, num_rows: int, step: int
) -> Image:
    """Return the rows without padding, uint8 ``[num_rows, row_bytes]``, a view."""
    if row_bytes <= 0 or height <= 0:
        raise ValueError(f'{encoding} image has no pixels: {row_bytes} bytes a row, {height} rows')
    if step < row_bytes:
        raise ValueError(f'{encoding} image has step {step}, expected {row_bytes} bytes or more')
    buffer = np.frombuffer(data, np.uint8)
    if len(buffer) != step * num_rows:
        raise ValueError(
            f'{encoding} image has {len(buffer)} bytes, expected {step * num_rows} '
            f'({num_rows} rows of {step})'
        )
    return buffer.reshape(num_rows, step)[:, :row_bytes]


def _describe_unknown(encoding: str) -> str:
    if encoding in ('16UC1', '32FC1'):
        return f'{encoding} image is a depth map, not a picture; remap a colour topic instead'
    return f'image encoding is {encoding!r}, expected one of {", ".join(_ENCODINGS)}'


def _checked(convert: Callable[[], Image | None], encoding: str) -> Image:
    """Call OpenCV, whose complaints about data are ``cv2.error`` or None."""
    import cv2

    try:
        image = convert()
    except cv2.error as error:
        raise ValueError(f'{encoding} image is corrupt: {error.err}') from error
    if image is None:
        raise ValueError(f'{encoding} image is corrupt: it cannot be decoded')
    return image


def _import_cv2(what: str) -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f'{what} need OpenCV: apt install python3-opencv, or pip install '
            'opencv-python-headless'
        ) from error
    return cv2
