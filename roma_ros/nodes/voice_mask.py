"""Silence where the robot itself speaks, so that it does not answer itself."""

from collections import deque
from dataclasses import replace

import numpy as np

from ..units.unit import UNIT_NS
from .conversions import Chunk

#: Times of speech that are remembered; audio comes at most some seconds after them.
_NUM_SPANS = 16


class VoiceMask:
    """
    Makes silence of audio that overlaps the robot's own speech.

    :param hold_off_ns: how long the room still echoes after it [ns].
    """

    def __init__(self, *, hold_off_ns: int) -> None:
        self.hold_off_ns = hold_off_ns
        self._spans: deque[tuple[int, int]] = deque(maxlen=_NUM_SPANS)
        self._since_ns: int | None = None

    def set_speaking(self, speaking: bool, now_ns: int) -> None:
        """
        Take the news that the robot begins or ends to speak.

        :param now_ns: time of the news [ns].
        """
        if speaking:
            self._since_ns = now_ns if self._since_ns is None else self._since_ns
        elif self._since_ns is not None:
            self._spans.append((self._since_ns, now_ns + self.hold_off_ns))
            self._since_ns = None

    def apply(self, chunk: Chunk) -> Chunk:
        """Return a chunk, as silence where it has to be."""
        end_ns = chunk.stamp_ns + len(chunk.samples) * UNIT_NS // max(chunk.rate_hz, 1)
        if not self._overlaps(chunk.stamp_ns, end_ns):
            return chunk
        return replace(chunk, samples=np.zeros_like(chunk.samples))

    def _overlaps(self, start_ns: int, end_ns: int) -> bool:
        if self._since_ns is not None and end_ns > self._since_ns:
            return True
        return any(start_ns < to_ns and end_ns > from_ns for from_ns, to_ns in self._spans)
