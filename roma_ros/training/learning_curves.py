"""Pictures of how a run learned, drawn from its log."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
import json
import math
from pathlib import Path

from ..evaluation.canvas import Point, SvgCanvas
from ..evaluation.plots import learning_plot, SIZE

#: Width of a moving mean over the losses of single batches [points].
_SMOOTHING = 10
#: File name, title, and what of the log it shows by its words; whether it ends at 1.
_PLOTS: Sequence[tuple[str, str, Mapping[str, str], bool]] = (
    (
        'towers',
        'Towers, loss of a batch',
        {
            'train/cells': 'cells',
            'train/count': 'how many',
            'train/words': 'words',
            'train/sounds': 'sounds',
        },
        False,
    ),
    (
        'losses',
        'Loss of a batch',
        {
            'train/words_said': 'what to say',
            'train/when': 'when to speak',
        },
        False,
    ),
    (
        'speak_scores',
        'Validation, average precision',
        {
            'validation/ap/narrate': 'narration',
            'validation/ap/listen': 'spoken',
            'validation/ap/sound': 'sound',
            'validation/ap/sight': 'sight',
            'validation/ap/joint': 'joint',
        },
        True,
    ),
    (
        'answers',
        'Validation, right in every word',
        {
            'validation/answers': 'answers',
            'validation/answer/narrate': 'narrations',
        },
        True,
    ),
)


def draw_learning_curves(folder: Path) -> list[Path]:
    """
    Draw what a run's ``log.jsonl`` holds.

    :param folder: of the run.
    :return: the pictures, SVG, beside the log; none of what the log does not hold.
    """
    values = _read(folder / 'log.jsonl')
    written = []
    for name, title, wanted, is_share in _PLOTS:
        lines = {
            words: _smooth(values[key]) if key.startswith('train/') else values[key]
            for key, words in wanted.items()
            if key in values
        }
        if not lines:
            continue
        canvas = SvgCanvas(*SIZE)
        learning_plot(name, title, lines, y_max=1.0 if is_share else None)(canvas)
        written.append(folder / f'{name}.svg')
        canvas.save(written[-1])
    return written


def _read(log: Path) -> dict[str, list[Point]]:
    """Return steps and values; a run that was resumed may have logged a step twice."""
    values: dict[str, dict[float, float]] = defaultdict(dict)
    for line in log.read_text(encoding='utf-8').splitlines():
        entry = json.loads(line)
        step = float(entry.pop('step'))
        for name, value in entry.items():
            if math.isfinite(value):
                values[name][step] = value
    return {name: sorted(points.items()) for name, points in values.items()}


def _smooth(points: Sequence[Point]) -> list[Point]:
    smoothed = []
    for index, (step, _) in enumerate(points):
        part = [value for _, value in points[max(0, index - _SMOOTHING + 1) : index + 1]]
        smoothed.append((step, sum(part) / len(part)))
    return smoothed
