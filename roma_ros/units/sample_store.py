"""The samples that wait to be read, by their number."""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]


class SampleStore:
    """Samples by number, with holes; what is there first stays."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._pieces: list[npt.NDArray[np.float32]] = []

    def add(self, begin: int, samples: npt.NDArray[np.float32]) -> int:
        """
        Store samples where none are yet.

        :param begin: number of the first sample.
        :param samples: float32 ``[n]``; kept, not copied.
        :return: how many of them were new.
        """
        end = begin + len(samples)
        if not self._begins or begin >= self._begins[-1] + len(self._pieces[-1]):
            self._begins.append(begin)
            self._pieces.append(samples)
            return len(samples)
        holes = self.holes(begin, end)
        for hole_begin, hole_end in holes:
            at = bisect_right(self._begins, hole_begin)
            self._begins.insert(at, hole_begin)
            self._pieces.insert(at, samples[hole_begin - begin : hole_end - begin])
        return sum(hole_end - hole_begin for hole_begin, hole_end in holes)

    def holes(self, begin: int, end: int) -> list[Span]:
        """Return the spans within ``begin..end`` that have no sample, in order."""
        holes = []
        at = max(bisect_right(self._begins, begin) - 1, 0)
        for piece_begin, piece in zip(self._begins[at:], self._pieces[at:], strict=True):
            if piece_begin >= end:
                break
            if piece_begin > begin:
                holes.append((begin, piece_begin))
            begin = max(begin, piece_begin + len(piece))
        if begin < end:
            holes.append((begin, end))
        return holes

    def read(self, begin: int, end: int) -> npt.NDArray[np.float32]:
        """Return samples ``begin..end`` with zeros in the holes, float32 ``[end - begin]``."""
        out = np.zeros(end - begin, np.float32)
        at = max(bisect_right(self._begins, begin) - 1, 0)
        for piece_begin, piece in zip(self._begins[at:], self._pieces[at:], strict=True):
            if piece_begin >= end:
                break
            skip = max(begin - piece_begin, 0)
            part = piece[skip : end - piece_begin]
            offset = piece_begin + skip - begin
            out[offset : offset + len(part)] = part
        return out

    def drop_before(self, begin: int) -> None:
        """Forget the pieces that end at or before sample ``begin``."""
        num_old = 0
        for piece_begin, piece in zip(self._begins, self._pieces, strict=True):
            if piece_begin + len(piece) > begin:
                break
            num_old += 1
        del self._begins[:num_old]
        del self._pieces[:num_old]
