"""
Questions about now and before, and their answers.

What is asked is answered at the end of the unit in which it has been asked, from what that
unit's last frame has shown and what has sounded by then: only what rests or is done is asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .labels import Sound
from .language import name, NUMBERS, PLACES, SOUND_ANSWERS
from .world import place_of, Scene

TOPICS = ('color', 'count', 'where', 'sound', 'left', 'shape')

#: Ways to ask about a topic.
TEXTS = {
    'color': ('what color is the {}', 'tell me the color of the {}'),
    'count': ('how many things do you see', 'how many things are in view'),
    'where': ('where is {}', 'where do you see {}'),
    'sound': ('what did you hear last', 'what was the last sound'),
    'left': ('what left the table', 'what left last'),
    'shape': ('what is {}', 'which thing is {}'),
}
# Answers that are seldom possible.
_ANSWER_WEIGHTS = {'zero': 3.0, 'one': 1.3, 'three': 1.5}
_LAST_FRAME_S = 0.5
_FIRST_UNIT = 2


@dataclass(frozen=True)
class Candidate:
    """A question that can be asked in a unit."""

    unit: int
    topic: str
    text: str
    answer: str


class QuestionMaker:
    """
    Makes the questions of one stream.

    :param rng: all of its chance.
    """

    def __init__(self, rng: np.random.Generator, *, scene: Scene, sounds: Sequence[Sound]) -> None:
        self._rng = rng
        self._scene = scene
        self._sounds = sounds

    def make(self, topic: str, fits: Callable[[int, str], bool]) -> Candidate | None:
        """
        Choose a question so that all answers of its topic come about equally often.

        :param topic: what it is about.
        :param fits: whether a text can be asked in a unit.
        :return: the question; None: nothing can be asked.
        """
        rng = self._rng
        units = range(_FIRST_UNIT, self._scene.duration_s)
        candidates = [c for unit in units for c in self._candidates(topic, unit)]
        candidates = [c for c in candidates if fits(c.unit, c.text)]
        if not candidates:
            return None
        answers = sorted({c.answer for c in candidates})
        weights = np.array([_ANSWER_WEIGHTS.get(a, 1.0) for a in answers])
        answer = answers[rng.choice(len(answers), p=weights / weights.sum())]
        alike = [c for c in candidates if c.answer == answer]
        return alike[rng.integers(len(alike))]

    def _candidates(self, topic: str, unit: int) -> list[Candidate]:
        """Return what can be asked about a topic in a unit: what it is about, and the answer."""
        asked: dict[str, Callable[[int], list[tuple[str, str]]]] = {
            'color': self._color,
            'count': self._count,
            'where': self._where,
            'sound': self._sound,
            'left': self._left,
            'shape': self._shape,
        }
        pairs, texts = asked[topic](unit), TEXTS[topic]
        return [
            Candidate(unit, topic, texts[self._rng.integers(len(texts))].format(what), answer)
            for what, answer in pairs
        ]

    def _color(self, unit: int) -> list[tuple[str, str]]:
        things = [path.thing for path in self._scene.in_view(unit + _LAST_FRAME_S)]
        shapes = [thing.shape for thing in things]
        return [(t.shape, t.color) for t in things if shapes.count(t.shape) == 1]

    def _shape(self, unit: int) -> list[tuple[str, str]]:
        things = [path.thing for path in self._scene.in_view(unit + _LAST_FRAME_S)]
        colors = [thing.color for thing in things]
        return [(t.color, f'a {t.shape}') for t in things if colors.count(t.color) == 1]

    def _count(self, unit: int) -> list[tuple[str, str]]:
        return [('', NUMBERS[len(self._scene.in_view(unit + _LAST_FRAME_S))])]

    def _where(self, unit: int) -> list[tuple[str, str]]:
        return [
            (name(p.thing.shape, p.thing.color), PLACES[place_of(p.x.at(unit + _LAST_FRAME_S))])
            for p in self._scene.in_view(unit + _LAST_FRAME_S)
            if p.is_still(unit, unit + 1)
        ]

    def _sound(self, unit: int) -> list[tuple[str, str]]:
        """Return the last sound; none that sounds in this unit may come after the question."""
        before = [sound for sound in self._sounds if sound.start_s < unit + 1]
        if not before or before[-1].end_s > unit:
            return []
        return [('', SOUND_ANSWERS[before[-1].name])]

    def _left(self, unit: int) -> list[tuple[str, str]]:
        left = [e for e in self._scene.events if e.verb == 'leaves' and e.time_s < unit + 1]
        return [('', name(left[-1].shape, left[-1].color))] if left else []
