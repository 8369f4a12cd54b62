"""Dense captions: where they are and what they say."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import re

import numpy as np

from .spans import check_spans, iou, Span

#: Overlaps at which localization is judged.
IOU_THRESHOLDS = (0.3, 0.5, 0.7, 0.9)

#: How alike two texts are, 0..1: the prediction first, then the truth.
Similarity = Callable[[str, str], float]


@dataclass(frozen=True)
class Caption:
    """A text and its span [s]."""

    span: Span
    text: str


@dataclass(frozen=True)
class Localization:
    """Precision, recall (means over thresholds, 0..1) and their F1, of one video."""

    precision: float
    recall: float
    f1: float


def localization_f1(
    predicted: Sequence[Span],
    true: Sequence[Span],
    *,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> Localization:
    """
    Judge the spans of one video, whatever they say: the "F1" of dense video captioning.

    Source: ``evaluate_detections`` in MMDuet's ``test/dvc/eval_dvc.py``, after
    github.com/ranjaykrishna/densevid_eval. At each threshold precision is the share of
    predictions that overlap any true span by *more* than it, recall the share of true spans that
    any prediction overlaps so; both are averaged over thresholds, F1 is of the means. Papers
    report the mean of this F1 over videos, videos without predictions included. Traps: there is
    no one-to-one matching, so copies of a good span cost nothing; a narration is a moment and has
    no span; not ROMA's narration F1 (:func:`.narration.segment_time_f1`).

    :param predicted: spans of one video [s].
    :param true: the annotation; at least one.
    :param thresholds: overlaps.
    :raises ValueError: when there is nothing true, or a span is none.
    """
    check_spans(predicted, what='the prediction')
    check_spans(true, what='the annotation')
    if not true:
        raise ValueError('the annotation has no spans: recall is not defined; leave the video out')
    overlaps = np.array([[iou(p, t) for p in predicted] for t in true]).reshape(len(true), -1)
    above = overlaps[None] > np.asarray(thresholds)[:, None, None]  # [thresholds, true, predicted]
    recall = float(above.any(2).mean())
    precision = float(above.any(1).mean()) if predicted else 0.0
    return Localization(precision, recall, _harmonic(precision, recall))


def soda_c(
    predicted: Sequence[Caption], true: Sequence[Caption], *, similarity: Similarity | None = None
) -> float:
    """
    Judge captions as a story: the best alignment in order of time.

    Source: SODA_c (Fujita et al., ECCV 2020; github.com/fujiso/SODA), as in ``sodac`` of MMDuet's
    ``test/dvc/eval_dvc.py``: each pair scores its overlap times its similarity; the alignment
    that keeps the order of both and has the largest sum is found by dynamic programming; the sum
    over the number of predictions is precision, over the number of true captions recall; the
    result is their F1. Traps: the published figures use METEOR, which needs Java and WordNet;
    with another similarity the result is *SODA_c-style* and to be called so. Captions are put in
    order of begin, then end, here; the original takes them as they come.

    :param predicted: captions of one video.
    :param true: the annotation.
    :param similarity: how alike two texts are, 0..1; None: :func:`word_f1`.
    :return: 0..1; 0 where either side is empty.
    """
    alike = similarity or word_f1
    said, due = (sorted(c, key=lambda caption: caption.span) for c in (predicted, true))
    check_spans([caption.span for caption in said], what='the prediction')
    check_spans([caption.span for caption in due], what='the annotation')
    if not said or not due:
        return 0.0
    best = np.zeros((len(said) + 1, len(due) + 1))
    for i, caption in enumerate(said):
        for j, truth in enumerate(due):
            overlap = iou(caption.span, truth.span)
            score = overlap * alike(caption.text, truth.text) if overlap else 0.0
            best[i + 1, j + 1] = max(best[i, j + 1], best[i + 1, j], best[i, j] + score)
    total = float(best[-1, -1])
    return _harmonic(total / len(said), total / len(due))


def word_f1(predicted: str, true: str) -> float:
    """
    Return how many words two texts share, order and case aside: an F1, 0..1.

    Words are runs of letters and digits; each counts as often as it stands in both. Two texts
    without words are alike (1).
    """
    said, due = (Counter(re.findall(r'\w+', text.lower())) for text in (predicted, true))
    if not said and not due:
        return 1.0
    return 2 * (said & due).total() / (said.total() + due.total())


def _harmonic(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
