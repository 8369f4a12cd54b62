"""Draws the tabletop, and tells what a drawn frame shows."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from .backgrounds import make_background, margin_px
from .camera import Camera
from .labels import Split, VisibleObject
from .world import HIDDEN_LIFT, Path, Scene, Stripes, Thing, WIDTH

Image = npt.NDArray[np.uint8]
Outline = npt.NDArray[np.float64]
Color = tuple[float, float, float]

#: Colours of things, RGB, in even light.
RGB: dict[str, Color] = {
    'red': (205, 30, 30),
    'green': (25, 150, 50),
    'blue': (35, 70, 210),
    'yellow': (240, 210, 30),
    'white': (245, 245, 242),
    'black': (22, 22, 26),
}

_SHIFT = 4  # OpenCV's fixed-point bits: a sixteenth of a pixel
_MASK_HEIGHT = 96  # rows of the masks that tell how much of a thing is seen
_RING_HOLE = 0.45


class Renderer:
    """
    The frames of one stream.

    :param scene: what happens.
    :param rng: chance of all that is not in the scene: background, light, camera.
    :param split: whose backgrounds are taken.
    :param size: width and height [px], 4:3.
    :param plain: grey behind, even light and a perfect camera.
    :raises ValueError: when the size is not 4:3.
    """

    def __init__(
        self,
        scene: Scene,
        rng: np.random.Generator,
        *,
        split: Split,
        size: tuple[int, int],
        plain: bool = False,
    ) -> None:
        self._width, self._height = size
        if 3 * self._width != 4 * self._height or self._height < 60:
            raise ValueError(f'frames of {size[0]}x{size[1]} px: expected 4:3, 80x60 or more')
        self._scene = scene
        self._margin = margin_px(size)
        self._camera: Camera | None = None
        self._post: Callable[[float], float] | None = None
        self._shades = dict.fromkeys(RGB, 1.0)
        if plain:
            grey = np.full(
                (self._height + 2 * self._margin, self._width + 2 * self._margin, 3), 128, np.uint8
            )
            self._background: Callable[[float], Image] = lambda time_s: grey
        else:
            camera_rng, post_rng, background_rng = rng.spawn(3)
            self._shades = {color: float(rng.uniform(0.88, 1.05)) for color in RGB}
            self._camera = Camera(camera_rng, height_px=self._height)
            self._post = _make_post(post_rng)
            self._background = make_background(
                background_rng, split=split, size=size, floor_y=scene.floor_y
            )
        self._cover_tone = float(rng.uniform(110, 150))

    def frame_at(self, time_s: float) -> Image:
        """Draw the frame at a time: uint8 ``[H, W, 3]``, RGB."""
        dx, dy = self._offset(time_s)
        background = self._background(time_s)
        center = (background.shape[1] - 1) / 2, (background.shape[0] - 1) / 2
        image = cv2.getRectSubPix(
            background,
            (self._width, self._height),
            (center[0] - dx * self._height, center[1] - dy * self._height),
        )
        for path in self._scene.paths:
            self._draw(image, path, time_s, (dx, dy))
        if self._post is not None:
            self._fill(image, _post_outline(self._post(time_s)), (70, 62, 55))
        if self._camera is not None:
            image = self._camera.take(image, time_s)
        return image

    def objects_at(self, time_s: float) -> tuple[VisibleObject, ...]:
        """Return what that frame shows, by the things' numbers."""
        offset = self._offset(time_s)
        shown = []
        for path in self._scene.paths:
            if _is_away(path, time_s):
                continue
            outline = _place(path, time_s) + offset
            left, top = np.clip(outline.min(axis=0), 0, (WIDTH, 1))
            right, bottom = np.clip(outline.max(axis=0), 0, (WIDTH, 1))
            visible = self._visible(path, outline, time_s, offset)
            if visible > 0:
                thing = path.thing
                box = (left / WIDTH, top, right / WIDTH, bottom)
                shown.append(
                    VisibleObject(
                        thing=thing.number,
                        shape=thing.shape,
                        color=thing.color,
                        size=thing.size,
                        box=tuple(float(v) for v in box),  # type: ignore[arg-type]
                        visible=visible,
                    )
                )
        return tuple(shown)

    def _offset(self, time_s: float) -> tuple[float, float]:
        return self._camera.offset(time_s) if self._camera is not None else (0.0, 0.0)

    def _visible(
        self, path: Path, outline: Outline, time_s: float, offset: tuple[float, float]
    ) -> float:
        """Return the share of a thing that is in the frame and not behind anything."""
        low, high = outline.min(axis=0), outline.max(axis=0)
        if high[0] <= 0 or low[0] >= WIDTH or high[1] <= 0 or low[1] >= 1:
            return 0.0
        is_inside = low.min() >= 0 and high[0] <= WIDTH and high[1] <= 1
        if is_inside and self._post is None and _is_bare(path, time_s):
            return 1.0
        origin = low - 0.02
        columns, rows = np.ceil((high - origin + 0.02) * _MASK_HEIGHT).astype(int)
        mask = np.zeros((int(rows), int(columns)), np.uint8)
        _fill_mask(mask, outline - origin, 1)
        whole = int(mask.sum())
        hidden = [_cover_outline(path, time_s) + offset]
        if self._post is not None:
            hidden.append(_post_outline(self._post(time_s)))
        for cover in hidden:
            _fill_mask(mask, cover - origin, 0)
        first = np.clip(np.rint(-origin * _MASK_HEIGHT).astype(int), 0, None)
        last = np.rint((np.array([WIDTH, 1.0]) - origin) * _MASK_HEIGHT).astype(int)
        seen = mask[first[1] : max(last[1], 0), first[0] : max(last[0], 0)]
        return float(seen.sum()) / whole

    def _draw(self, image: Image, path: Path, time_s: float, offset: tuple[float, float]) -> None:
        if _is_away(path, time_s):
            return
        outline = _place(path, time_s) + offset
        low, high = outline.min(axis=0), outline.max(axis=0)
        if high[0] < -0.1 or low[0] > WIDTH + 0.1:
            return
        thing = path.thing
        middle = np.array([path.x.at(time_s), path.y.at(time_s)]) + offset
        floor = np.array([middle[0], self._scene.floor_y + offset[1]])
        air = max(floor[1] - thing.radius - middle[1], 0.0)
        shadow = floor + _ellipse(thing.radius * 1.05, 0.025) * max(1 - air, 0.2)
        self._fill(image, shadow, (52, 50, 48))
        if thing.stripes is None:
            color = np.array(RGB[thing.color]) * self._shades[thing.color]
            self._draw_thing(image, thing, outline, middle, color)
        else:
            # Drawn in one colour and in the other: what lies around it is the same in both.
            first, second = (np.array(color) for color in thing.stripes.colors)
            other = image.copy()
            self._draw_thing(image, thing, outline, middle, first)
            self._draw_thing(other, thing, outline, middle, second)
            is_second = self._stripes(thing.stripes, middle, thing.radius)
            np.copyto(image, other, where=is_second[..., None])
        if not _is_bare(path, time_s):
            self._draw_cover(image, _cover_outline(path, time_s) + offset)

    def _draw_thing(
        self,
        image: Image,
        thing: Thing,
        outline: Outline,
        middle: Outline,
        color: npt.NDArray[np.float64],
    ) -> None:
        is_dark = color.max() < 60
        rim = color * 0 + 105 if is_dark else color * 0.42
        light = np.minimum(color * 1.12 + (30 if is_dark else 16), 255)
        radius = thing.radius
        if thing.shape == 'ring':
            # A hole that shows what is behind: the band is drawn as a thick line.
            band = (1 - _RING_HOLE) * radius
            circle = middle + _ellipse(radius - band / 2, radius - band / 2)
            self._line(image, circle, rim, band)
            self._line(image, circle, color, band - 0.03)
            self._line(image, circle - 0.012, light, band * 0.2)
            return
        self._fill(image, outline, rim)
        inner = middle + (outline - middle) * (1 - 0.016 / radius)
        self._fill(image, inner, color)
        if thing.shape == 'ball':
            spot = middle - 0.35 * radius
            self._fill(image, spot + _ellipse(0.32 * radius, 0.32 * radius), light)
        elif thing.shape == 'cone':
            apex, right = inner[0], inner[1:][np.argmax(inner[1:, 0])]
            foot = (inner[:, 0].mean() + 0.3 * radius, inner[:, 1].max())
            self._fill(image, np.array([apex, right, foot]), color * 0.78 + (14 if is_dark else 0))
        elif thing.shape == 'box':
            self._fill(image, middle + (inner - middle) * 0.62, light)

    def _stripes(self, stripes: Stripes, middle: Outline, radius: float) -> npt.NDArray[np.bool_]:
        """Return where in the frame the second colour is, ``[H, W]``."""
        y, x = np.ogrid[: self._height, : self._width]
        right, down = x / self._height - middle[0], y / self._height - middle[1]
        along = right * np.cos(stripes.angle) + down * np.sin(stripes.angle)
        turn = np.pi * along / (stripes.width * radius) + stripes.phase
        return np.asarray(np.sin(turn) > 0)

    def _draw_cover(self, image: Image, outline: Outline) -> None:
        tone = np.array([self._cover_tone, self._cover_tone * 0.93, self._cover_tone * 0.84])
        self._fill(image, outline, tone * 0.5)
        middle = outline.mean(axis=0)
        self._fill(image, middle + (outline - middle) * 0.92, tone)
        for low, high in ((0.2, 0.35), (0.6, 0.75)):
            left = outline[[0, 3]]
            right = outline[[1, 2]]
            band = np.array(
                [
                    left[0] + (left[1] - left[0]) * low,
                    right[0] + (right[1] - right[0]) * low,
                    right[0] + (right[1] - right[0]) * high,
                    left[0] + (left[1] - left[0]) * high,
                ]
            )
            self._fill(image, band, tone * 0.62)

    def _fill(self, image: Image, outline: Outline, color: object) -> None:
        points = self._pixels(outline)
        cv2.fillPoly(image, [points], as_color(color), cv2.LINE_AA, _SHIFT)

    def _line(self, image: Image, outline: Outline, color: object, width: float) -> None:
        thickness = max(round(width * self._height), 1)
        points = self._pixels(outline)
        cv2.polylines(image, [points], True, as_color(color), thickness, cv2.LINE_AA, _SHIFT)

    def _pixels(self, outline: Outline) -> npt.NDArray[np.int32]:
        return np.rint((outline * self._height - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _is_away(path: Path, time_s: float) -> bool:
    """Return whether a thing is so far beside the frame that nothing of it can be seen."""
    return not -0.5 < path.x.at(time_s) < WIDTH + 0.5


def _place(path: Path, time_s: float) -> Outline:
    """Return the outline of a thing where it is."""
    thing = path.thing
    middle = np.array([path.x.at(time_s), path.y.at(time_s)])
    return middle + _outline(thing.shape, thing.radius, path.turn.at(time_s))


def _outline(shape: str, radius: float, turn: float) -> Outline:
    """Return the corners of a shape around its middle, ``[n, 2]``."""
    if shape == 'box':
        return _polygon(radius * _BOX_RADII, turn + np.pi / 4)
    if shape == 'star':
        return _polygon(radius * _STAR_RADII, turn - np.pi / 2)
    if shape == 'cone':
        base = _ellipse(radius * 0.95, radius * 0.16)[:13]  # the lower half
        base[:, 1] += radius * 0.84
        return np.vstack([[0.0, -radius], base])
    return _ellipse(radius, radius)


def _polygon(radii: npt.NDArray[np.float64], turn: float) -> Outline:
    angles = turn + 2 * np.pi * np.arange(len(radii)) / len(radii)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]


_CIRCLE = _polygon(np.ones(24), 0.0)
_STAR_RADII = np.tile([1.08, 0.46], 5)
_BOX_RADII = np.full(4, 2**0.5 * 0.94)


def _ellipse(a: float, b: float) -> Outline:
    return _CIRCLE * (a, b)


def _is_bare(path: Path, time_s: float) -> bool:
    return path.lift.at(time_s) >= HIDDEN_LIFT


def _cover_outline(path: Path, time_s: float) -> Outline:
    """Return the cover's corners: upper left, upper right, lower right, lower left."""
    radius = path.thing.radius
    x, low = path.x.at(time_s), path.y.at(time_s) + radius - path.lift.at(time_s)
    wide, narrow, high = radius * 1.2, radius * 0.98, radius * 2.3
    return np.array(
        [
            [x - narrow, low - high],
            [x + narrow, low - high],
            [x + wide, low + 0.01],
            [x - wide, low + 0.01],
        ]
    )


def _make_post(rng: np.random.Generator) -> Callable[[float], float] | None:
    """Return where a thin post before the table stands at a time; mostly there is none."""
    middle, swing = rng.uniform(0.1, WIDTH - 0.1), rng.uniform(0.0, 0.4)
    rate_hz, phase = rng.uniform(0.02, 0.08), rng.uniform(0, 2 * np.pi)
    if rng.random() > 0.25:
        return None
    return lambda time_s: float(middle + swing * np.sin(2 * np.pi * rate_hz * time_s + phase))


def _post_outline(x: float) -> Outline:
    return np.array([[x - 0.018, -0.1], [x + 0.018, -0.1], [x + 0.022, 1.1], [x - 0.022, 1.1]])


def _fill_mask(mask: Image, outline: Outline, value: int) -> None:
    points = np.rint((outline * _MASK_HEIGHT - 0.5) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [points], value, cv2.LINE_8, _SHIFT)


def as_color(color: object) -> Color:
    """Return three numbers as a colour."""
    red, green, blue = np.asarray(color, np.float64)
    return float(red), float(green), float(blue)
