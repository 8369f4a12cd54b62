"""Charades-STA: where in a video is what a sentence says."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .second_scores import min_max, smooth, span_labels
from .spans import iou, Span

#: The paper's presets (A.3): seconds on each side, and threshold of the scaled scores.
SMOOTHING, THRESHOLD = 3, 0.45


def second_iou(
    scores: npt.ArrayLike,
    span: Span,
    *,
    smoothing: int = SMOOTHING,
    threshold: float = THRESHOLD,
) -> float:
    """
    Return the overlap of the seconds above a threshold with a span, as ROMA does.

    Source: ROMA's ``eval/proactive/charades/eval_cha.py``; presets: paper A.3. Scaled to 0..1,
    smoothed, cut at the threshold; intersection over union of *sets of seconds*: every second
    above the threshold counts, wherever it is, not one span. The span is closed
    (:func:`.second_scores.span_labels`). Nothing predicted and nothing true is 1.

    :param scores: one a second.
    :param span: the truth [s].
    :param smoothing: seconds on each side.
    :param threshold: of the smoothed scores; at the threshold counts.
    """
    predicted = smooth(min_max(scores), smoothing) >= threshold
    labels = span_labels([span], len(predicted))
    union = int((predicted | labels).sum())
    return float((predicted & labels).sum() / union) if union else 1.0


def recall_at(overlaps: Sequence[float], at: float) -> float | None:
    """
    Return the share of overlaps of at least ``at``: R@0.5, R@0.7.

    Traps: with :func:`second_iou` this is ROMA's and MMDuet's R@α for streams. The official
    Charades-STA R@1, IoU=α (Gao et al., ICCV 2017) takes one predicted span, see
    :func:`span_overlaps`; a set of seconds can fit better than any span. Marking all of a video
    gets the spans that fill at least that share of it.

    :param overlaps: one for each sentence, 0..1.
    :param at: 0..1.
    :return: 0..1; None without sentences.
    """
    given = np.asarray(overlaps, np.float64)
    if np.isnan(given).any():
        raise ValueError('an overlap is NaN; a video without an answer has overlap 0')
    return float((given >= at).mean()) if given.size else None


def span_overlaps(predicted: Sequence[Span | None], true: Sequence[Span]) -> list[float]:
    """
    Return the overlap of one predicted span with the truth, for each sentence.

    :param predicted: the best span of each sentence [s]; None: no answer, overlap 0.
    :param true: the truth of each [s].
    """
    return [
        0.0 if span is None else iou(span, truth)
        for span, truth in zip(predicted, true, strict=True)
    ]
