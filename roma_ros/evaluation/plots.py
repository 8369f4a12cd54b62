"""The plots of the results report: curves, calibration, delays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Point, SERIES
from .metrics.calibration_error import ReliabilityBin
from .metrics.curves import Curve

#: Size of a plot [px].
SIZE = (360, 300)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 30, 42
# So many points of a curve are drawn: more cannot be seen.
_MAX_POINTS = 400
# Curves of so few points show them.
_MAX_DOTS = 40
#: Colours of learning curves.
_LINES = (*SERIES, 'soft')


@dataclass(frozen=True)
class Plot:
    """
    Something to draw, on any canvas.

    :param name: of the file, without the ending.
    :param title: above it.
    :param draw: draws all but the title.
    """

    name: str
    title: str
    draw: Callable[[Canvas], None]

    def __call__(self, canvas: Canvas) -> None:
        """Draw it with its title."""
        canvas.text((_LEFT, 18), self.title)
        self.draw(canvas)


class _Axes:
    """A frame with two axes from 0, and where values lie in it."""

    def __init__(self, canvas: Canvas, *, x: str, y: str, x_max: float, y_max: float) -> None:
        self._canvas = canvas
        self._x_max, self._y_max = x_max, y_max
        self._width = canvas.width - _LEFT - _RIGHT
        self._height = canvas.height - _TOP - _BOTTOM
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            bottom, top = self.at(share * x_max, 0), self.at(share * x_max, y_max)
            canvas.line([bottom, top], 'rule')
            canvas.line([self.at(0, share * y_max), self.at(x_max, share * y_max)], 'rule')
            canvas.text((bottom[0], bottom[1] + 16), _tick(share * x_max), anchor='middle')
            level = self.at(0, share * y_max)
            canvas.text((level[0] - 6, level[1] + 4), _tick(share * y_max), anchor='end')
        canvas.text((_LEFT + self._width / 2, canvas.height - 6), x, anchor='middle')
        canvas.text((canvas.width - _RIGHT, 18), y, anchor='end')

    def at(self, x: float, y: float) -> Point:
        """Return where a value lies [px]."""
        return (
            _LEFT + x / self._x_max * self._width,
            _TOP + (1 - y / self._y_max) * self._height,
        )


def _tick(value: float) -> str:
    return f'{value:,.0f}' if value >= 1000 else f'{value:.3g}'


def precision_recall_plot(name: str, curves: dict[str, Curve]) -> Plot:
    """
    Draw precision over recall of each curve, with what a random ranking would get (dashed).

    :param name: of the file.
    :param curves: by their names, at most as many as there are colours; those without positives
        are left out.
    """

    def draw(canvas: Canvas) -> None:
        axes = _Axes(canvas, x='recall', y='precision', x_max=1, y_max=1)
        shown = [(words, curve) for words, curve in curves.items() if curve.num_positives]
        for place, ((words, curve), color) in enumerate(zip(shown, SERIES, strict=False)):
            share = curve.num_positives / (curve.num_positives + curve.num_negatives)
            canvas.line([axes.at(0, share), axes.at(1, share)], color, dashed=True)
            # In steps: a straight line between two thresholds promises what none of them gives.
            points = _thin(list(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True)))
            left = [0.0, *(recall for recall, _ in points[:-1])]
            steps = [
                axes.at(recall, precision)
                for begin, (end, precision) in zip(left, points, strict=True)
                for recall in (begin, end)
            ]
            canvas.line(steps, color)
            _legend(canvas, place, words, color)

    return Plot(name, 'Seconds in a window', draw)


def roc_plot(name: str, curves: dict[str, Curve]) -> Plot:
    """
    Draw the share of positives over that of negatives above each threshold; random is dashed.

    :param name: of the file.
    :param curves: as in :func:`precision_recall_plot`; those without negatives are left out too.
    """

    def draw(canvas: Canvas) -> None:
        axes = _Axes(canvas, x='false positive rate', y='recall', x_max=1, y_max=1)
        canvas.line([axes.at(0, 0), axes.at(1, 1)], 'soft', dashed=True)
        shown = [
            (words, curve)
            for words, curve in curves.items()
            if curve.num_positives and curve.num_negatives
        ]
        for place, ((words, curve), color) in enumerate(zip(shown, SERIES, strict=False)):
            rates = curve.false_positive_rate.tolist()
            points = _thin(list(zip(rates, curve.recall.tolist(), strict=True)))
            canvas.line([axes.at(0, 0), *(axes.at(x, y) for x, y in points)], color)
            _legend(canvas, place, words, color, top_px=canvas.height - _BOTTOM - 64)

    return Plot(name, 'Seconds in a window', draw)


def reliability_plot(name: str, bins: Sequence[ReliabilityBin], error: float | None) -> Plot:
    """
    Draw how often each probability came true; the area of a dot is its number of seconds.

    :param name: of the file.
    :param bins: as from :func:`.metrics.calibration_error.reliability`.
    :param error: expected calibration error, for the title.
    """

    def draw(canvas: Canvas) -> None:
        axes = _Axes(canvas, x='speak probability', y='came true', x_max=1, y_max=1)
        canvas.line([axes.at(0, 0), axes.at(1, 1)], 'soft', dashed=True)
        points = [axes.at(part.mean_probability, part.share_true) for part in bins]
        if len(points) > 1:
            canvas.line(points, 'one')
        most = max((part.count for part in bins), default=1)
        for part, point in zip(bins, points, strict=True):
            canvas.dot(point, 2 + 7 * (part.count / most) ** 0.5, 'one')

    words = '' if error is None else f', error {error:.3f}'
    return Plot(name, f'Calibration{words}', draw)


def learning_plot(
    name: str, title: str, lines: Mapping[str, Sequence[Point]], *, y_max: float | None = None
) -> Plot:
    """
    Draw values over the steps of a training run.

    :param name: of the file.
    :param title: above it.
    :param lines: steps and values, by what they are; those beyond the colours are left out.
    :param y_max: top of the axis; None: as high as the largest value.
    """

    def draw(canvas: Canvas) -> None:
        points = [point for line in lines.values() for point in line]
        # Lines of nothing but zeros want an axis, too.
        top = y_max or max(value for _, value in points) or 1.0
        axes = _Axes(canvas, x='step', y='', x_max=max(step for step, _ in points), y_max=top)
        for place, (words, line) in enumerate(lines.items()):
            if place < len(_LINES):
                places = [axes.at(step, min(value, top)) for step, value in _thin(line)]
                canvas.line(places, _LINES[place])
                for point in places if len(places) < _MAX_DOTS else ():
                    canvas.dot(point, 2, _LINES[place])
                _legend(canvas, place, words, _LINES[place])

    return Plot(name, title, draw)


def delay_plot(name: str, delays_s: Sequence[float], *, num_missed: int) -> Plot:
    """
    Draw a histogram of alert delays.

    :param name: of the file.
    :param delays_s: of all hits; not empty.
    :param num_missed: windows without a hit, for the title: they have no delay.
    """
    width_s = max(0.5, np.ceil(max(delays_s) / 16))
    counts = np.bincount((np.asarray(delays_s) // width_s).astype(int))

    def draw(canvas: Canvas) -> None:
        top = 4.0 * np.ceil(counts.max() / 4)
        end_s = float(len(counts) * width_s)
        axes = _Axes(canvas, x='delay [s]', y='alerts', x_max=end_s, y_max=top)
        for index in np.flatnonzero(counts).tolist():
            count = int(counts[index])
            left, base = axes.at(index * width_s, 0)
            right, peak = axes.at((index + 1) * width_s, count)
            canvas.bar((left + 1, peak), (right - left - 2, base - peak), 'two')
        for share, color in ((0.5, 'ink'), (0.9, 'soft')):
            at = float(np.quantile(delays_s, share))
            canvas.line([axes.at(at, 0), axes.at(at, top)], color, dashed=True)

    title = f'{len(delays_s)} hits, {num_missed} missed; dashed: median, p90'
    return Plot(name, title, draw)


def _legend(canvas: Canvas, place: int, words: str, color: str, *, top_px: float = _TOP) -> None:
    y = top_px + 14 + 16 * place
    canvas.line([(canvas.width - 120, y - 4), (canvas.width - 104, y - 4)], color)
    canvas.text((canvas.width - 98, y), words)


def _thin(points: Sequence[Point]) -> list[Point]:
    step = max(1, len(points) // _MAX_POINTS)
    return [*points[:-1:step], points[-1]]
