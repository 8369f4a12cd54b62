"""What needs no model, judged by a benchmark's own metric on its own samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .benchmarks.benchmark import Benchmark
from .benchmarks.lines import NARRATION_ID
from .results import Figure
from .runner import Line
from .trivial import Baseline, BASELINES
from .words import MAIN


def baseline_figures(benchmark: Benchmark, lines: Sequence[Line]) -> dict[str, dict[str, Figure]]:
    """
    Return a benchmark's figures of every trivial baseline.

    Each answers every question with ``A``, but for *never*, which says nothing. Only the truth,
    the lengths and the names in the lines are read.

    :param benchmark: whose metric.
    :param lines: of a run.
    """
    figures: dict[str, dict[str, Figure]] = {}
    for baseline in BASELINES:
        rng = np.random.default_rng(0)
        played = [_play(baseline, line, rng) for line in lines]
        scored = benchmark.score(played)
        figures[baseline.name] = {name: (value, None) for name, value in scored.items()}
    return figures


def _play(baseline: Baseline, line: Line, rng: np.random.Generator) -> Line:
    """Return a line as the baseline would have left it."""
    seconds = line['seconds']
    scores = baseline.scores(seconds, rng)
    times_s = [second + 1.0 for second in np.flatnonzero(scores >= baseline.share).tolist()]
    answer = None if baseline.name == 'never' else 'A'
    probabilities, fired = {}, {}
    for name, given in line['probabilities'].items():
        stood = [p is not None for p in given]
        probabilities[name] = [
            float(p) if known else None for p, known in zip(scores, stood, strict=True)
        ]
        fired[name] = [t for t in times_s if stood[int(t) - 1]]
    said: list[dict[str, Any]] = [
        {'time_s': t, 'id': NARRATION_ID, 'kind': 'narration', 'text': '', 'probability': 1.0}
        for t in times_s
    ]
    if answer is not None:
        said += [
            {'time_s': end_s, 'id': MAIN, 'kind': 'answer', 'text': answer, 'probability': 1.0}
            for _, end_s in line['spoken_s']
        ]
    return line | {
        'probabilities': probabilities,
        'fired_s': fired,
        'utterances': sorted(said, key=lambda item: item['time_s']),
        'answers': [answer] * len(line['answers']),
    }
