"""
Standing conditions, and exactly when they hold.

As many hold at some time as do not, of each sense; those that do not are made of what is near
to true: another colour of a shape that is there, a sound without its thing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
import math

import numpy as np

from .labels import Alert, Sense, Sound, Split
from .language import COLORS, joints_of, name, NUMBERS, SHAPES, SOUND_CONDITIONS, things_of, VERBS
from .world import intersection, Path, Scene, Span, union

SENSES: tuple[Sense, ...] = ('sight', 'sound', 'joint')
#: An event or a short sound stays true this long, so that one full second lies in it [s].
EVENT_WINDOW_S = 1.0

_TRIES = 60


@dataclass(frozen=True)
class _Condition:
    text: str
    windows: tuple[Span, ...]


class AlertMaker:
    """
    Makes the alerts of one stream.

    :param rng: all of its chance.
    :param split: whose combinations are named.
    """

    def __init__(
        self, rng: np.random.Generator, *, split: Split, scene: Scene, sounds: Sequence[Sound]
    ) -> None:
        self._rng = rng
        self._scene = scene
        self._sounds = sounds
        self._things = frozenset(things_of(split))
        self._joints = frozenset(joints_of(split))
        self._cast = [(path.thing.shape, path.thing.color) for path in scene.paths]
        self._told: set[str] = set()

    def make(
        self, sense: Sense, *, holds: bool, said: Callable[[str], float | None] | None = None
    ) -> Alert | None:
        """
        Make an alert that has not been made before.

        :param sense: by which it is noticed.
        :param holds: whether it holds at some time.
        :param said: for one that is spoken: takes the condition, and returns when it has been
            said; None: it does not fit in.
        :return: the alert; None: nothing was found.
        """
        propose = {'sight': self._sight, 'sound': self._sound, 'joint': self._joint}[sense]
        for _ in range(_TRIES):
            condition = propose(holds)
            if condition is None or condition.text in self._told:
                continue
            said_s = 0.0 if said is None else said(condition.text)
            if said_s is None:
                continue
            windows = _whole(condition.windows, said_s, self._scene.duration_s)
            # A window that shrinks to nothing is a moment to which no unit answers: not asked for.
            is_clear = said is not None or len(windows) == len(condition.windows)
            if bool(windows) == holds and is_clear:
                self._told.add(condition.text)
                return Alert(condition.text, sense, windows)
        return None

    def _sight(self, holds: bool) -> _Condition | None:
        if self._rng.random() < 0.5:
            return self._view()
        return self._event(holds)

    def _view(self) -> _Condition | None:
        """Propose that something is in view."""
        kind = self._rng.choice(['thing', 'shape', 'color', 'count'], p=[0.5, 0.2, 0.15, 0.15])
        if kind == 'count':
            number = int(self._rng.integers(2, 4))
            return _Condition(f'you see {NUMBERS[number]} things', self._counts(number))
        if kind == 'thing':
            pair = self._pair()
            if pair is None:
                return None
            return _Condition(f'you see a {pair[1]} {pair[0]}', self._views(*pair))
        if kind == 'shape':
            shape = SHAPES[self._rng.integers(len(SHAPES))]
            return _Condition(f'you see a {shape}', self._views(shape, None))
        color = COLORS[self._rng.integers(len(COLORS))]
        return _Condition(f'you see something {color}', self._views(None, color))

    def _event(self, holds: bool) -> _Condition | None:
        """Propose that something happens."""
        rng, events = self._rng, self._scene.events
        verb = VERBS[rng.integers(len(VERBS))]
        if holds and events:
            verb = events[rng.integers(len(events))].verb
        who = pair = None
        if rng.random() < 0.6:
            pair = self._pair()
            if pair is None:
                return None
            who = name(*pair)
        text = f'{who or "something"} {verb}'
        is_meant = [e.verb == verb and pair in (None, (e.shape, e.color)) for e in events]
        if verb == 'hits':
            if who is None:
                text = 'something hits something'
            else:
                other = name(*self._cast[rng.integers(len(self._cast))])
                text = f'{who} hits {other}'
                is_meant = [e.text == text for e in events]
                if other == who:
                    return None
        times = [e.time_s for e, meant in zip(events, is_meant, strict=True) if meant]
        return _Condition(text, union([(t, t + EVENT_WINDOW_S) for t in times]))

    def _sound(self, holds: bool) -> _Condition:
        sound = self._choose_sound(holds)
        texts = SOUND_CONDITIONS[sound]
        return _Condition(texts[self._rng.integers(len(texts))], self._hearings(sound))

    def _joint(self, holds: bool) -> _Condition | None:
        """Propose that a sound is heard while something is in view."""
        rng = self._rng
        # Where it shall not hold, mostly the sound or the thing is there alone.
        sound = self._choose_sound(holds or rng.random() < 0.6)
        kind = rng.choice(['thing', 'shape', 'color'], p=[0.5, 0.3, 0.2])
        shape = color = None
        if kind == 'thing':
            pair = self._pair()
            if pair is None:
                return None
            shape, color = pair
            view = f'{name(shape, color)} is in view'
        elif kind == 'shape':
            shape = SHAPES[rng.integers(len(SHAPES))]
            view = f'you see a {shape}'
        else:
            color = COLORS[rng.integers(len(COLORS))]
            view = f'you see something {color}'
        if shape is not None and (sound, shape) not in self._joints:
            return None
        texts = SOUND_CONDITIONS[sound]
        text = f'{texts[rng.integers(len(texts))]} while {view}'
        return _Condition(text, intersection(self._hearings(sound), self._views(shape, color)))

    def _pair(self) -> tuple[str, str] | None:
        """Propose a shape and a colour: one of the cast, or two of the cast crossed."""
        rng = self._rng
        shape, color = self._cast[rng.integers(len(self._cast))]
        if rng.random() < 0.5:
            color = self._cast[rng.integers(len(self._cast))][1]
        elif rng.random() < 0.3:
            color = COLORS[rng.integers(len(COLORS))]
        return (shape, color) if (shape, color) in self._things else None

    def _choose_sound(self, is_heard: bool) -> str:
        names = list(SOUND_CONDITIONS)
        if is_heard and self._sounds:
            names = [sound.name for sound in self._sounds]
        return names[self._rng.integers(len(names))]

    def _views(self, shape: str | None, color: str | None) -> tuple[Span, ...]:
        return union([s for p in self._scene.paths if _is(p, shape, color) for s in p.views])

    def _counts(self, number: int) -> tuple[Span, ...]:
        """Return when so many things are in view."""
        times = {0.0, float(self._scene.duration_s)}
        times.update(t for path in self._scene.paths for span in path.views for t in span)
        edges = sorted(times)
        return union(
            [s for s in pairwise(edges) if len(self._scene.in_view(sum(s) / 2)) == number]
        )

    def _hearings(self, sound: str) -> tuple[Span, ...]:
        return union(
            [
                (s.start_s, max(s.end_s, s.start_s + EVENT_WINDOW_S))
                for s in self._sounds
                if s.name == sound
            ]
        )


def _is(path: Path, shape: str | None, color: str | None) -> bool:
    return shape in (None, path.thing.shape) and color in (None, path.thing.color)


def _whole(windows: Sequence[Span], from_s: float, end_s: float) -> tuple[Span, ...]:
    """Cut windows to a span; those that hold no full second any more are left out."""
    cut = [(max(start, from_s), min(end, end_s)) for start, end in windows]
    return tuple((start, end) for start, end in cut if max(math.ceil(start), 1) <= end)
