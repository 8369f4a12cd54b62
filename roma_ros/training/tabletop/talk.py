"""What is spoken in a stream: when there is room for a sentence, and its sound and words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .labels import Speech, Split
from .soundscape import Item
from .voices import PITCHES, speak, SPEEDS, VOICES
from .world import Span

_GAP_S = 0.15
_LOUDNESS_DB = (6.0, 25.0)


@dataclass(frozen=True)
class _Line:
    text: str
    voice: str
    speed: float
    pitch: float
    snr_db: float
    end_s: float


class Talk:
    """
    The spoken sentences of one stream.

    Room is kept by an estimate of a sentence's length, so that what is asked and when does not
    depend on how the voices are made.

    :param rng: all of its chance.
    :param split: whose voices speak.
    :param busy: spans in which something else is heard.
    """

    def __init__(self, rng: np.random.Generator, *, split: Split, busy: Sequence[Span]) -> None:
        self._rng = rng
        self._voices = VOICES[split]
        self._busy = list(busy)
        self._lines: list[_Line] = []

    def fits(self, text: str, end_s: float) -> bool:
        """Return whether a sentence can be said so that it ends at a time."""
        start_s = end_s - most_seconds(text)
        return start_s > 0 and not any(
            start_s < end + _GAP_S and begin < end_s + _GAP_S for begin, end in self._busy
        )

    def reserve(self, text: str, end_s: float) -> int:
        """Let a sentence be said so that it ends at a time; return its index in :meth:`say`."""
        rng = self._rng
        self._lines.append(
            _Line(
                text=text,
                voice=self._voices[rng.integers(len(self._voices))],
                speed=SPEEDS[rng.integers(len(SPEEDS))],
                pitch=PITCHES[rng.integers(len(PITCHES))],
                snr_db=float(rng.uniform(*_LOUDNESS_DB)),
                end_s=end_s,
            )
        )
        self._busy.append((end_s - most_seconds(text), end_s))
        return len(self._lines) - 1

    def say(self, *, audible: bool) -> tuple[list[Speech], list[Item]]:
        """
        Say what has been reserved.

        :param audible: with voices; else words are spread evenly and nothing sounds.
        :return: the sentences in the order in which they were reserved, and how they sound.
        """
        speech: list[Speech] = []
        items: list[Item] = []
        for line in self._lines:
            if audible:
                said = speak(line.text, voice=line.voice, speed=line.speed, pitch=line.pitch)
                start_s = max(line.end_s - said.duration_s, 0.0)
                words = said.words
                items.append(Item(said.samples, start_s, line.snr_db))
            else:
                start_s = line.end_s - most_seconds(line.text)
                names = line.text.split()
                step_s = (line.end_s - start_s) / len(names)
                words = tuple((w, i * step_s, (i + 1) * step_s) for i, w in enumerate(names))
            placed = tuple((w, start_s + begin, start_s + end) for w, begin, end in words)
            speech.append(Speech(line.text, line.voice, start_s, line.end_s, placed))
        return speech, items


def most_seconds(text: str) -> float:
    """Return how long a sentence takes at most: the slowest voice at the lowest speed."""
    return 0.3 + 0.068 * len(text)
