"""How far a camera and a microphone lie apart, from claps of hands that both of them took in."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt

from ..units.audio import Samples
from ..units.unit import UNIT_NS
from ..units.video import Image

#: Claps that it takes, and the most that a sight and a sound may lie apart [ns].
MIN_CLAPS = 5
MAX_OFFSET_NS = 500_000_000
#: Claps closer than this are not told apart [ns]; whose pictures are close, neither.
_CLAP_GAP_NS = 2 * MAX_OFFSET_NS
#: Resolution of the sound [ns].
_HOP_NS = 1_000_000
#: A clap is this loud (-1..1 is all there is), and so far above the loudness before it.
_CLAP_PEAK, _CLAP_OVER_BEFORE = 0.05, 8.0
#: How much before it counts [hops], and how long it takes to ring out at least [hops].
_BEFORE_HOPS, _RING_HOPS = 100, 300
#: Size at which pictures are compared [px], and the change that is noise, of 0..255.
_COMPARED_SIDE_PX, _NOISE = 64, 8.0
#: A clap's motion is so far above what moves in the picture most of the time.
_MOTION_OVER_MEDIAN = 4.0
#: Deviations from the median, as standard deviations, beyond which a clap is another one's, or
#: none; and the spread at which the claps say nothing [ns].
_OUTLIER, _MAX_SPREAD_NS = 3.5, 60_000_000
#: From the median absolute deviation to the standard deviation of normal values.
_NORMAL = 1.4826


@dataclass(frozen=True)
class ClapOffset:
    """
    What the claps say.

    :param offset_ns: how much later the sight is stamped than the sound, in the median [ns].
    :param spread_ns: standard deviation of one clap, by the median deviation [ns].
    :param num_claps: claps that it is made from.
    :param num_left_out: claps that were heard, but not seen or not near the others.
    """

    offset_ns: int
    spread_ns: int
    num_claps: int
    num_left_out: int

    @property
    def uncertainty_ns(self) -> int:
        """Return the half width of the 95 % interval of the offset [ns]."""
        # 1.25: what a median varies more than a mean.
        return round(1.96 * 1.25 * self.spread_ns / self.num_claps**0.5)


@dataclass(frozen=True, eq=False)
class _Picture:
    """A small picture, and how much it differs from the one before."""

    stamp_ns: int
    small: npt.NDArray[np.float32]
    changed: float


class ClapFinder:
    """
    Takes a camera and a microphone, and finds the claps.

    A clap is heard as a bang after some quiet. It is seen as motion that ends, since hands come
    fast and stay together; or as a flash, where somebody claps a light. The time at which it
    ends is read between two pictures, by how much of the way the last one still shows.
    """

    def __init__(self) -> None:
        self._pictures: list[_Picture] = []
        self._peaks: list[tuple[int, float]] = []

    def add_image(self, stamp_ns: int, image: Image) -> None:
        """
        Take an image; those that are not after the last one are left out.

        :param stamp_ns: its stamp [ns].
        :param image: uint8 ``[H, W, 3]``.
        """
        small = _shrink(image)
        if not self._pictures:
            self._pictures.append(_Picture(stamp_ns, small, 0.0))
        elif stamp_ns > self._pictures[-1].stamp_ns:
            changed = _difference(small, self._pictures[-1].small)
            self._pictures.append(_Picture(stamp_ns, small, changed))

    def add_audio(self, stamp_ns: int, samples: Samples, *, rate_hz: int) -> None:
        """
        Take a chunk of sound.

        :param stamp_ns: stamp of its first sample [ns].
        :param samples: float32 ``[n, channels]``, -1..1.
        :param rate_hz: samples a second.
        """
        loud = np.abs(samples).max(axis=1)
        hops = (stamp_ns + np.arange(len(loud)) * UNIT_NS // rate_hz) // _HOP_NS
        starts = np.flatnonzero(np.diff(hops, prepend=hops[:1] - 1))
        if not len(starts):
            return
        peaks = np.maximum.reduceat(loud, starts)
        for hop, peak in zip(hops[starts].tolist(), peaks.tolist(), strict=True):
            if self._peaks and self._peaks[-1][0] == hop:
                peak = max(peak, self._peaks.pop()[1])
            self._peaks.append((hop, peak))

    def heard_ns(self) -> list[int]:
        """Return the times of all bangs so far [ns]."""
        hops = np.array([hop for hop, _ in self._peaks], np.int64)
        peaks = np.array([peak for _, peak in self._peaks], np.float32)
        found: list[int] = []
        last = -_BEFORE_HOPS
        for index in np.flatnonzero(peaks >= _CLAP_PEAK).tolist():
            if index - last < _RING_HOPS and found:
                continue
            before = peaks[max(0, index - _BEFORE_HOPS) : index]
            if not before.size:
                continue
            # Its own loudest millisecond is a little after its first.
            peak = float(peaks[index : index + 10].max())
            if peak < _CLAP_OVER_BEFORE * float(np.sqrt(np.mean(before**2))):
                continue
            # The first millisecond that is loud beside it.
            first = index + int(np.argmax(peaks[index : index + 10] > peak / 2))
            found.append(int(hops[first]) * _HOP_NS + _HOP_NS // 2)
            last = index
        return found

    def estimate(self) -> ClapOffset:
        """
        Estimate the offset from all claps so far.

        :raises ValueError: when there are too few, or they do not agree, with what to do.
        """
        heard = _apart(self.heard_ns())
        offsets = [o for o in (self._offset_ns(stamp_ns) for stamp_ns in heard) if o is not None]
        kept = _without_outliers(offsets)
        if len(kept) < MIN_CLAPS:
            raise ValueError(
                f'{len(kept)} claps of use, at least {MIN_CLAPS} are needed: {len(heard)} were '
                f'heard apart from others, {len(offsets)} of them seen. Clap near the camera, in '
                'good light and without other noise, one clap every two seconds, and hold the '
                'hands together for a moment'
            )
        middle = median(kept)
        spread_ns = round(_NORMAL * median(abs(offset - middle) for offset in kept))
        if spread_ns > _MAX_SPREAD_NS:
            raise ValueError(
                f'the claps do not agree: they spread over {spread_ns / 1e6:.0f} ms. Are the '
                'stamps those of capture, and does nothing else move?'
            )
        return ClapOffset(round(middle), spread_ns, len(kept), len(heard) - len(kept))

    def _offset_ns(self, heard_ns: int) -> float | None:
        """Return how much later a clap was seen than heard; None where it was not seen."""
        near = [p for p in self._pictures if abs(p.stamp_ns - heard_ns) <= MAX_OFFSET_NS]
        usual = median(picture.changed for picture in self._pictures) if near else 0.0
        seen_ns = _end_of_motion_ns(near, usual=usual)
        return None if seen_ns is None else seen_ns - heard_ns


def _shrink(image: Image) -> npt.NDArray[np.float32]:
    """Return the mean brightness of blocks, in which the camera's own noise is averaged out."""
    height, width = image.shape[:2]
    block = max(1, -(-max(height, width) // _COMPARED_SIDE_PX))
    rows, columns = height // block, width // block
    gray = image[: rows * block, : columns * block].mean(axis=2, dtype=np.float32)
    blocks = gray.reshape(rows, block, columns, block).mean(axis=(1, 3))
    return np.asarray(blocks, np.float32)


def _difference(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return how much two pictures differ, but for noise; 0 where they cannot be compared."""
    if one.shape != other.shape:
        return 0.0
    return float(np.maximum(np.abs(one - other) - _NOISE, 0).mean())


def _end_of_motion_ns(pictures: Sequence[_Picture], *, usual: float) -> float | None:
    """
    Find where motion ends most abruptly.

    :param pictures: those around a bang.
    :param usual: how much pictures change most of the time.
    :return: its time [ns]; None where nothing moves, or where all is soon as it was before: of
        hands that part at once it cannot be told when they met.
    """
    if len(pictures) < 4:
        return None
    stamps = [picture.stamp_ns for picture in pictures]
    moved = [picture.changed for picture in pictures]
    # In interval k, from picture k - 1 to picture k, motion ends: all of the one before moved,
    # nothing of the one after does.
    drops = [moved[k - 1] - moved[k + 1] for k in range(1, len(moved) - 1)]
    k = 1 + int(np.argmax(drops))
    before = moved[k - 1]
    if before <= max(_MOTION_OVER_MEDIAN * usual, 1e-3):
        return None
    first = k - 1
    while first > 0 and moved[first] > before / 5:
        first -= 1
    from_first = [_difference(p.small, pictures[first].small) for p in pictures[first : k + 2]]
    if from_first[-1] < max(from_first) / 2:
        return None
    if k >= 2 and moved[k - 2] < before / 5 and moved[k] < before / 5:
        # A flash is one change alone: it began between two pictures, and the second shows it.
        return (stamps[k - 2] + stamps[k - 1]) / 2
    share = min(max(moved[k] / before, 0.0), 1.0)
    return stamps[k - 1] + share * (stamps[k] - stamps[k - 1])


def _apart(stamps_ns: Sequence[int]) -> list[int]:
    """Return the stamps that are far from all others."""
    if len(stamps_ns) < 2:
        return list(stamps_ns)
    gaps = [_CLAP_GAP_NS, *(later - stamp for stamp, later in pairwise(stamps_ns)), _CLAP_GAP_NS]
    return [
        stamp
        for stamp, before, after in zip(stamps_ns, gaps, gaps[1:], strict=False)
        if min(before, after) >= _CLAP_GAP_NS
    ]


def _without_outliers(values: Sequence[float]) -> list[float]:
    if len(values) < 3:
        return list(values)
    middle = median(values)
    spread = _NORMAL * median(abs(value - middle) for value in values)
    # 10 ms: claps that agree to the millisecond make no outliers of the others.
    return [value for value in values if abs(value - middle) <= _OUTLIER * max(spread, 1e7)]
