"""
What happens on the tabletop: events, one after another, and the motion of each.

A change is complete between 0.05 s and 0.45 s after a full second, so that the frame in the
middle of that second's unit shows it, and the label at the unit's end never asks for more than
the frames have shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import math

import numpy as np

from .labels import Event, Split
from .language import name, SIZES, things_of
from .world import HIDDEN_LIFT, Path, Scene, SLOTS_X, Thing, Track, WIDTH

#: Most things on the table at once.
MAX_THINGS = len(SLOTS_X)
#: Least time between the completion of two events [s].
EVENT_GAP_S = 1.5

_CAST = 4
_AWAY = -1.0
_JITTER = 0.025
_NUDGE = 0.03
_LEAST_RUN_UP = 0.1
# How often a kind of event is chosen where it can happen: what can seldom happen, more often.
_WEIGHTS = {
    'enters': 1.6,
    'leaves': 0.7,
    'rolls': 1.7,
    'falls': 0.9,
    'hits': 1.3,
    'is covered': 0.9,
    'is uncovered': 4.0,
}


def plan_scene(rng: np.random.Generator, *, split: Split, duration_s: int) -> Scene:
    """
    Plan what is on the table and what happens there.

    :param rng: all of its chance.
    :param split: whose combinations of shape and colour appear.
    :param duration_s: length of the stream.
    """
    return _Table(rng, split, duration_s).plan()


@dataclass(frozen=True)
class _Step:
    """
    An event that can happen next.

    :param before_s: how long its motion takes until it is complete.
    :param act: lets it happen so that it is complete at a time; returns when the table rests.
    """

    verb: str
    before_s: float
    act: Callable[[float], float]


class _Table:
    """What stands where while the events are chosen."""

    def __init__(self, rng: np.random.Generator, split: Split, duration_s: int) -> None:
        self.rng = rng
        self.duration_s = duration_s
        self.floor_y = float(rng.uniform(0.66, 0.92))
        pairs = things_of(split)
        chosen = rng.choice(len(pairs), _CAST, replace=False)
        sizes = rng.integers(len(SIZES), size=_CAST)
        things = [
            Thing(i, pairs[j][0], pairs[j][1], SIZES[size])
            for i, (j, size) in enumerate(zip(chosen, sizes, strict=True))
        ]
        self.paths = [Path(t, Track(_AWAY), Track(self.floor_y - t.radius)) for t in things]
        self.slots: list[Path | None] = [None] * len(SLOTS_X)
        self.covered: set[int] = set()
        self.seen_since: dict[int, float] = {}
        self.events: list[Event] = []
        self.subjects: list[int] = []

    def plan(self) -> Scene:
        rng = self.rng
        slots = rng.permutation(MAX_THINGS)[: rng.integers(MAX_THINGS + 1)]
        for path, slot in zip(self.paths, slots, strict=False):
            path.x = Track(self.spot(slot))
            self.slots[slot] = path
            self.seen_since[path.thing.number] = 0.0
        second, rest_s, last_s = 0, 0.3, -math.inf
        while True:
            step = self.choose()
            second += int(rng.integers(1, 4))
            time_s = second + float(rng.uniform(0.05, 0.45))
            while time_s - step.before_s < rest_s or time_s < last_s + EVENT_GAP_S:
                second += 1
                time_s += 1.0
            if time_s > self.duration_s:
                break
            rest_s, last_s = step.act(time_s), time_s
        for path in self.paths:
            if path.thing.number in self.seen_since:
                self.hide(path, float(self.duration_s))
        return Scene(
            self.duration_s,
            tuple(self.paths),
            tuple(self.events),
            tuple(self.subjects),
            self.floor_y,
        )

    def choose(self) -> _Step:
        """Choose a kind of event that is possible, then one of that kind."""
        steps = self.possible()
        verbs = sorted({step.verb for step in steps})
        weights = np.array([_WEIGHTS[verb] for verb in verbs])
        verb = verbs[self.rng.choice(len(verbs), p=weights / weights.sum())]
        alike = [step for step in steps if step.verb == verb]
        return alike[self.rng.integers(len(alike))]

    def possible(self) -> list[_Step]:
        """Return each event that can happen now."""
        steps: list[_Step] = []
        speed = float(self.rng.uniform(0.65, 0.95))
        away = [path for path in self.paths if path not in self.slots]
        for slot, path in enumerate(self.slots):
            if path is None:
                for other in away:
                    fall_s = float(self.rng.uniform(0.4, 0.55))
                    fall = partial(self.fall, other, slot, fall_s)
                    steps.append(_Step('falls', fall_s, fall))
                    for side in self.ways(slot):
                        enter = partial(self.enter, other, slot, side, speed)
                        steps.append(_Step('enters', 2 * other.thing.radius / speed, enter))
            elif path.thing.number in self.covered:
                steps.append(_Step('is uncovered', 0.3, partial(self.uncover, path)))
            else:
                steps.append(_Step('is covered', 0.6, partial(self.cover, path)))
                for side in self.ways(slot):
                    end = _outside(path, side)
                    leave_s = abs(end - path.x.last) / speed
                    leave = partial(self.leave, path, slot, end, leave_s)
                    steps.append(_Step('leaves', leave_s, leave))
                steps += self.meetings(path, slot, speed)
        return steps

    def meetings(self, path: Path, slot: int, speed: float) -> list[_Step]:
        """Return where a thing can roll, and what it can hit."""
        steps: list[_Step] = []
        for direction in (-1, 1):
            end = slot + direction
            while 0 <= end < len(self.slots) and self.slots[end] is None:
                spot = self.spot(end)
                roll_s = abs(spot - path.x.last) / speed
                roll = partial(self.roll, path, slot, end, spot, roll_s)
                steps.append(_Step('rolls', roll_s, roll))
                end += direction
            other = self.slots[end] if 0 <= end < len(self.slots) else None
            if other is None or other.thing.number in self.covered:
                continue
            touch = other.x.last - direction * (path.thing.radius + other.thing.radius)
            if (touch - path.x.last) * direction >= _LEAST_RUN_UP:
                hit_s = abs(touch - path.x.last) / speed
                hit = partial(self.hit, path, other, touch, hit_s)
                steps.append(_Step('hits', hit_s, hit))
        return steps

    def ways(self, slot: int) -> list[int]:
        """Return the sides, -1 left and 1 right, from which nothing stands before a slot."""
        is_free = [path is None for path in self.slots]
        return [s for s in (-1, 1) if all(is_free[:slot] if s < 0 else is_free[slot + 1 :])]

    def spot(self, slot: int) -> float:
        return float(SLOTS_X[slot] + self.rng.uniform(-_JITTER, _JITTER))

    def show(self, path: Path, time_s: float) -> None:
        self.seen_since[path.thing.number] = time_s

    def hide(self, path: Path, time_s: float) -> None:
        path.views.append((self.seen_since.pop(path.thing.number), time_s))

    def tell(self, time_s: float, verb: str, path: Path, of_what: str = '') -> None:
        thing = path.thing
        text = f'{name(thing.shape, thing.color)} {verb}{of_what}'
        self.events.append(Event(time_s, verb, thing.shape, thing.color, text))
        self.subjects.append(thing.number)

    def enter(self, path: Path, slot: int, side: int, speed: float, time_s: float) -> float:
        begin, end = _outside(path, side), self.spot(slot)
        start_s = time_s - 2 * path.thing.radius / speed
        stop_s = start_s + abs(end - begin) / speed
        path.x.jump(start_s, begin)
        _roll(path, start_s, stop_s, end)
        self.slots[slot] = path
        self.show(path, time_s)
        self.tell(time_s, 'enters', path)
        return stop_s

    def fall(self, path: Path, slot: int, fall_s: float, time_s: float) -> float:
        start_s = time_s - fall_s
        path.x.jump(start_s, self.spot(slot))
        path.y.jump(start_s, -path.thing.radius)
        path.y.add(start_s, time_s, self.floor_y - path.thing.radius, power=2)
        self.slots[slot] = path
        self.show(path, time_s)
        self.tell(time_s, 'falls', path)
        return time_s

    def leave(self, path: Path, slot: int, end: float, leave_s: float, time_s: float) -> float:
        _roll(path, time_s - leave_s, time_s, end)
        path.x.jump(time_s, _AWAY)
        self.slots[slot] = None
        self.hide(path, time_s)
        self.tell(time_s, 'leaves', path)
        return time_s

    def roll(
        self, path: Path, slot: int, end: int, spot: float, roll_s: float, time_s: float
    ) -> float:
        _roll(path, time_s - roll_s, time_s, spot)
        self.slots[slot], self.slots[end] = None, path
        self.tell(time_s, 'rolls', path)
        return time_s

    def hit(self, path: Path, other: Path, touch: float, hit_s: float, time_s: float) -> float:
        back_s, stop_s = time_s + 0.6, time_s + 1.3
        home, rest = path.x.last, other.x.last
        path.x.add(time_s - hit_s, time_s, touch)
        path.x.add(back_s, stop_s, home, power=0)
        other.x.add(time_s, time_s + 0.1, rest + math.copysign(_NUDGE, touch - home))
        other.x.add(back_s, stop_s, rest, power=0)
        thing = other.thing
        self.tell(time_s, 'hits', path, f' {name(thing.shape, thing.color)}')
        return stop_s

    def cover(self, path: Path, time_s: float) -> float:
        path.lift.add(time_s - 0.6, time_s, 0.0, power=0)
        self.covered.add(path.thing.number)
        self.hide(path, time_s)
        self.tell(time_s, 'is covered', path)
        return time_s

    def uncover(self, path: Path, time_s: float) -> float:
        path.lift.add(time_s - 0.3, time_s, 2 * path.thing.radius + 0.02)
        path.lift.add(time_s, time_s + 0.4, HIDDEN_LIFT)
        self.covered.discard(path.thing.number)
        self.show(path, time_s)
        self.tell(time_s, 'is uncovered', path)
        return time_s + 0.4


def _outside(path: Path, side: int) -> float:
    """Return where a thing is just out of the frame."""
    return -path.thing.radius if side < 0 else WIDTH + path.thing.radius


def _roll(path: Path, start_s: float, stop_s: float, end: float) -> None:
    """Let a thing roll to a place, by as many turns as end in the attitude that it had."""
    symmetry = {'box': math.pi / 2, 'star': 2 * math.pi / 5}.get(path.thing.shape)
    if symmetry is not None:
        angle = (end - path.x.last) / path.thing.radius
        path.turn.add(start_s, stop_s, path.turn.last + round(angle / symmetry) * symmetry)
    path.x.add(start_s, stop_s, end)
