"""What the variants of a recipe reached: a table with the spread over seeds, and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from ..evaluation.canvas import Canvas, SvgCanvas

#: What validation measures, as a table says it.
METRICS: Mapping[str, str] = {
    'ap/narrate': 'narration AP',
    'f1/narrate': 'narration F1',
    'ap/listen': 'spoken AP',
    'f1/listen': 'spoken F1',
    'ap/sound': 'sound AP',
    'f1/sound': 'sound F1',
    'ap/sight': 'sight AP',
    'f1/sight': 'sight F1',
    'ap/joint': 'joint AP',
    'f1/joint': 'joint F1',
    'answers': 'answers right',
    'calibration': 'calibration error',
}
#: Of these, what is drawn.
_DRAWN = ('ap/narrate', 'ap/listen', 'ap/sound', 'ap/sight', 'answers', 'calibration')
_LABEL_PX, _PANEL_PX, _ROW_PX, _TOP_PX = 130, 110, 24, 30
_GAP_PX = 14

Results = Mapping[str, Sequence[Mapping[str, float]]]


def ablation_table(results: Results) -> str:
    """
    Make a table in Markdown: mean and standard deviation over the seeds.

    :param results: of each variant, by seed.
    :return: one row a metric, one column a variant.
    """
    names = list(results)
    lines = [f'| | {" | ".join(names)} |', f'|---|{"---|" * len(names)}']
    counts = [str(len(runs)) for runs in results.values()]
    lines.append(f'| seeds | {" | ".join(counts)} |')
    for metric, words in METRICS.items():
        cells = [
            _cell([run[metric] for run in runs if metric in run]) for runs in results.values()
        ]
        lines.append(f'| {words} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def draw_ablation(results: Results, path: Path) -> None:
    """
    Draw a dot for each run, and a bar for each variant's mean.

    :param results: of each variant, by seed.
    :param path: of the SVG.
    """
    width = _LABEL_PX + len(_DRAWN) * (_PANEL_PX + _GAP_PX)
    canvas = SvgCanvas(width, _TOP_PX + len(results) * _ROW_PX + 24)
    for row, name in enumerate(results):
        canvas.text((0, _TOP_PX + row * _ROW_PX + 16), name)
    for panel, metric in enumerate(_DRAWN):
        _draw_panel(canvas, _LABEL_PX + panel * (_PANEL_PX + _GAP_PX), metric, results)
    canvas.save(path)


def _draw_panel(canvas: Canvas, left: float, metric: str, results: Results) -> None:
    bottom = canvas.height - 20
    canvas.text((left + _PANEL_PX / 2, 16), METRICS[metric], anchor='middle')
    for share in (0.0, 0.5, 1.0):
        x = left + share * _PANEL_PX
        canvas.line([(x, _TOP_PX), (x, bottom)], 'rule')
        canvas.text((x, canvas.height - 6), f'{share:g}', anchor='middle')
    for row, runs in enumerate(results.values()):
        values = [run[metric] for run in runs if metric in run]
        if not values:
            continue
        y = _TOP_PX + row * _ROW_PX + _ROW_PX / 2
        canvas.bar((left, y - 4), (mean(values) * _PANEL_PX, 8), 'rule')
        for value in values:
            canvas.dot((left + value * _PANEL_PX, y), 3, 'one' if row else 'two')


def _cell(values: Sequence[float]) -> str:
    if not values:
        return '–'
    spread = f' ± {stdev(values):.2f}' if len(values) > 1 else ''
    return f'{mean(values):.2f}{spread}'
