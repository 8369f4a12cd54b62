"""What is known to be in a recording: ``recording.json``."""

from collections.abc import Callable
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happens: when it is complete [s], and a sentence for it."""

    time_s: float
    text: str


@dataclass(frozen=True)
class Speech:
    """
    Something the operator says: its span [s] and the words.

    :param kind: what is asked for: ``answer`` or ``alert``.
    :param answer: the right answer to a question; empty: it is none.
    """

    start_s: float
    end_s: float
    kind: str
    text: str
    answer: str = ''


@dataclass(frozen=True)
class Sound:
    """A sound that is no speech: its span [s] and its name."""

    start_s: float
    end_s: float
    what: str


@dataclass(frozen=True)
class Condition:
    """What the robot is to watch for, and the spans in which it holds [s]."""

    text: str
    windows: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TypedQuestion:
    """A question that is typed at a time [s], and its answer."""

    time_s: float
    text: str
    answer: str


@dataclass(frozen=True)
class Truth:
    """
    What is in a recording, in seconds since its begin: the content of ``recording.json``.

    :param clap_s: instant of the clap, when there is one.
    :param narrate: the robot is to narrate ``events``.
    """

    version: int
    media: str
    duration_s: float
    clap_s: float | None
    narrate: bool
    events: tuple[Event, ...]
    speech: tuple[Speech, ...]
    sounds: tuple[Sound, ...]
    alerts: tuple[Condition, ...]
    questions: tuple[TypedQuestion, ...]


_PARTS: dict[str, Callable[..., Any]] = {
    'events': Event,
    'speech': Speech,
    'sounds': Sound,
    'alerts': Condition,
    'questions': TypedQuestion,
}


def load_truth(path: Path) -> Truth:
    """
    Read the ground truth of a recording.

    :param path: ``recording.json``.
    :raises ValueError: when the file is not a ground truth.
    """
    try:
        fields = json.loads(path.read_text(encoding='utf-8'))
        for name, kind in _PARTS.items():
            fields[name] = tuple(kind(**item) for item in fields[name])
        fields['alerts'] = tuple(
            Condition(item.text, tuple((start, end) for start, end in item.windows))
            for item in fields['alerts']
        )
        return Truth(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'not a ground truth ({type(error).__name__}: {error}); delete it to build the '
            f'recording again: {path}'
        ) from error
