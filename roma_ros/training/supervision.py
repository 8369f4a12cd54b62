"""
What a stream teaches: when to speak, and what to say, unit by unit.

Everything that can be learned from, a tabletop stream or a recording with labels, becomes one
:class:`Supervision`; the batches are laid out from it alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import math

from .tabletop.labels import Alert, TabletopStream

#: Whether to speak after a unit; None: it is not known, or does not matter, and teaches nothing.
Label = bool | None

#: Least time of a window within a unit that makes the unit positive [s]: enough to perceive it.
MIN_OVERLAP_S = 0.25
#: A window that is no longer is that of an event [s].
EVENT_S = 1.001
#: Times within a unit at which it has a frame [s].
FRAME_OFFSETS_S = (0.0, 0.5)
#: Name of the stream's own labels in which a narration stands, and of those in which none does.
NARRATE, LISTEN = 'narrate', 'listen'
#: Topic of what is said when an alert holds that was asked for aloud.
SPOKEN_ALERT = 'spoken alert'


@dataclass(frozen=True)
class WatchLabels:
    """
    An alert beside the stream.

    :param text: the operator's words.
    :param sense: what kind of condition it is, for the metrics.
    :param labels: one for each unit.
    """

    text: str
    sense: str
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Turn:
    """
    What is said after a unit.

    :param text: the words.
    :param topic: what kind of answer it is, for the metrics.
    :param question: typed text that is read before the unit; empty: none.
    :param learn: the words are a target of the language loss.
    """

    text: str
    topic: str
    question: str = ''
    learn: bool = True


@dataclass(frozen=True)
class Supervision:
    """
    What one stream teaches.

    :param num_units: its length.
    :param watches: alerts beside the stream.
    :param turns: what is said, by the index of the unit that it follows.
    :param labels: whether the stream itself speaks after each unit.
    :param narrate: the instruction to narrate stands in line.
    :param narrate_focus: what the narration attends to.
    """

    num_units: int
    watches: tuple[WatchLabels, ...] = ()
    turns: Mapping[int, Turn] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    narrate: bool = False
    narrate_focus: str = ''

    @property
    def name(self) -> str:
        """Return what the stream's own labels are about, for the metrics."""
        return NARRATE if self.narrate else LISTEN


def unit_of(time_s: float) -> int:
    """Return the unit after which something that is known at a time is said: ceil(time) - 1."""
    return max(0, math.ceil(time_s) - 1)


def window_labels(
    windows: Sequence[tuple[float, float]], num_units: int, *, seen: bool
) -> tuple[Label, ...]:
    """
    Label each unit by the windows in which a condition holds.

    :param windows: closed spans [s].
    :param num_units: length of the stream.
    :param seen: the condition is seen, so that only what a frame shows counts; else it is heard,
        and a quarter of a second counts; less than that teaches nothing.
    :return: a label for each unit.
    """
    labels: list[Label] = [False] * num_units
    for start, end in windows:
        overlaps = [max(0.0, min(end, u + 1) - max(start, u)) for u in range(num_units)]
        for unit, overlap in enumerate(overlaps):
            if seen:
                positive = any(start <= unit + offset <= end for offset in FRAME_OFFSETS_S)
            else:
                positive = overlap >= MIN_OVERLAP_S or overlap == max(overlaps) > 0.0
            if seen and end - start <= EVENT_S and unit > unit_of(start):
                positive = False  # the unit that shows an event says it; the next teaches nothing
            if positive:
                labels[unit] = True
            elif overlap > 0.0 and labels[unit] is False:
                labels[unit] = None
    return tuple(labels)


def supervise_tabletop(stream: TabletopStream, *, learn_narration: bool = True) -> Supervision:
    """
    Make labels and turns of a tabletop stream.

    :param stream: with its truth.
    :param learn_narration: narrated words are targets of the language loss. Published: no, the
        words come from the pretrained network; a network from scratch has to learn them.
    :return: what it teaches.
    """
    num_units = stream.duration_s
    labels: list[Label] = [False] * num_units
    turns: dict[int, Turn] = {}
    for question in sorted(stream.questions, key=lambda q: q.time_s):
        if question.speech is not None:
            continue
        unit = unit_of(question.time_s)
        while unit in turns:  # as a session does: one a unit, in order
            unit += 1
        if unit < num_units:
            turns[unit] = Turn(question.answer, question.topic, question.text)
            labels[unit] = None
    for question in stream.questions:
        if question.speech is None:
            continue
        unit = unit_of(question.speech.end_s)
        if unit < num_units and unit not in turns:
            turns[unit] = Turn(question.answer, f'spoken {question.topic}')
            labels[unit] = True
    for alert in stream.alerts:
        if alert.speech is not None:
            own = _alert_labels(alert, stream)
            add_spoken_alert(own, alert.speech.end_s, labels, turns)
    if stream.narrate:
        for event in stream.events:
            unit = unit_of(event.time_s)
            if unit < num_units and labels[unit] is not None:
                labels[unit] = True
                turns.setdefault(unit, Turn(event.text, NARRATE, learn=learn_narration))
    return Supervision(
        num_units=num_units,
        watches=tuple(
            WatchLabels(a.text, a.sense, _alert_labels(a, stream))
            for a in stream.alerts
            if a.speech is None
        ),
        turns=turns,
        labels=tuple(labels),
        narrate=stream.narrate,
    )


def _alert_labels(alert: Alert, stream: TabletopStream) -> tuple[Label, ...]:
    """Label each unit; where a window is longer than its sound, silence teaches nothing."""
    is_seen = alert.sense == 'sight'
    labels = window_labels(alert.windows, stream.duration_s, seen=is_seen)
    if is_seen:
        return labels
    spans = [(sound.start_s, sound.end_s) for sound in stream.sounds]
    heard = window_labels(spans, stream.duration_s, seen=False)
    return tuple(
        None if label and not sounds else label
        for label, sounds in zip(labels, heard, strict=True)
    )


def add_spoken_alert(
    own: tuple[Label, ...], asked_s: float, labels: list[Label], turns: dict[int, Turn]
) -> None:
    """Label the stream itself where an alert holds after its speech, and say it at each begin."""
    first = unit_of(asked_s) + 1
    for unit in range(first, len(labels)):
        if own[unit] is None and labels[unit] is False:
            labels[unit] = None
        elif own[unit] and labels[unit] is not None:
            labels[unit] = True
            if unit == first or not own[unit - 1]:
                turns.setdefault(unit, Turn('alert', SPOKEN_ALERT))
