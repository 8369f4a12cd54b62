"""
Sentences said aloud that are encoded once, and drilled beside any stream.

A stream has room for one or two spoken sentences, and to find out what is asked takes thousands.
Each unit is heard alone: the audio tokens of units in which a sentence is said can take the place
of those of quiet ones, so that what a drill asks in writing is asked aloud at no cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
import math
from typing import TypeVar

import numpy as np
import torch

from ..model.processor import UnitFeatures, UnitProcessor
from ..model.prompts import Protocol
from ..model.thinker import RomaModel
from ..units.unit import SAMPLE_RATE_HZ
from .augmentation import augment
from .batching import collate, make_sample
from .curriculum import Phase
from .forward import encode_audio
from .supervision import add_spoken_alert, Label, SPOKEN_ALERT, Supervision, Turn
from .tabletop.labels import TabletopStream
from .tabletop.language import (
    COLORS,
    name,
    SHAPES,
    SOUND_CONDITIONS,
    SPOKEN_ALERTS,
    things_of,
)
from .tabletop.noise import make_noise
from .tabletop.questions import TEXTS
from .tabletop.soundscape import mix
from .tabletop.talk import most_seconds, Talk

_T = TypeVar('_T')
#: Share of the sentences that are instructions; the others are questions.
_ALERT_SHARE = 0.3
#: Share of the drilled questions that are asked aloud, if they can be; and of the streams without
#: narration in which one of the alerts is.
_ASKED_SHARE, _TOLD_SHARE = 0.9, 0.8
#: Where in its last second a sentence ends.
_ENDS_S = (0.2, 0.9)


@dataclass(frozen=True, eq=False)
class SpokenSentence:
    """
    A sentence as the audio tower heard it.

    :param number: of the sentence.
    :param text: its words.
    :param audio: float16 ``[units, tokens, C]``; it ends in the last unit.
    """

    number: int
    text: str
    audio: torch.Tensor


def encode_sentences(
    model: RomaModel,
    processor: UnitProcessor,
    protocol: Protocol,
    phase: Phase,
    *,
    seed: int,
    changed: bool,
    report: Callable[[str], None],
    rank: int = 0,
    world: int = 1,
) -> list[SpokenSentence]:
    """
    Say and encode the sentences of a phase, or every n-th of them.

    :param model: whose audio tower encodes.
    :param processor: units to features.
    :param protocol: token ids of the dialogue.
    :param phase: how many.
    :param seed: of the first.
    :param changed: change how each sounds; see ``augmentation``.
    :param report: takes one line of progress.
    :param rank: of this process, which begins with the sentence of that number.
    :param world: processes; each says every ``world``-th sentence.
    :return: the sentences.
    """

    def make(number: int) -> SpokenSentence:
        rng = np.random.default_rng([seed, number, 3])
        text = draw_sentence(rng)
        features = [UnitFeatures(None, None, processor.log_mel(s)) for s in _say(text, rng)]
        if changed:
            features = augment(features, rng)
        return SpokenSentence(number, text, _encode(model, protocol, features))

    what = f'{phase.name}: sentences encoded'
    return make_share(make, phase.spoken, what, every=200, report=report, rank=rank, world=world)


def make_share(
    make: Callable[[int], _T],
    count: int,
    what: str,
    *,
    every: int,
    report: Callable[[str], None],
    rank: int,
    world: int,
) -> list[_T]:
    """
    Make every n-th of many.

    :param make: takes a number, 0 or more.
    :param count: of all.
    :param what: is done, for the lines of progress.
    :param every: so many of its own a process tells how far it is.
    :param report: takes one line of progress.
    :param rank: of this process, which begins with that number.
    :param world: processes.
    :return: what this process has made.
    """
    made = []
    for number in range(rank, count, world):
        made.append(make(number))
        done = min(number - rank + world, count)
        if len(made) % every == 0 or done == count:
            report(f'{what}: {done}/{count}')
    return made


def draw_sentence(rng: np.random.Generator) -> str:
    """Draw a question or an instruction that a training stream can hold."""

    def pick(values: Sequence[_T]) -> _T:
        return values[int(rng.integers(len(values)))]

    things = things_of('train')
    if rng.random() < _ALERT_SHARE:
        shape, color = pick(things)
        condition = pick(
            [
                f'you see a {color} {shape}',
                f'you see a {color} {shape}',
                pick([f'you see a {shape}', f'you see something {color}']),
                pick(pick(list(SOUND_CONDITIONS.values()))),
            ]
        )
        return pick(SPOKEN_ALERTS).format(condition)
    topic = pick(sorted(TEXTS))
    about = {'color': pick(SHAPES), 'shape': pick(COLORS), 'where': name(*pick(things))}
    return pick(TEXTS[topic]).format(about.get(topic, ''))


class Aloud:
    """
    Asks and tells aloud what a drill asks in writing.

    :param sentences: all that can be said.
    """

    def __init__(self, sentences: Sequence[SpokenSentence]) -> None:
        self._sentences: dict[str, list[torch.Tensor]] = {}
        for sentence in sentences:
            self._sentences.setdefault(sentence.text, []).append(sentence.audio)

    def __call__(
        self,
        stream: TabletopStream,
        supervision: Supervision,
        rng: np.random.Generator,
    ) -> tuple[Supervision, Mapping[int, torch.Tensor]]:
        """
        Let sentences be said in units that are quiet.

        :param stream: with its truth.
        :param supervision: what it teaches, with typed questions and alerts beside it.
        :param rng: all chance.
        :return: what it teaches now, and the audio tokens ``[tokens, C]`` of the units in which
            something is said.
        """
        placed = _Placed(stream)
        turns, labels = dict(supervision.turns), list(supervision.labels)
        if _takes_alert(stream, supervision) and rng.random() < _TOLD_SHARE:
            self._tell(supervision, placed, turns, labels, rng)
        for unit, turn in supervision.turns.items():
            if not turn.question or rng.random() >= _ASKED_SHARE:
                continue
            if self._say(turn.question, unit, placed, rng):
                turns[unit] = Turn(turn.text, f'spoken {turn.topic}', learn=turn.learn)
                labels[unit] = True
        return replace(supervision, turns=turns, labels=tuple(labels)), placed.audio

    def _tell(
        self,
        supervision: Supervision,
        placed: '_Placed',
        turns: dict[int, Turn],
        labels: list[Label],
        rng: np.random.Generator,
    ) -> None:
        """Say one of the alerts, if there is one that can be said."""
        template = SPOKEN_ALERTS[rng.integers(len(SPOKEN_ALERTS))]
        alike = [w for w in supervision.watches if template.format(w.text) in self._sentences]
        if not alike:
            return
        watch = alike[rng.integers(len(alike))]
        unit = int(rng.integers(1, max(2, supervision.num_units // 2)))
        if not labels[unit] and self._say(template.format(watch.text), unit, placed, rng):
            add_spoken_alert(watch.labels, unit + 1.0, labels, turns)

    def _say(self, text: str, unit: int, placed: '_Placed', rng: np.random.Generator) -> bool:
        """Let a sentence end in a unit, if it can be said and there is room."""
        voices = self._sentences.get(text, ())
        return len(voices) > 0 and placed.add(voices[rng.integers(len(voices))], unit)


class _Placed:
    """The sentences that have been put into a stream."""

    def __init__(self, stream: TabletopStream) -> None:
        self.audio: dict[int, torch.Tensor] = {}
        spans = [(sound.start_s, sound.end_s) for sound in stream.sounds]
        # What is said in a deck is asked of nobody.
        if stream.questions or stream.alerts:
            spans += [(speech.start_s, speech.end_s) for speech in stream.speech]
        self._busy = spans

    def add(self, audio: torch.Tensor, unit: int) -> bool:
        """Put a sentence where it ends in a unit; return whether there was room."""
        first = unit + 1 - len(audio)
        is_free = not any(begin < unit + 1 and first < end for begin, end in self._busy)
        if first < 0 or not is_free:
            return False
        self.audio.update(zip(range(first, unit + 1), audio, strict=True))
        self._busy.append((first, unit + 1))
        return True


def _takes_alert(stream: TabletopStream, supervision: Supervision) -> bool:
    """Say whether nothing else is said unasked."""
    is_told = any(turn.topic == SPOKEN_ALERT for turn in supervision.turns.values())
    is_told = is_told or any(alert.speech is not None for alert in stream.alerts)
    return not (supervision.narrate or is_told)


def _say(text: str, rng: np.random.Generator) -> np.ndarray:
    """Return a sentence in some voice over noise, float32 ``[units, 16000]``."""
    units = math.ceil(most_seconds(text)) + 1
    talk = Talk(rng, split='train', busy=())
    talk.reserve(text, units - 1 + float(rng.uniform(*_ENDS_S)))
    (speech,), items = talk.say(audible=True)
    noise = make_noise(rng, units * SAMPLE_RATE_HZ, split='train')
    return mix(units, items, noise, rng).reshape(units, -1)[int(speech.start_s) :]


@torch.no_grad()
def _encode(
    model: RomaModel, protocol: Protocol, features: Sequence[UnitFeatures]
) -> torch.Tensor:
    nothing = Supervision(len(features), labels=(None,) * len(features))
    batch = collate([make_sample(features, nothing, protocol)], protocol)
    return encode_audio(model, batch).unflatten(0, (len(features), -1)).half()
