"""When narration came, and whether it named what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .spans import check_spans, check_times, match_times, Span


@dataclass(frozen=True)
class TimeF1:
    """Counts of right, wrong and missing narrations, and what follows from them."""

    num_right: int
    num_wrong: int
    num_missed: int

    @property
    def precision(self) -> float:
        """Share of narrations that were right; 0 without any."""
        said = self.num_right + self.num_wrong
        return self.num_right / said if said else 0.0

    @property
    def recall(self) -> float:
        """Share of what was due that was narrated; 0 where nothing was due."""
        due = self.num_right + self.num_missed
        return self.num_right / due if due else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where both are."""
        total = 2 * self.num_right + self.num_wrong + self.num_missed
        return 2 * self.num_right / total if total else 0.0

    def __add__(self, other: 'TimeF1') -> 'TimeF1':
        """Add up counts: F1 over several videos is micro-averaged."""
        return TimeF1(
            self.num_right + other.num_right,
            self.num_wrong + other.num_wrong,
            self.num_missed + other.num_missed,
        )


def segment_time_f1(times_s: Sequence[float], segments: Sequence[Span]) -> TimeF1:
    """
    Judge narration times as ROMA does on YouCook2 and OVO-Bench SSR.

    Source: ROMA's ``eval/narration/gate_eval_narration_f1.py``. A segment is hit when a narration
    falls into [start, end); the earliest such narration is right, every other one in the video is
    wrong, wherever it is; text is ignored. Sum the results of several videos (``+``): the paper's
    F1 is micro-averaged, in percent.

    Traps: YouCook2 is cut so that segments tile the stream, so one narration anywhere in each
    segment scores 100 %, and one every second has recall 100 % at a precision of segments over
    seconds. It is not the dense-caption F1 of :func:`.captions.localization_f1`, though the
    paper's Table 4 has both in one column. Segments that overlap may share a narration.

    :param times_s: when the robot narrated.
    :param segments: what there was to narrate; half-open.
    """
    check_times(times_s, what='the narration')
    check_spans(segments, what='the annotation')
    right: set[int] = set()
    num_hit = 0
    for start_s, end_s in segments:
        inside = [i for i, time_s in enumerate(times_s) if start_s <= time_s < end_s]
        if inside:
            num_hit += 1
            right.add(min(inside, key=lambda i: times_s[i]))
    return TimeF1(num_hit, len(times_s) - len(right), len(segments) - num_hit)


@dataclass(frozen=True)
class NarratedEvent:
    """
    Something that happened, or that was said to have happened.

    :param time_s: when it was complete, or when it was said.
    :param slots: what is named: ``{'what': 'ball', 'color': 'red', 'verb': 'enters'}``; a
        narration that leaves a slot out lacks it.
    """

    time_s: float
    slots: Mapping[str, str]


@dataclass(frozen=True)
class EventScore:
    """
    How well events were narrated.

    :param time: in time, whatever was said.
    :param slots_right: for each slot, how many events were narrated in time with the right word.
    :param all_right: events narrated in time with every slot right.
    :param slots_due: for each slot, how many events have it.
    """

    time: TimeF1
    slots_right: Mapping[str, int]
    all_right: int
    slots_due: Mapping[str, int]

    def slot_accuracy(self, slot: str) -> float:
        """Share of events with this slot that were narrated in time with the right word."""
        return self.slots_right[slot] / self.slots_due[slot] if self.slots_due[slot] else 0.0

    @property
    def event_accuracy(self) -> float:
        """Share of events narrated in time and right in every slot."""
        due = self.time.num_right + self.time.num_missed
        return self.all_right / due if due else 0.0

    def __add__(self, other: 'EventScore') -> 'EventScore':
        """Add up counts of several streams."""
        return EventScore(
            self.time + other.time,
            _sum(self.slots_right, other.slots_right),
            self.all_right + other.all_right,
            _sum(self.slots_due, other.slots_due),
        )


def event_score(
    predicted: Sequence[NarratedEvent], true: Sequence[NarratedEvent], *, tolerance_s: float
) -> EventScore:
    """
    Judge narration of events, in time and in words. This project's own definition.

    A narration belongs to at most one event and an event to at most one narration: the event is
    narrated when a narration begins within [time, time + ``tolerance_s``]; of several pairings
    the one of :func:`.spans.match_times` is taken, which knows times alone, so that words cannot
    choose their event. Narrations that belong to none are wrong; before an event is too early.
    Slots are counted over all events, so that silence is not rewarded; trap: where two events
    are nearer than the tolerance, one narration between them goes to the earlier one.

    :param predicted: what the robot said.
    :param true: what happened.
    :param tolerance_s: longest delay that counts.
    """
    check_times([event.time_s for event in (*predicted, *true)], what='the narration')
    spans = [(event.time_s, event.time_s + tolerance_s) for event in true]
    pairs = match_times([event.time_s for event in predicted], spans)
    right: dict[str, int] = {}
    due: dict[str, int] = {}
    all_right = num_hit = 0
    for event, index in zip(true, pairs, strict=True):
        said = {} if index is None else predicted[index].slots
        same = {slot: said.get(slot) == word for slot, word in event.slots.items()}
        num_hit += index is not None
        all_right += index is not None and all(same.values())
        right = _sum(right, {slot: int(ok) for slot, ok in same.items()})
        due = _sum(due, dict.fromkeys(event.slots, 1))
    time = TimeF1(num_hit, len(predicted) - num_hit, len(true) - num_hit)
    return EventScore(time, right, all_right, due)


def _sum(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {key: first.get(key, 0) + second.get(key, 0) for key in {**first, **second}}
