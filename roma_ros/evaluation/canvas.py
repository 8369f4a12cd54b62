"""One drawing, as SVG for a page and as PNG for a slide."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

#: A place on the canvas [px], from the upper left.
Point = tuple[float, float]
Anchor = Literal['start', 'middle', 'end']

#: Colours of a drawing by their role: on a page (CSS variables) and in a PNG.
COLORS = {
    'ink': ('var(--ink)', '#1c1f24'),
    'soft': ('var(--soft)', '#63686f'),
    'rule': ('var(--rule)', '#dcdcd6'),
    'one': ('var(--narration)', '#1f6fb4'),
    'two': ('var(--alert)', '#cf5a0a'),
    'three': ('var(--answer)', '#12855c'),
    'four': ('var(--other)', '#7a5bb0'),
}
#: Colours of curves, in order.
SERIES = ('one', 'two', 'three', 'four')
_TEXT_PX = 12


class Canvas(Protocol):
    """What plots draw on; colours are keys of ``COLORS``."""

    width: int
    height: int

    def line(self, points: Sequence[Point], color: str, *, dashed: bool = False) -> None:
        """Draw a line through points."""
        ...

    def bar(self, corner: Point, size: Point, color: str) -> None:
        """Fill a rectangle, given by its upper left corner and its width and height."""
        ...

    def dot(self, center: Point, radius: float, color: str) -> None:
        """Fill a circle."""
        ...

    def text(self, place: Point, words: str, *, anchor: Anchor = 'start') -> None:
        """Write words; the place is at their baseline."""
        ...


@dataclass
class SvgCanvas:
    """Draws SVG that takes its colours from the page; every text is escaped here."""

    width: int
    height: int
    _parts: list[str] = field(default_factory=list)

    def line(self, points: Sequence[Point], color: str, *, dashed: bool = False) -> None:
        """Draw a line through points."""
        path = 'M' + 'L'.join(f'{x:.1f} {y:.1f}' for x, y in points)
        dash = ' stroke-dasharray="4 4"' if dashed else ''
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{COLORS[color][0]}" stroke-width="1.5"{dash}/>'
        )

    def bar(self, corner: Point, size: Point, color: str) -> None:
        """Fill a rectangle."""
        self._parts.append(
            f'<rect x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{size[0]:.1f}" '
            f'height="{size[1]:.1f}" fill="{COLORS[color][0]}"/>'
        )

    def dot(self, center: Point, radius: float, color: str) -> None:
        """Fill a circle."""
        self._parts.append(
            f'<circle cx="{center[0]:.1f}" cy="{center[1]:.1f}" r="{radius:.1f}" '
            f'fill="{COLORS[color][0]}"/>'
        )

    def text(self, place: Point, words: str, *, anchor: Anchor = 'start') -> None:
        """Write words."""
        self._parts.append(
            f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" text-anchor="{anchor}">'
            f'{escape(words)}</text>'
        )

    def render(self) -> str:
        """Return the SVG element."""
        return (
            f'<svg class="figure" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}">{"".join(self._parts)}</svg>'
        )

    def save(self, path: Path) -> None:
        """Write an SVG file that needs no page: colours, font and background are its own."""
        text = self.render()
        for of_page, fixed in COLORS.values():
            text = text.replace(of_page, fixed)
        own = f'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="{_TEXT_PX}"'
        head, body = text.split('>', 1)
        background = '<rect width="100%" height="100%" fill="#ffffff"/>'
        path.write_text(
            f'{head.replace("class=", f"{own} class=")}>{background}{body}\n', encoding='utf-8'
        )


class PngCanvas:
    """
    Draws a picture, twice as large as on a page.

    :raises ModuleNotFoundError: without Pillow, with the command that installs it.
    """

    _SCALE = 2

    def __init__(self, width: int, height: int) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError('drawing PNGs needs Pillow: pip install pillow') from error
        self.width, self.height = width, height
        self._image = Image.new('RGB', (width * self._SCALE, height * self._SCALE), '#ffffff')
        self._draw: Any = ImageDraw.Draw(self._image)
        self._font: Any = ImageFont.load_default(_TEXT_PX * self._SCALE)

    def line(self, points: Sequence[Point], color: str, *, dashed: bool = False) -> None:
        """Draw a line through points."""
        scaled = [self._at(point) for point in points]
        if not dashed:
            width = 2 if color == 'rule' else 3
            self._draw.line(scaled, COLORS[color][1], width=width, joint='curve')
            return
        for (x0, y0), (x1, y1) in pairwise(scaled):
            length = max(abs(x1 - x0), abs(y1 - y0))
            for begin in range(0, int(length), 16):
                a, b = begin / length, min(begin + 8, length) / length
                ends = [(x0 + t * (x1 - x0), y0 + t * (y1 - y0)) for t in (a, b)]
                self._draw.line(ends, COLORS[color][1], width=3)

    def bar(self, corner: Point, size: Point, color: str) -> None:
        """Fill a rectangle."""
        opposite = (corner[0] + size[0], corner[1] + size[1])
        self._draw.rectangle([self._at(corner), self._at(opposite)], COLORS[color][1])

    def dot(self, center: Point, radius: float, color: str) -> None:
        """Fill a circle."""
        (x, y), r = self._at(center), radius * self._SCALE
        self._draw.ellipse([x - r, y - r, x + r, y + r], COLORS[color][1])

    def text(self, place: Point, words: str, *, anchor: Anchor = 'start') -> None:
        """Write words."""
        letter = {'start': 'l', 'middle': 'm', 'end': 'r'}[anchor]
        self._draw.text(
            self._at(place), words, COLORS['ink'][1], font=self._font, anchor=f'{letter}s'
        )

    def save(self, path: Path) -> None:
        """Write the PNG file."""
        self._image.save(path, 'PNG')

    def _at(self, point: Point) -> Point:
        return point[0] * self._SCALE, point[1] * self._SCALE
