"""What playback publishes, in order: audio in even chunks, and each item when it is due."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
import heapq
import itertools
import math

import numpy as np

from ..units.recording import TimedChunk, TimedFrame
from ..units.unit import UNIT_NS

Item = TimedFrame | TimedChunk

#: Distance of stamps up to which audio counts as joined [ns]; some containers round to 1 ms.
_JOINT_NS = 5_000_000
#: How far ahead is read, at least, to bring items into order [ns]; files may hold audio in long
#: pieces, which begin before the frames that were read in between.
_LOOK_AHEAD_NS = UNIT_NS


def split_chunks(items: Iterable[Item], chunk_ns: int) -> Iterator[Item]:
    """
    Cut audio into even chunks, as a sound card delivers it; frames pass.

    Chunks end where the audio has a gap, or ends.

    :param items: of one camera and one microphone.
    :param chunk_ns: length of a chunk [ns].
    """
    anchor: TimedChunk | None = None  # its stamp, and the samples of `position` on, are pending
    position = 0  # samples since the anchor's stamp that were given out
    for item in items:
        if isinstance(item, TimedFrame):
            yield item
            continue
        if anchor is not None:
            end_ns = _sample_ns(anchor, position + len(anchor.samples))
            if item.rate_hz == anchor.rate_hz and abs(item.stamp_ns - end_ns) < _JOINT_NS:
                samples = np.concatenate((anchor.samples, item.samples))
                anchor = replace(anchor, samples=samples)
            else:
                yield from _take(anchor, position, len(anchor.samples))
                anchor, position = item, 0
        else:
            anchor = item
        size = max(1, round(chunk_ns * anchor.rate_hz / UNIT_NS))
        whole = len(anchor.samples) // size * size
        for first in range(0, whole, size):
            part = replace(anchor, samples=anchor.samples[first:])
            yield from _take(part, position + first, size)
        anchor, position = replace(anchor, samples=anchor.samples[whole:]), position + whole
    if anchor is not None:
        yield from _take(anchor, position, len(anchor.samples))


def _take(anchor: TimedChunk, position: int, size: int) -> Iterator[TimedChunk]:
    if size:
        stamp_ns = _sample_ns(anchor, position)
        yield replace(anchor, stamp_ns=stamp_ns, samples=anchor.samples[:size])


def _sample_ns(anchor: TimedChunk, number: int) -> int:
    return anchor.stamp_ns + number * UNIT_NS // anchor.rate_hz


def limit_fps(items: Iterable[Item], max_fps: float) -> Iterator[Item]:
    """
    Leave out frames beyond a rate; chunks pass.

    :param items: in order of time.
    :param max_fps: frames a second at most.
    """
    last_slot = None
    for item in items:
        if isinstance(item, TimedFrame):
            # Frames on the grid fall into the middle of a slot: jitter does not move them.
            slot = int(item.stamp_ns * max_fps / UNIT_NS + 0.5)
            if slot == last_slot:
                continue
            last_slot = slot
        yield item


def in_order(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items in the order in which live sensors would deliver them: by ``end_ns``."""
    waiting: list[tuple[int, int, Item]] = []
    numbers = itertools.count()  # what is due at one time keeps its order
    newest_ns, ahead_ns = -math.inf, float(_LOOK_AHEAD_NS)
    for item in items:
        heapq.heappush(waiting, (item.end_ns, next(numbers), item))
        newest_ns = max(newest_ns, item.end_ns)
        ahead_ns = max(ahead_ns, newest_ns - item.end_ns)
        while waiting[0][0] < newest_ns - ahead_ns:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def repeat(items: Iterable[Item]) -> Iterator[Item]:
    """
    Yield the items again and again, stamps going on.

    :param items: can be iterated anew; a round is as long as it takes to its last item's end,
        and one frame more where frames come last.
    """
    offset_ns = 0
    while True:
        begin_ns = end_ns = last_frame_ns = None
        period_ns = 0
        for item in items:
            if isinstance(item, TimedFrame):
                if last_frame_ns is not None:
                    period_ns = item.stamp_ns - last_frame_ns
                last_frame_ns = item.stamp_ns
                item_end_ns = item.stamp_ns + period_ns
            else:
                item_end_ns = item.end_ns
            begin_ns = item.stamp_ns if begin_ns is None else min(begin_ns, item.stamp_ns)
            end_ns = item_end_ns if end_ns is None else max(end_ns, item_end_ns)
            yield replace(item, stamp_ns=item.stamp_ns + offset_ns)
        if begin_ns is None or end_ns is None:
            return
        offset_ns += max(end_ns - begin_ns, 1)
