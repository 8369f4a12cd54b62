"""
QVHighlights: highlight detection, by the official definition and by ROMA's.

The two are not comparable. The same predictions (Moment-DETR's official sample) score 35.65 /
55.55 by the official one and about 70 / 69 by ROMA's; random scores get 15 / 19 and about 34 /
30. ROMA's published 53.7 / 53.0 must not stand beside an official figure such as MMDuet's 31.3 /
49.6. Every result carries the name of its definition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from .curves import sweep_thresholds
from .second_scores import check_scores, min_max, smooth, span_labels
from .spans import Span

#: Length of a QVHighlights clip [s], and people who rated each.
CLIP_S, NUM_RATERS = 2, 3


class Rating(IntEnum):
    """From which rating on (0..4) a clip is a highlight; papers report VERY_GOOD."""

    FAIR = 2
    GOOD = 3
    VERY_GOOD = 4


@dataclass(frozen=True)
class HighlightScore:
    """
    A result of one definition.

    :param definition: which one; to be shown wherever the figures are.
    :param mean_ap: mean average precision, 0..1.
    :param hit1: share of queries whose best moment is a highlight, 0..1.
    :param count: queries that were counted.
    """

    definition: str
    mean_ap: float
    hit1: float
    count: int


@dataclass(frozen=True, eq=False)
class ClipQuery:
    """
    One query with the official annotation.

    :param ratings: of each clip by each person, 0..4, ``[clips, 3]``; see :func:`clip_ratings`.
    :param scores: predicted, one for each clip from the first on.
    """

    ratings: npt.NDArray[np.int64]
    scores: npt.ArrayLike


@dataclass(frozen=True, eq=False)
class SecondQuery:
    """
    One query as ROMA sees it.

    :param windows: closed spans that match the query [s].
    :param scores: predicted, one a second.
    """

    windows: Sequence[Span]
    scores: npt.ArrayLike


def clip_ratings(
    duration_s: float, clip_ids: Sequence[int], ratings: Sequence[Sequence[int]]
) -> npt.NDArray[np.int64]:
    """
    Spread the official annotation over all clips; clips without ratings have 0.

    :param duration_s: of the video; what is left after whole clips of 2 s is cut off.
    :param clip_ids: ``relevant_clip_ids``.
    :param ratings: ``saliency_scores``, three numbers for each of them.
    :return: ``[clips, 3]``, 0..4.
    :raises ValueError: when a clip is not in the video, or a rating not in 0..4.
    """
    num_clips = int(duration_s / CLIP_S)
    given = np.asarray(ratings, np.int64).reshape(-1, NUM_RATERS)
    ids = np.asarray(clip_ids, np.int64)
    if len(ids) != len(given) or (ids.size and not 0 <= ids.min() <= ids.max() < num_clips):
        raise ValueError(
            f'{len(given)} ratings for the clips {list(clip_ids)[:5]}... of a video of '
            f'{num_clips} clips; expected as many ratings as clips, all in the video'
        )
    if given.size and not 0 <= given.min() <= given.max() <= max(Rating):
        raise ValueError(f'ratings go from {given.min()} to {given.max()}, expected 0 to 4')
    spread = np.zeros((num_clips, NUM_RATERS), np.int64)
    spread[ids] = given
    return spread


def seconds_to_clips(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """
    Add up scores of one a second to clips of 2 s, as MMDuet does for the official evaluator.

    Source: ``test/evaluate.py`` of MMDuet. A last odd second stands alone, and so low.
    """
    given = check_scores(scores)
    return np.add.reduceat(given, np.arange(0, len(given), CLIP_S))


def interpolated_average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """
    Return the official evaluator's average precision.

    Source: ``get_ap`` in ``standalone_eval/utils.py`` of moment_detr (interpolate, not 11-point).
    Precision at each threshold is raised to the best at any lower threshold; the mean is over the
    thresholds at which recall grows, not weighted by how much it grows. Labels that are all
    zero give 0 (and count!), all one give 1. Traps: clips with equal scores are one threshold,
    so a constant prediction gets the share of positives; it is neither
    ``average_precision_score`` nor ROMA's.

    :param labels: 0 or 1, ``[n]``.
    :param scores: ``[n]``.
    """
    curve = sweep_thresholds(labels, scores)
    if not curve.num_positives:
        return 0.0
    if not curve.num_negatives:
        return 1.0
    best = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(best[np.diff(curve.num_true, prepend=0) > 0].mean())


def official_score(queries: Sequence[ClipQuery], rating: Rating) -> HighlightScore:
    """
    Judge clip scores by the official definition: HL-mAP and HL-Hit1.

    Source: ``standalone_eval/eval.py`` of github.com/jayleicn/moment_detr (Lei et al., NeurIPS
    2021). A clip is a highlight for a person who rated it at least ``rating``. HL-mAP is the
    mean of :func:`interpolated_average_precision` over all pairs of query and person; HL-Hit1
    the share of queries whose best clip (the first of equals) is a highlight for any of the
    three people. Predictions are cut to the video, or filled up with zeros: trap, a zero ranks
    above negative scores; and an argmax behind the video's end is a miss.

    :param queries: all queries of a split: a query left out is not counted as wrong.
    :param rating: from which rating on.
    :raises ValueError: without queries, or when a query has no scores or one that is not finite.
    """
    if not queries:
        raise ValueError('there are no queries to judge')
    precisions, hits = [], []
    for query in queries:
        labels = query.ratings >= rating
        scores = check_scores(query.scores)
        best = int(np.argmax(scores))
        hits.append(best < len(labels) and bool(labels[best].any()))
        fitted = np.zeros(len(labels))
        fitted[: len(scores)] = scores[: len(labels)]
        precisions += [
            interpolated_average_precision(labels[:, rater], fitted) for rater in range(NUM_RATERS)
        ]
    name = rating.name.replace('_', ' ').title().replace(' ', '')
    return HighlightScore(
        f'official, {name}', float(np.mean(precisions)), float(np.mean(hits)), len(queries)
    )


def ranked_average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """
    Return ROMA's average precision: the mean precision at the rank of each positive.

    Source: ``average_precision`` in ROMA's ``eval/proactive/qvh/eval_qvh.py``. Trap: equal scores
    are ranked by time, the earlier first, so a constant prediction gets whatever the order of
    the labels gives; without ties it is :func:`.curves.average_precision`.

    :param labels: 0 or 1, ``[n]``.
    :param scores: ``[n]``.
    :return: 0..1; None without positives.
    """
    truth = np.asarray(labels, bool)
    order = np.argsort(-check_scores(scores), kind='stable')
    ranks = np.flatnonzero(truth[order]) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if ranks.size else None


def roma_score(queries: Sequence[SecondQuery], *, smoothing: int = 5) -> HighlightScore:
    """
    Judge scores of one a second as ROMA does.

    Source: ROMA's ``eval/proactive/qvh/eval_qvh.py``; the paper's A.3 has smoothing 5. Scores are
    scaled to 0..1 in each video, smoothed (:func:`.second_scores.smooth`), and compared with
    closed windows (:func:`.second_scores.span_labels`); :func:`ranked_average_precision`,
    averaged over videos with at least one positive second, the others left out; HIT@1: the best
    second (the first of equals) is positive. Traps: one label set instead of three people; long
    windows instead of the best clips; it looks into the future; which windows ROMA used is not
    public. Not comparable with :func:`official_score`.

    :param queries: all queries.
    :param smoothing: seconds on each side; 0: none.
    :raises ValueError: when no query has a positive second, or scores are not finite.
    """
    precisions: list[float] = []
    hits: list[bool] = []
    for query in queries:
        scores = smooth(min_max(query.scores), smoothing)
        labels = span_labels(query.windows, len(scores))
        precision = ranked_average_precision(labels, scores)
        if precision is not None:
            precisions.append(precision)
            hits.append(bool(labels[np.argmax(scores)]))
    if not precisions:
        raise ValueError('no query has a positive second: there is nothing to judge')
    return HighlightScore(
        f'ROMA, per second, smoothing {smoothing}',
        float(np.mean(precisions)),
        float(np.mean(hits)),
        len(precisions),
    )
