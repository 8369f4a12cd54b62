"""What is true of a tabletop stream: plain data; all times in seconds from the stream's begin."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...units.unit import FRAMES_PER_UNIT, MultimodalUnit, SAMPLE_RATE_HZ, UNIT_NS

Split = Literal['train', 'validation', 'test']
Sense = Literal['sight', 'sound', 'joint']


@dataclass(frozen=True)
class VisibleObject:
    """
    One object as one frame shows it.

    :param thing: number of the object in its stream; stays when it leaves and comes back.
    :param color: its name; '' where it has none, as only things on flash cards.
    :param box: left, top, right, bottom, 0..1 of the frame's width and height, cut to the frame.
    :param visible: share of the object that the frame shows, 0..1: the rest is outside the
        frame or covered.
    """

    thing: int
    shape: str
    color: str
    size: str
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True)
class Event:
    """
    A change that can be narrated.

    :param time_s: when it is complete and can be seen to be.
    :param verb: ``enters``, ``leaves``, ``falls``...
    """

    time_s: float
    verb: str
    shape: str
    color: str
    text: str


@dataclass(frozen=True)
class Sound:
    """One sound that is not speech."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Speech:
    """
    One spoken sentence.

    :param words: each word with its start and end.
    """

    text: str
    voice: str
    start_s: float
    end_s: float
    words: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Alert:
    """
    A standing condition, and when it holds.

    :param text: the operator's words, as after "Remind me when this happens:".
    :param windows: closed spans in which it holds, in order; none: it never happens.
    :param speech: set where the operator says it in the stream instead of typing it before; it
        counts from the speech's end on.
    """

    text: str
    sense: Sense
    windows: tuple[tuple[float, float], ...]
    speech: Speech | None = None


@dataclass(frozen=True)
class Question:
    """
    A question and its answer.

    :param time_s: when it has been asked: when it is typed, or the end of the speech.
    :param topic: ``color``, ``count``, ``where``, ``sound``, ``left``...
    """

    text: str
    time_s: float
    topic: str
    answer: str
    speech: Speech | None = None


@dataclass(frozen=True, eq=False)
class TabletopStream:
    """
    One stream with all its labels.

    :param frame_at: renders the frame at a time: uint8 ``[H, W, 3]``, RGB.
    :param objects_at: what that frame shows.
    :param audio: float32 ``[duration_s * 16000]``, mono, -1..1.
    :param events: in order, each at its end.
    :param narrate: the stream stands under the instruction to narrate; ``events`` are the truth
        of it either way.
    """

    seed: int
    split: Split
    duration_s: int
    frame_at: Callable[[float], npt.NDArray[np.uint8]]
    objects_at: Callable[[float], tuple[VisibleObject, ...]]
    audio: npt.NDArray[np.float32]
    events: tuple[Event, ...]
    sounds: tuple[Sound, ...]
    speech: tuple[Speech, ...]
    alerts: tuple[Alert, ...]
    questions: tuple[Question, ...]
    narrate: bool

    def unit(self, index: int) -> MultimodalUnit:
        """
        Return one second of the stream, with frames at its begin and in its middle.

        :param index: 0 .. ``duration_s`` - 1.
        """
        times_s = [index + i / FRAMES_PER_UNIT for i in range(FRAMES_PER_UNIT)]
        start = index * SAMPLE_RATE_HZ
        return MultimodalUnit(
            index=index,
            start_ns=index * UNIT_NS,
            end_ns=(index + 1) * UNIT_NS,
            frames=np.stack([self.frame_at(t) for t in times_s]),
            frame_stamps_ns=tuple(round(t * 1e9) for t in times_s),
            audio=self.audio[start : start + SAMPLE_RATE_HZ],
        )
