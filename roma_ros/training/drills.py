"""
Many more conditions and questions on one stream than anybody would ask for.

To tell what is asked for from what is there is the hardest step for a network from nothing. A
stream decides few things in many seconds; a deck of cards with a dozen conditions decides
something else in each of its seconds.
"""

from collections.abc import Sequence
from dataclasses import replace
import math

import numpy as np

from .supervision import (
    FRAME_OFFSETS_S,
    Label,
    MIN_OVERLAP_S,
    Supervision,
    Turn,
    unit_of,
    WatchLabels,
)
from .tabletop.labels import TabletopStream, VisibleObject
from .tabletop.language import (
    COLORS,
    name,
    NUMBERS,
    PLACES,
    SHAPES,
    SOUND_ANSWERS,
    SOUND_CONDITIONS,
    things_of,
    VERBS,
)
from .tabletop.questions import TEXTS

#: Conditions beside one stream, and beside a deck.
NUM_WATCHES, NUM_CARD_WATCHES = 16, 32
#: Typed questions in a deck; elsewhere one in so many units, beside those of the stream.
NUM_QUESTIONS, UNITS_A_QUESTION = 8, 2
#: How often a topic is asked about; others: once. What is learned last, more often.
_TOPIC_WEIGHTS = {'where': 2.0, 'left': 2.0, 'color': 1.5, 'shape': 1.5}
#: Share of a thing from which on it is wholly in view.
_WHOLE = 0.95
#: How long after its begin a short sound or an event still counts, and teaches nothing [s].
_AFTER_S = 1.0
# Shares of the kinds. What something does is the hardest to learn, and true most seldom.
_KINDS = {
    'pair': 0.17,
    'shape': 0.12,
    'color': 0.12,
    'count': 0.05,
    'does': 0.24,
    'happens': 0.12,
    'sound': 0.07,
    'joint': 0.11,
}

_Labels = tuple[Label, ...]


class Drill:
    """
    Makes conditions and questions of what a stream shows and sounds like.

    :param stream: with its truth.
    :param rng: all chance.
    """

    def __init__(self, stream: TabletopStream, rng: np.random.Generator) -> None:
        self._stream = stream
        self._rng = rng
        units = range(stream.duration_s)
        #: Of each unit, what each of its frames shows.
        self._frames = [[stream.objects_at(u + t) for t in FRAME_OFFSETS_S] for u in units]
        shown = {(o.shape, o.color) for u in self._frames for f in u for o in f}
        self._cast = sorted(pair for pair in shown if all(pair))
        self._things = frozenset(things_of(stream.split))

    def watches(self, count: int = NUM_WATCHES) -> tuple[WatchLabels, ...]:
        """Return so many different conditions, with a label for each unit."""
        made: dict[str, WatchLabels] = {}
        for _ in range(10 * count):
            if len(made) == count:
                break
            kind = self._pick(list(_KINDS), p=list(_KINDS.values()))
            watch = self._propose(kind)
            if watch is not None:
                made.setdefault(watch.text, watch)
        return tuple(made.values())

    def turns(self, count: int, *, free: Sequence[int]) -> dict[int, Turn]:
        """
        Return typed questions about what some units show, or about before, with their answers.

        :param count: at most so many.
        :param free: units in which one may be asked.
        """
        turns: dict[int, Turn] = {}
        for unit in self._rng.permutation(free).tolist():
            if len(turns) == count:
                break
            asked = self._questions(unit)
            if asked:
                topics = sorted(asked)
                weights = np.array([_TOPIC_WEIGHTS.get(topic, 1.0) for topic in topics])
                topic = self._pick(topics, p=(weights / weights.sum()).tolist())
                what, answer = asked[topic][self._rng.integers(len(asked[topic]))]
                turns[unit] = Turn(answer, topic, self._pick(TEXTS[topic]).format(what))
        return turns

    def _questions(self, unit: int) -> dict[str, list[tuple[str, str]]]:
        """Return what can be asked in a unit: by topic, about what, and the answer."""
        stream, shown = self._stream, self._frames[unit][-1]
        asked: dict[str, list[tuple[str, str]]] = {}
        if all(o.visible >= _WHOLE for o in shown):
            asked = _questions(shown)
        before = [sound for sound in stream.sounds if sound.start_s < unit + 1]
        if before and max(sound.end_s for sound in before) <= unit:
            asked['sound'] = [('', SOUND_ANSWERS[before[-1].name])]
        left = [e for e in stream.events if e.verb == 'leaves' and e.time_s < unit + 1]
        if left:
            asked['left'] = [('', name(left[-1].shape, left[-1].color))]
        return asked

    def _propose(self, kind: str) -> WatchLabels | None:
        if kind == 'sound':
            text, labels = self._sound()
        elif kind == 'joint':
            text, labels = self._joint()
        elif kind == 'count':
            number = int(self._rng.integers(2, 4))
            return WatchLabels(f'you see {NUMBERS[number]} things', 'sight', self._counts(number))
        elif kind in ('does', 'happens'):
            event = self._event(kind)
            if event is None:
                return None
            text, labels = event
        else:
            shape, color = self._what(kind)
            what = f'a {color} {shape}' if shape and color else f'something {color}'
            text = f'you see {f"a {shape}" if not color else what}'
            labels = self._views(shape, color)
        return WatchLabels(text, kind if kind in ('sound', 'joint') else 'sight', labels)

    def _what(self, kind: str) -> tuple[str | None, str | None]:
        rng = self._rng
        shapes, colors = zip(*self._cast, strict=True) if self._cast else (SHAPES, COLORS)
        shape, color = self._pick(shapes), self._pick(colors)
        if kind == 'shape':
            return (shape if rng.random() < 0.7 else self._pick(SHAPES)), None
        if kind == 'color':
            return None, (color if rng.random() < 0.7 else self._pick(COLORS))
        if self._cast and rng.random() < 0.6:
            shape, color = self._cast[rng.integers(len(self._cast))]
        while (shape, color) not in self._things:
            shape, color = self._pick(SHAPES), self._pick(COLORS)
        return shape, color

    def _views(self, shape: str | None, color: str | None) -> _Labels:
        labels: list[Label] = []
        for frames in self._frames:
            visible = [
                o.visible
                for objects in frames
                for o in objects
                if shape in (None, o.shape) and color in (None, o.color)
            ]
            most = max(visible, default=0.0)
            # Whether a colour without a name is the one that is meant, nobody knows.
            is_open = color is not None and any(
                not o.color and shape in (None, o.shape) for objects in frames for o in objects
            )
            labels.append(True if most >= _WHOLE else (None if most or is_open else False))
        return tuple(labels)

    def _counts(self, number: int) -> _Labels:
        labels: list[Label] = []
        for frames in self._frames:
            is_clear = all(o.visible >= _WHOLE for objects in frames for o in objects)
            counts = {len(objects) for objects in frames}
            labels.append(number in counts if is_clear and len(counts) == 1 else None)
        return tuple(labels)

    def _sound(self) -> tuple[str, _Labels]:
        names = [sound.name for sound in self._stream.sounds]
        if not names or self._rng.random() < 0.4:
            names = list(SOUND_CONDITIONS)
        sound = self._pick(names)
        return self._pick(SOUND_CONDITIONS[sound]), self._hearings(sound)

    def _hearings(self, sound: str) -> _Labels:
        labels: list[Label] = [False] * self._stream.duration_s
        for heard in (s for s in self._stream.sounds if s.name == sound):
            for unit in range(len(labels)):
                overlap = min(heard.end_s, unit + 1) - max(heard.start_s, unit)
                if overlap >= MIN_OVERLAP_S:
                    labels[unit] = True
                elif heard.start_s - 1 < unit < max(heard.end_s, heard.start_s + _AFTER_S):
                    labels[unit] = labels[unit] or None
        return tuple(labels)

    def _joint(self) -> tuple[str, _Labels]:
        heard_text, heard = self._sound()
        shape, color = self._what(self._pick(('pair', 'pair', 'shape', 'color')))
        if shape and color:
            view = f'{name(shape, color)} is in view'
        else:
            view = f'you see a {shape}' if shape else f'you see something {color}'
        labels = tuple(map(_both, heard, self._views(shape, color)))
        return f'{heard_text} while {view}', labels

    def _event(self, kind: str) -> tuple[str, _Labels] | None:
        events = self._stream.events
        if not events:
            return None
        verb = self._pick([event.verb for event in events] * 2 + list(VERBS))
        alike = [event for event in events if event.verb == verb]
        if kind == 'happens':
            text = 'something hits something' if verb == 'hits' else f'something {verb}'
            return text, self._moments([event.time_s for event in alike])
        shape, color = self._what('pair')
        if alike and self._rng.random() < 0.6:
            text = self._pick([event.text for event in alike])
        elif verb == 'hits':
            text = f'{name(str(shape), str(color))} hits {name(*map(str, self._what("pair")))}'
        else:
            text = f'{name(str(shape), str(color))} {verb}'
        return text, self._moments([event.time_s for event in alike if event.text == text])

    def _moments(self, times_s: Sequence[float]) -> _Labels:
        labels: list[Label] = [False] * self._stream.duration_s
        for time_s in times_s:
            unit = unit_of(time_s)
            labels[unit] = True
            if unit + 1 < len(labels) and labels[unit + 1] is False:
                labels[unit + 1] = None
        return tuple(labels)

    def _pick(self, values: Sequence[str], p: Sequence[float] | None = None) -> str:
        return values[self._rng.choice(len(values), p=p)]


def drill(
    stream: TabletopStream, supervision: Supervision, rng: np.random.Generator
) -> Supervision:
    """
    Add conditions and typed questions to what a stream teaches.

    :param stream: with its truth.
    :param supervision: what it teaches anyway.
    :param rng: all chance.
    :return: both together.
    """
    maker = Drill(stream, rng)
    is_deck = not (stream.events or supervision.turns or supervision.watches)
    count = NUM_CARD_WATCHES if is_deck else NUM_WATCHES
    asked = {watch.text for watch in supervision.watches}
    more = tuple(watch for watch in maker.watches(count) if watch.text not in asked)
    watches = (*supervision.watches, *more)[:count]
    free = [
        unit
        for unit, label in enumerate(supervision.labels)
        if not label and unit not in supervision.turns
    ]
    units = stream.duration_s
    turns = maker.turns(
        NUM_QUESTIONS if is_deck else math.ceil(units / UNITS_A_QUESTION), free=free
    )
    # Decks are full of questions that no label answers.
    labels = (None,) * units if is_deck else supervision.labels
    return replace(
        supervision,
        watches=watches,
        turns={**supervision.turns, **turns},
        labels=tuple(None if unit in turns else label for unit, label in enumerate(labels)),
    )


def _both(first: Label, second: Label) -> Label:
    """Return whether both hold: not, if one does not, and unknown if one is unknown."""
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _questions(shown: Sequence[VisibleObject]) -> dict[str, list[tuple[str, str]]]:
    """Return what can be asked about a frame: by topic, about what, and the answer."""
    shapes, colors = [o.shape for o in shown], [o.color for o in shown]
    asked: dict[str, list[tuple[str, str]]] = {}
    if len(shown) < len(NUMBERS):
        asked['count'] = [('', NUMBERS[len(shown)])]
    if not all(colors):
        return asked
    for thing in shown:
        if shapes.count(thing.shape) == 1:
            asked.setdefault('color', []).append((thing.shape, thing.color))
        if colors.count(thing.color) == 1:
            asked.setdefault('shape', []).append((thing.color, f'a {thing.shape}'))
        if sum(o.shape == thing.shape and o.color == thing.color for o in shown) == 1:
            middle = (thing.box[0] + thing.box[2]) / 2
            place = PLACES[min(int(3 * middle), 2)]
            asked.setdefault('where', []).append((name(thing.shape, thing.color), place))
    return asked
