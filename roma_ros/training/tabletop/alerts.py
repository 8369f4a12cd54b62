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

from .labels import Alert, Event, Sense, Sound, Split
from .language import COLORS, joints_of, name, NUMBERS, SHAPES, SOUND_CONDITIONS, things_of, VERBS
from .world import intersection, Path, Scene, Span, union

SENSES: tuple[Sense, ...] = ('sight', 'sound', 'joint')
#: An event or a short sound stays true this long, so that one full second lies in it [s].
EVENT_WINDOW_S = 1.0

#: Kinds of condition by sense, and the share of each.
_KINDS: dict[Sense, dict[str, float]] = {
    'sight': {
        'thing': 0.25,
        'shape': 0.1,
        'color': 0.1,
        'count': 0.05,
        'thing does': 0.35,
        'something happens': 0.15,
    },
    'sound': {'sound': 1.0},
    'joint': {'joint thing': 0.5, 'joint shape': 0.25, 'joint color': 0.25},
}
_TRIES = 6
_TRIES_OF_KIND = 20


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
        kinds = list(_KINDS[sense])
        shares = list(_KINDS[sense].values())
        for _ in range(_TRIES):
            # A kind is given up only after several tries: else those that seldom hold would
            # never hold where it is told.
            kind = kinds[self._rng.choice(len(kinds), p=shares)]
            for _ in range(_TRIES_OF_KIND):
                condition = self._propose(kind, holds)
                if condition is None or condition.text in self._told:
                    continue
                said_s = 0.0 if said is None else said(condition.text)
                if said_s is None:
                    continue
                windows = _whole(condition.windows, said_s, self._scene.duration_s)
                # A window without a full second is one that no unit answers to: not asked for.
                is_clear = said is not None or len(windows) == len(condition.windows)
                if bool(windows) == holds and is_clear:
                    self._told.add(condition.text)
                    return Alert(condition.text, sense, windows)
        return None

    def _propose(self, kind: str, holds: bool) -> _Condition | None:
        if kind == 'sound':
            return self._sound(holds)
        if kind == 'count':
            number = int(self._rng.integers(2, 4))
            return _Condition(f'you see {NUMBERS[number]} things', self._counts(number))
        if kind == 'something happens':
            return self._something_happens(holds)
        what = self._what(kind)
        if what is None:
            return None
        if kind.startswith('joint'):
            return self._joint(*what, holds)
        if kind == 'thing does':
            return self._thing_does(*what, holds)
        shape, color = what
        text = f'{color} {shape}' if shape and color else shape or f'something {color}'
        article = 'a ' if shape else ''
        return _Condition(f'you see {article}{text}', self._views(shape, color))

    def _what(self, kind: str) -> tuple[str | None, str | None] | None:
        """Propose a shape and a colour, or one of them, as a kind of condition names them."""
        if kind.endswith('shape'):
            return SHAPES[self._rng.integers(len(SHAPES))], None
        if kind.endswith('color'):
            return None, COLORS[self._rng.integers(len(COLORS))]
        return self._pair()

    def _something_happens(self, holds: bool) -> _Condition | None:
        happened = {event.verb for event in self._scene.events}
        verbs = [verb for verb in VERBS if (verb in happened) == holds]
        if not verbs:
            return None
        verb = verbs[self._rng.integers(len(verbs))]
        text = 'something hits something' if verb == 'hits' else f'something {verb}'
        return _Condition(text, self._moments([e for e in self._scene.events if e.verb == verb]))

    def _thing_does(self, shape: str | None, color: str | None, holds: bool) -> _Condition | None:
        """Propose that a thing does something, mostly what something else does."""
        rng, events = self._rng, self._scene.events
        verbs = sorted({event.verb for event in events})
        if not holds and (not verbs or rng.random() < 0.5):
            verbs = list(VERBS)
        if not verbs:
            return None
        verb = verbs[rng.integers(len(verbs))]
        alike = [event for event in events if event.verb == verb]
        if holds:
            text = alike[rng.integers(len(alike))].text
        else:
            text = f'{name(str(shape), str(color))} {verb}'
            if verb == 'hits':
                other = self._cast[rng.integers(len(self._cast))]
                if other == (shape, color):
                    return None
                text += f' {name(*other)}'
        return _Condition(text, self._moments([e for e in alike if e.text == text]))

    def _sound(self, holds: bool) -> _Condition:
        sound = self._choose_sound(holds)
        texts = SOUND_CONDITIONS[sound]
        return _Condition(texts[self._rng.integers(len(texts))], self._hearings(sound))

    def _joint(self, shape: str | None, color: str | None, holds: bool) -> _Condition | None:
        """Propose that a sound is heard while something is in view."""
        rng = self._rng
        # Where it shall not hold, mostly the sound or the thing is there alone.
        sound = self._choose_sound(holds or rng.random() < 0.6)
        if shape is not None and (sound, shape) not in self._joints:
            return None
        if shape is None:
            view = f'you see something {color}'
        elif color is None:
            view = f'you see a {shape}'
        else:
            view = f'{name(shape, color)} is in view'
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

    def _moments(self, events: Sequence[Event]) -> tuple[Span, ...]:
        return union([(e.time_s, e.time_s + EVENT_WINDOW_S) for e in events])

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
