"""
What needs no model, under every metric: a figure means nothing without these beside it.

::

    python -m roma_ros.evaluation.baselines
    python -m roma_ros.evaluation.baselines --qvhighlights FOLDER --write docs/evaluation.md

The annotations are made up, in the shape of the benchmarks (``SHAPES``), and the same at every
call; those of QVHighlights are its own.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
import json
from pathlib import Path
import sys

import numpy as np

from .metrics.calibration_error import brier_score, expected_calibration_error
from .metrics.captions import Caption, localization_f1, soda_c
from .metrics.curves import average_precision, roc_auc
from .metrics.experience import alert_experience, AlertLog
from .metrics.grounding import recall_at, second_iou
from .metrics.highlights import (
    clip_ratings,
    ClipQuery,
    official_score,
    Rating,
    roma_score,
    SecondQuery,
)
from .metrics.narration import segment_time_f1, TimeF1
from .metrics.ovo_bench import crr_right, rec_hits
from .metrics.proactive import interval_outcome, Outcome, po_accuracy, ProactiveOutput
from .metrics.spans import Span
from .metrics.videollm_online import mean_score, stream_score, Turn
from .trivial import Baseline, BASELINES

#: What the made-up annotations are like, by metric.
SHAPES = {
    'Charades-STA': '300 videos of 30 s, one span of 3 to 15 s',
    'alerts': '300 streams of 120 s; half of them with one window of 3 to 10 s',
    'PA, PO': '300 streams of 60 s, due once for 5 s, after 10 s at the earliest',
    'OVO-Bench': '300 streams of 90 s: REC with 3 repetitions of 3 s; CRR asked at 20 s, with '
    'the clue 5 to 30 s later',
    'narration': '100 videos that segments of 5 to 40 s tile, as ROMA cuts YouCook2 and SSR',
    'dense captions': '100 videos of 300 s, 8 spans of 5 to 40 s apart; every caption is one of '
    'ten sentences',
    'VideoLLM-online': '100 streams of 8 turns of 3 to 20 frames at 2 fps; every word is right',
    'curves': '200 streams of 120 s, 5 % of the seconds positive',
}


#: A metric by its name: from a baseline to its figure; None where it is not defined.
_Metric = Callable[[Baseline], float | None]


def metrics(qvhighlights: Path | None = None) -> dict[str, _Metric]:
    """
    Return every metric, by the name under which it stands in the table.

    :param qvhighlights: folder with ``highlight_val_release.jsonl``; None: without these.
    """
    table: dict[str, _Metric] = {}
    if qvhighlights is not None:
        table |= _highlight_metrics(qvhighlights / 'highlight_val_release.jsonl')
    return table | {
        'Charades-STA R@0.5 (ROMA) [%]': lambda b: _charades(b, 0.5),
        'Charades-STA R@0.7 (ROMA) [%]': lambda b: _charades(b, 0.7),
        'OmniMMI PA, StreamingBench PO, interval (ROMA) [%]': _interval,
        'StreamingBench PO, time ±2 s (official) [%]': _po,
        'OVO-Bench REC (ROMA) [%]': _rec,
        'OVO-Bench CRR (ROMA) [%]': _crr,
        'narration time-F1, YouCook2 and SSR (ROMA) [%]': _narration,
        'dense-caption F1 [%]': lambda b: _captions(b)[0],
        'SODA_c-style, shared words [%]': lambda b: _captions(b)[1],
        'VideoLLM-online TimeDiff [s]': lambda b: _turns(b)[0],
        'VideoLLM-online Fluency [%]': lambda b: _turns(b)[1],
        'average precision [%]': lambda b: _curves(b)[0],
        'ROC AUC [%]': lambda b: _curves(b)[1],
        'expected calibration error [%]': lambda b: _curves(b)[2],
        'Brier score [%]': lambda b: _curves(b)[3],
        'false alerts per hour': lambda b: _alerts(b)['false_alerts_per_hour'],
        'missed rate [%]': lambda b: _percent(_alerts(b)['missed_rate']),
        'alert F1 [%]': lambda b: _percent(_alerts(b)['f1']),
        'alert delay, median [s]': lambda b: _alerts(b)['delay_median_s'],
    }


def format_table(qvhighlights: Path | None = None) -> str:
    """Return all figures as a Markdown table."""
    rows = [
        '| metric | ' + ' | '.join(baseline.name for baseline in BASELINES) + ' |',
        '|---|' + '---:|' * len(BASELINES),
    ]
    for name, metric in metrics(qvhighlights).items():
        cells = ('–' if (v := metric(b)) is None else f'{v:.1f}' for b in BASELINES)
        rows.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(rows)


def _highlight_metrics(path: Path) -> dict[str, _Metric]:
    items = [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()]

    @cache
    def official(baseline: Baseline) -> tuple[float, float]:
        rng = np.random.default_rng(0)
        queries = [
            ClipQuery(
                clip_ratings(i['duration'], i['relevant_clip_ids'], i['saliency_scores']),
                baseline.scores(i['duration'] // 2, rng),
            )
            for i in items
        ]
        score = official_score(queries, Rating.VERY_GOOD)
        return 100 * score.mean_ap, 100 * score.hit1

    @cache
    def roma(baseline: Baseline) -> tuple[float, float]:
        rng = np.random.default_rng(0)
        queries = [
            SecondQuery(i['relevant_windows'], baseline.scores(i['duration'], rng)) for i in items
        ]
        score = roma_score(queries)
        return 100 * score.mean_ap, 100 * score.hit1

    return {
        'QVHighlights mAP, official, VeryGood [%]': lambda b: official(b)[0],
        'QVHighlights HIT@1, official, VeryGood [%]': lambda b: official(b)[1],
        'QVHighlights mAP, ROMA, per second [%]': lambda b: roma(b)[0],
        'QVHighlights HIT@1, ROMA, per second [%]': lambda b: roma(b)[1],
    }


def _streams(count: int) -> Iterator[np.random.Generator]:
    """Yield the random numbers of each made-up stream: the same for every baseline."""
    for seed in range(count):
        yield np.random.default_rng([2026, seed])


def _charades(baseline: Baseline, at: float) -> float | None:
    overlaps = []
    for rng in _streams(300):
        length = rng.uniform(3, 15)
        start = rng.uniform(0, 30 - length)
        overlaps.append(second_iou(baseline.scores(30, rng), (start, start + length)))
    return _percent(recall_at(overlaps, at))


def _interval(baseline: Baseline) -> float:
    outcomes = []
    for rng in _streams(300):
        start = rng.uniform(10, 55)
        times = baseline.times_s(60, rng)
        outcomes.append(interval_outcome(times[0] if times else None, (start, start + 5)))
    return 100 * outcomes.count(Outcome.CORRECT) / len(outcomes)


def _po(baseline: Baseline) -> float:
    outputs = []
    for rng in _streams(300):
        true_time_s = rng.uniform(10, 55)
        times = baseline.times_s(60, rng)
        outputs.append(ProactiveOutput(times[0] if times else None, '', true_time_s, ''))
    return 100 * po_accuracy(outputs).time


def _rec(baseline: Baseline) -> float:
    hits = []
    for rng in _streams(300):
        starts = [rng.uniform(30 * i, 30 * i + 27) for i in range(3)]
        hits += rec_hits(baseline.times_s(90, rng), [(s, s + 3) for s in starts])
    return 100 * sum(hits) / len(hits)


def _crr(baseline: Baseline) -> float:
    right = []
    for rng in _streams(300):
        clue_s = 20 + rng.uniform(5, 30)
        times = baseline.times_s(90, rng)
        right.append(crr_right(times, ask_time_s=20.0, clue_time_s=clue_s))
    return 100 * sum(right) / len(right)


def _narration(baseline: Baseline) -> float:
    total = TimeF1(0, 0, 0)
    for rng in _streams(100):
        cuts = np.concatenate([[0.0], np.cumsum(rng.uniform(5, 40, 10))])
        segments = list(pairwise(cuts.tolist()))
        total += segment_time_f1(baseline.times_s(int(cuts[-1]), rng), segments)
    return 100 * total.f1


_VERBS, _THINGS = ('cut', 'fry', 'mix', 'wash', 'boil'), ('the onion', 'two eggs')
_SENTENCES = [f'{verb} {thing}' for verb in _VERBS for thing in _THINGS]


@cache
def _captions(baseline: Baseline) -> tuple[float, float]:
    """Spans go from one time that it speaks to the next; the text is always the first sentence."""
    localizations, stories = [], []
    for rng in _streams(100):
        true = []
        for index in range(8):
            start = 37.5 * index + rng.uniform(0, 10)
            span = (start, min(start + rng.uniform(5, 40), 37.5 * (index + 1)))
            true.append(Caption(span, _SENTENCES[rng.integers(len(_SENTENCES))]))
        times = [0.0, *baseline.times_s(300, rng)]
        spans: list[Span] = list(pairwise(times))
        said = [Caption(span, _SENTENCES[0]) for span in spans]
        localizations.append(localization_f1(spans, [caption.span for caption in true]).f1)
        stories.append(soda_c(said, true))
    return 100 * float(np.mean(localizations)), 100 * float(np.mean(stories))


@cache
def _turns(baseline: Baseline) -> tuple[float, float]:
    """Frames come twice a second; the baseline speaks with the second frame of a second."""
    scores = []
    for rng in _streams(100):
        lengths = rng.integers(3, 21, 8)
        speaks = np.zeros(lengths.sum() + 1, bool)
        speaks[1::2] = baseline.speaks(len(speaks) // 2, rng)
        parts = np.split(speaks[: lengths.sum()], np.cumsum(lengths)[:-1])
        turns = [
            Turn(
                token_log_probs=np.zeros(8),
                token_right=np.ones(8, bool),
                speaks=part,
                speaks_after=parts[i + 1] if i + 1 < len(parts) else (),
            )
            for i, part in enumerate(parts)
        ]
        scores.append(stream_score(turns, fps=2))
    mean = mean_score(scores)
    return mean.time_diff_s, 100 * mean.fluency


@cache
def _curves(baseline: Baseline) -> tuple[float | None, ...]:
    labels, scores = [], []
    for rng in _streams(200):
        labels.append(rng.random(120) < 0.05)
        scores.append(baseline.scores(120, rng))
    truth, given = np.concatenate(labels), np.concatenate(scores)
    figures = (average_precision, roc_auc, expected_calibration_error, brier_score)
    return tuple(_percent(figure(truth, given)) for figure in figures)


@cache
def _alerts(baseline: Baseline) -> dict[str, float | None]:
    logs = []
    for index, rng in enumerate(_streams(300)):
        start, length = rng.uniform(0, 110), rng.uniform(3, 10)
        windows = ((start, start + length),) if index % 2 else ()
        logs.append(
            AlertLog(
                stream=str(index),
                duration_s=120.0,
                windows=windows,
                firings_s=tuple(baseline.times_s(120, rng)),
            )
        )
    figures = alert_experience(logs, tolerance_s=1.0)
    return {name: figure.value for name, figure in figures.items()}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


#: What stands around the table in a document.
BEGIN, END = '<!-- baselines: begin -->', '<!-- baselines: end -->'


def main(argv: Sequence[str] | None = None) -> int:
    """
    Print the table, or put it into a document.

    :param argv: options.
    :return: exit code.
    """
    parser = argparse.ArgumentParser(prog='python -m roma_ros.evaluation.baselines')
    parser.add_argument('--qvhighlights', type=Path, metavar='FOLDER', help='its annotations')
    parser.add_argument('--write', type=Path, metavar='FILE', help='replace the table in there')
    options = parser.parse_args(argv)
    table = format_table(options.qvhighlights)
    if options.write is None:
        print(table)
        return 0
    text = options.write.read_text(encoding='utf-8')
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    options.write.write_text(f'{head}{BEGIN}\n{table}\n{END}{tail}', encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
