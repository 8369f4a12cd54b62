"""Spans of time, and moments that fall into them."""

from collections.abc import Sequence
import heapq
import math

#: Begin and end [s]; both belong to it.
Span = tuple[float, float]


def check_spans(spans: Sequence[Span], *, what: str) -> None:
    """
    Refuse spans that are none.

    :param spans: begin and end of each [s].
    :param what: whose they are, for the error.
    :raises ValueError: when one is not finite or ends before it begins.
    """
    for span in spans:
        start_s, end_s = span
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
            raise ValueError(
                f'{what} has the span {span}; expected finite seconds, the begin not after the end'
            )


def check_times(times_s: Sequence[float], *, what: str) -> None:
    """
    Refuse times that are none.

    :param times_s: seconds.
    :param what: whose they are, for the error.
    :raises ValueError: when one is NaN or infinite.
    """
    for time_s in times_s:
        if not math.isfinite(time_s):
            raise ValueError(f'{what} has the time {time_s}; expected finite seconds')


def overlap_s(first: Span, second: Span) -> float:
    """Return how long two spans overlap [s]; 0 where they only touch or are apart."""
    return max(0.0, min(first[1], second[1]) - max(first[0], second[0]))


def iou(first: Span, second: Span) -> float:
    """
    Return intersection over union of two spans, 0..1.

    The union is the true one, not the hull: spans apart have 0. Two spans without length have 0,
    even at the same moment.
    """
    both = overlap_s(first, second)
    union = (first[1] - first[0]) + (second[1] - second[0]) - both
    return both / union if union > 0 else 0.0


def match_times(times_s: Sequence[float], spans: Sequence[Span]) -> list[int | None]:
    """
    Give each span at most one moment inside it, and each moment at most one span.

    Moments are taken in order; each goes to the span that ends first of those that it is in and
    that have none yet. No other pairing has more pairs, and none serves a span by an earlier
    moment without making another wait. The order of the arguments does not matter, but for
    spans that are equal.

    :param times_s: moments [s].
    :param spans: closed spans [s].
    :return: for each span the index of its moment, or None.
    """
    matched: list[int | None] = [None] * len(spans)
    coming = sorted(range(len(spans)), key=lambda i: spans[i][0], reverse=True)
    waiting: list[tuple[float, float, int]] = []
    for index in sorted(range(len(times_s)), key=lambda i: times_s[i]):
        time_s = times_s[index]
        while coming and spans[coming[-1]][0] <= time_s:
            span = coming.pop()
            heapq.heappush(waiting, (spans[span][1], spans[span][0], span))
        while waiting and waiting[0][0] < time_s:
            heapq.heappop(waiting)
        if waiting:
            matched[heapq.heappop(waiting)[2]] = index
    return matched


def contains(spans: Sequence[Span], time_s: float) -> bool:
    """Tell whether a moment is in one of the closed spans."""
    return any(start_s <= time_s <= end_s for start_s, end_s in spans)
