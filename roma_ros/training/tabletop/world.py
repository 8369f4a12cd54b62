"""
The tabletop: things, where each of them is at any time, and what is true of them.

Lengths are in heights of the frame, which is 4/3 wide; x grows to the right and y downwards.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from .labels import Event

#: Width of the world.
WIDTH = 4 / 3
#: Half of a thing's height, by its size.
RADII = {'small': 0.105, 'big': 0.165}
#: Where things rest: left, middle, right.
SLOTS_X = (WIDTH / 6, WIDTH / 2, WIDTH * 5 / 6)
#: Height of a cover that is out of the frame.
HIDDEN_LIFT = 1.2

Span = tuple[float, float]


@dataclass(frozen=True)
class Stripes:
    """
    Two colours of one thing, in stripes.

    :param colors: RGB; twice the same: no stripes.
    :param angle: across the stripes [rad].
    :param width: of a stripe [radii].
    :param phase: where the first one begins [rad].
    """

    colors: tuple[tuple[float, float, float], tuple[float, float, float]]
    angle: float
    width: float
    phase: float


@dataclass(frozen=True)
class Thing:
    """
    One thing of a stream.

    :param number: of the thing in its stream.
    :param color: its name; '' where it has ``stripes`` instead.
    """

    number: int
    shape: str
    color: str
    size: str
    stripes: Stripes | None = None

    @property
    def radius(self) -> float:
        """Half of its height and of its width."""
        return RADII[self.size]


@dataclass(frozen=True)
class Move:
    """
    A change of one number over a span of time.

    :param power: 1: even; 2: faster and faster, as things fall; 0: smooth at both ends.
    """

    start_s: float
    end_s: float
    begin: float
    end: float
    power: int = 1

    def value(self, time_s: float) -> float:
        """Return the number at a time; before and after the span it stands still."""
        if time_s >= self.end_s:
            return self.end
        if time_s <= self.start_s:
            return self.begin
        u = (time_s - self.start_s) / (self.end_s - self.start_s)
        u = u * u * (3 - 2 * u) if self.power == 0 else u**self.power
        return self.begin + (self.end - self.begin) * u


class Track:
    """
    One number over time, as moves with stillness between.

    :param begin: the number at first.
    """

    def __init__(self, begin: float) -> None:
        self.last = begin
        self._begin = begin
        self._moves: list[Move] = []
        self._starts: list[float] = []

    def add(self, start_s: float, end_s: float, end: float, *, power: int = 1) -> None:
        """Let the number go from where it was last to ``end``; moves come in order of time."""
        assert not self._moves or start_s >= self._moves[-1].end_s - 1e-9
        self._moves.append(Move(start_s, end_s, self.last, end, power))
        self._starts.append(start_s)
        self.last = end

    def jump(self, time_s: float, end: float) -> None:
        """Let the number be another from a time on."""
        self.last = end
        self.add(time_s, time_s, end)

    def at(self, time_s: float) -> float:
        """Return the number at a time."""
        i = bisect_right(self._starts, time_s)
        return self._moves[i - 1].value(time_s) if i else self._begin

    def is_still(self, start_s: float, end_s: float) -> bool:
        """Return whether nothing changes within a span."""
        return all(m.end_s <= start_s or m.start_s >= end_s for m in self._moves)


@dataclass(eq=False)
class Path:
    """
    What one thing does.

    :param x: its middle.
    :param y: its middle.
    :param turn: how far it has turned [rad].
    :param lift: height of its cover's bottom over its own; at :data:`HIDDEN_LIFT` the cover is
        out of the frame.
    :param views: closed spans in which it is in view: from when it is wholly in the frame and
        bare, until it is wholly gone or covered.
    """

    thing: Thing
    x: Track
    y: Track
    turn: Track = field(default_factory=lambda: Track(0.0))
    lift: Track = field(default_factory=lambda: Track(HIDDEN_LIFT))
    views: list[Span] = field(default_factory=list)

    def is_still(self, start_s: float, end_s: float) -> bool:
        """Return whether it and its cover rest within a span."""
        tracks = (self.x, self.y, self.turn, self.lift)
        return all(track.is_still(start_s, end_s) for track in tracks)

    def is_in_view(self, time_s: float) -> bool:
        """Return whether it is in view at a time."""
        return any(start <= time_s <= end for start, end in self.views)


@dataclass(frozen=True, eq=False)
class Scene:
    """
    All that is seen to happen in a stream.

    :param paths: one a thing, by its number.
    :param events: in order.
    :param subjects: the number of the thing that each event is about.
    :param floor_y: where things stand.
    """

    duration_s: int
    paths: tuple[Path, ...]
    events: tuple[Event, ...]
    subjects: tuple[int, ...]
    floor_y: float

    def in_view(self, time_s: float) -> list[Path]:
        """Return what is in view at a time."""
        return [path for path in self.paths if path.is_in_view(time_s)]


def place_of(x: float) -> int:
    """Return which third of the frame a place lies in: 0 left, 1 middle, 2 right."""
    return min(max(int(x * 3 / WIDTH), 0), 2)


def union(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return closed spans merged where they touch, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def intersection(first: Sequence[Span], second: Sequence[Span]) -> tuple[Span, ...]:
    """Return the closed spans that lie in both."""
    return union(
        [(max(a, c), min(b, d)) for a, b in first for c, d in second if max(a, c) < min(b, d)]
    )
