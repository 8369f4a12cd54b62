"""Silence where the robot itself speaks, so that it does not answer itself."""

from collections import deque
from typing import Any

from ..msg import AudioChunk
from ..units.unit import UNIT_NS
from .conversions import time_to_ns
from .filters import SimpleFilter

#: Times of speech that are remembered; audio comes at most some seconds after them.
_NUM_SPANS = 16
_SAMPLE_BYTES = {
    AudioChunk.FORMAT_U8: 1,
    AudioChunk.FORMAT_S16: 2,
    AudioChunk.FORMAT_S32: 4,
    AudioChunk.FORMAT_F32: 4,
}


class VoiceMask(SimpleFilter):
    """
    Passes audio chunks on, as silence where they overlap the robot's own speech.

    :param hold_off_ns: how long the room still echoes after it [ns].
    """

    def __init__(self, *, hold_off_ns: int) -> None:
        super().__init__()
        self._hold_off_ns = hold_off_ns
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
            self._spans.append((self._since_ns, now_ns + self._hold_off_ns))
            self._since_ns = None

    def connectInput(self, audio_filter: SimpleFilter) -> None:  # noqa: N802
        """Take chunks from a filter."""
        audio_filter.registerCallback(self.add)

    def add(self, chunk: AudioChunk) -> None:
        """Pass a chunk on, masked where it has to be."""
        self.signalMessage(_silenced(chunk) if self._overlaps(chunk) else chunk)

    def _overlaps(self, chunk: AudioChunk) -> bool:
        start_ns = time_to_ns(chunk.header.stamp)
        frame_bytes = _SAMPLE_BYTES.get(chunk.sample_format, 1) * max(chunk.channels, 1)
        num_samples = len(chunk.data) // frame_bytes
        end_ns = start_ns + num_samples * UNIT_NS // max(chunk.sample_rate, 1)
        if self._since_ns is not None and end_ns > self._since_ns:
            return True
        return any(start_ns < to_ns and end_ns > from_ns for from_ns, to_ns in self._spans)


def _silenced(chunk: AudioChunk) -> AudioChunk:
    zero = b'\x80' if chunk.sample_format == AudioChunk.FORMAT_U8 else b'\0'
    fields: dict[str, Any] = {
        name: getattr(chunk, name) for name in chunk.get_fields_and_field_types()
    }
    return AudioChunk(**fields | {'data': zero * len(chunk.data)})
