"""ROMA's treatment of one score a second: scaled, smoothed, compared with closed spans."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .spans import check_spans, Span

_FloatArray = npt.NDArray[np.float64]


def check_scores(scores: npt.ArrayLike) -> _FloatArray:
    """
    Return scores as an array.

    :param scores: one a second, ``[seconds]``.
    :raises ValueError: when there are none, or one is not finite.
    """
    given = np.asarray(scores, np.float64)
    if given.ndim != 1 or not given.size or not np.isfinite(given).all():
        raise ValueError(
            f'scores have shape {given.shape}, {int((~np.isfinite(given)).sum())} of them not '
            'finite; expected one finite number a second, and at least one'
        )
    return given


def min_max(scores: npt.ArrayLike) -> _FloatArray:
    """
    Scale one video's scores to 0..1; equal scores all become 0.

    Trap: it needs the whole video, so nothing that is computed from it can be had in a stream.
    """
    given = check_scores(scores)
    low, high = given.min(), given.max()
    if not high > low:
        return np.zeros_like(given)
    # Halved first, as the difference of two large numbers may be infinite.
    return (given / 2 - low / 2) / (high / 2 - low / 2)


def smooth(scores: npt.ArrayLike, radius: int) -> _FloatArray:
    """
    Average each second with up to ``radius`` seconds on both sides; fewer at the ends.

    Trap: it looks ``radius`` seconds into the future. ROMA's "window 5" is this radius, so eleven
    seconds are averaged.

    :param scores: one a second.
    :param radius: seconds on each side; 0: none.
    """
    given = check_scores(scores)
    if radius < 0:
        raise ValueError(f'radius is {radius}, expected at least 0')
    # Every window is added up in the same order, so that equal ones stay equal.
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(given, radius), 2 * radius + 1)
    index = np.arange(len(given))
    counts = np.minimum(index + radius, len(given) - 1) - np.maximum(index - radius, 0) + 1
    return windows.sum(1) / counts


def span_labels(spans: Sequence[Span], num_seconds: int) -> npt.NDArray[np.bool_]:
    """
    Mark the seconds of spans as ROMA does: whole numbers, both ends inside.

    Begin and end are cut to whole seconds first, so that [4.2, 6.9] marks 4, 5 and 6, and
    [4, 6] does as well, though its last moment is where second 6 begins: one second too much.

    :param spans: begin and end [s]; what lies outside the video is left out.
    :param num_seconds: length of the video.
    """
    check_spans(spans, what='the annotation')
    labels = np.zeros(num_seconds, bool)
    for start_s, end_s in spans:
        if end_s >= 0:
            labels[max(0, int(start_s)) : int(end_s) + 1] = True
    return labels
