"""The report's time axis and the shapes that are drawn on it, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
import math

# Widths of the plot [px]: at least this much altogether, at least this much a second.
_MIN_WIDTH_PX, _MIN_PX_PER_S = 1100.0, 8.0
# Mean advance of the label font [px], to keep labels apart.
_CHAR_PX = 6.4
_LANE_PX, _LONGEST_LABEL = 34, 60
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True)
class Track:
    """A row of the report: its name, a line of small print, its height [px], the SVG inside."""

    name: str
    note: str
    height: int
    svg: str


@dataclass(frozen=True)
class Span:
    """Something with a begin and an end on the axis [s], a CSS class and a text."""

    start_s: float
    end_s: float
    css: str
    text: str


class Timeline:
    """
    Turn stamps into pixels. Every text is escaped here.

    :param start_ns: time zero [ns].
    :param end_ns: end of the axis [ns].
    """

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns = start_ns
        self.duration_s = max((end_ns - start_ns) / 1e9, 1.0)
        self.px_per_s = max(_MIN_WIDTH_PX / self.duration_s, _MIN_PX_PER_S)
        self.width = math.ceil(self.duration_s * self.px_per_s)
        step_s = next((s for s in _STEPS_S if s * self.px_per_s >= 64), _STEPS_S[-1])
        self.ticks_s = range(0, int(self.duration_s) + 1, step_s)

    def seconds(self, stamp_ns: int) -> float:
        """Return the time since the axis began [s]."""
        return (stamp_ns - self.start_ns) / 1e9

    def x(self, seconds: float) -> str:
        """Return a horizontal place [px]."""
        return f'{seconds * self.px_per_s:.1f}'

    def grid(self, height: int) -> str:
        """Draw a line at every tick."""
        return (
            f'<path class="grid" d="{"".join(f"M{self.x(t)} 0V{height}" for t in self.ticks_s)}"/>'
        )

    def axis(self) -> Track:
        """Draw the times."""
        labels = ''.join(
            f'<text class="tick" x="{t * self.px_per_s + 4:.1f}" y="14">{clock(t)}</text>'
            for t in self.ticks_s
        )
        return Track('', '', 20, self.grid(20) + labels)

    def bar(self, span: Span, y: float, height: float) -> str:
        """Draw a span; its text shows at the pointer."""
        width = max((span.end_s - span.start_s) * self.px_per_s, 1.5)
        title = f'<title>{escape(span.text)}</title>' if span.text else ''
        return (
            f'<rect class="{span.css}" x="{self.x(span.start_s)}" y="{y:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}">{title}</rect>'
        )

    def lanes(self, name: str, note: str, spans: Sequence[Span]) -> Track:
        """Draw spans with their texts above, in as many lanes as keep the texts apart."""
        free_px: list[float] = []
        rows = []
        for span in spans:
            short = span.text
            if len(short) > _LONGEST_LABEL:
                short = short[: _LONGEST_LABEL - 1].rstrip() + '…'
            text_px = len(short) * _CHAR_PX + 12
            left = max(0.0, min(span.start_s * self.px_per_s, self.width - text_px))
            lane = next((i for i, free in enumerate(free_px) if free <= left), len(free_px))
            free_px[lane : lane + 1] = [max(left + text_px, span.end_s * self.px_per_s + 6)]
            y = lane * _LANE_PX
            rows.append(
                f'<text class="label" x="{left:.1f}" y="{y + 16}">{escape(short)}</text>'
                + self.bar(span, y + 21, 8)
            )
        height = max(len(free_px), 1) * _LANE_PX
        return Track(name, note, height, self.grid(height) + ''.join(rows))


def clock(seconds: float) -> str:
    """Write a time of the stream: ``7 s``, ``1:05`` or ``1:00:05``."""
    whole = int(seconds)
    if whole < 60:
        return f'{whole} s'
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{rest:02}' if hours else f'{minutes}:{rest:02}'
