"""
A model on tabletop streams: each stream played live, and one line of what came of it.

The typed alerts stand from the begin, the narration too where the stream is narrated, typed
questions come at their times, and what is spoken is in the sound. A line holds the truth beside
what the model did, so that :mod:`.tabletop_score` needs nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
import json
from pathlib import Path
import re
from typing import Any

import numpy as np

from ...policy.instructions import Instruction, InstructionKind
from ...policy.model_triggers import read_triggers
from ...policy.triggers import PRESETS, Trigger, TriggerConfig
from ...runtime.factory import load_runtime, Runtime
from ...runtime.session import SessionConfig, StreamSession
from ...training.tabletop.labels import Split, TabletopStream
from ...units.unit import MultimodalUnit
from ..play import play, Playback, TypedQuestion
from ..runner import Line
from ..words import KINDS, MAIN

#: Triggers by the words of the results.
Triggers = dict[str, TriggerConfig]
_NARRATION_ID = 'narration'


def preset_triggers() -> Triggers:
    """Return the presets of the package, by the words of the results."""
    return {word: PRESETS[kind] for word, kind in KINDS.items()}


def model_triggers(folder: Path) -> Triggers:
    """Return the triggers that come with a model, by the words of the results."""
    own = read_triggers(folder)
    return {word: own[kind] for word, kind in KINDS.items()}


def load_triggers(path: Path) -> Triggers:
    """
    Read the thresholds that an earlier evaluation fitted: its ``--json`` file.

    :raises ValueError: when there are none in the file.
    """
    try:
        found = json.loads(path.read_text(encoding='utf-8'))['thresholds']
        return {word: TriggerConfig(**found[word]) for word in KINDS}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'no thresholds of roma eval tabletop ({type(error).__name__}: {error}): {path}'
        ) from error


@dataclass(frozen=True, kw_only=True)
class TabletopSample:
    """One stream by its seed."""

    split: Split
    seed: int
    seconds: int

    @property
    def id(self) -> str:
        """Return its name."""
        return f'{self.split}-{self.seed}-{self.seconds}'


@dataclass(frozen=True, kw_only=True)
class TabletopWorker:
    """
    Makes a stream and plays it.

    :param runtime: the model.
    :param make_stream: makes a stream of a seed, split and length.
    :param triggers: when to speak.
    """

    runtime: Runtime
    make_stream: Callable[[TabletopSample], TabletopStream]
    triggers: Triggers = field(default_factory=preset_triggers)

    def __call__(self, sample: TabletopSample) -> Line:
        """Play one stream and return its line."""
        stream = self.make_stream(sample)
        signals = _Signals(stream)
        typed = [q for q in stream.questions if q.speech is None]
        played = play(
            self._session(stream),
            signals,
            questions=[TypedQuestion(text=q.text, time_s=q.time_s) for q in typed],
        )
        return {'id': sample.id} | _truth(stream) | _outcome(stream, played) | signals.values

    def _session(self, stream: TabletopStream) -> StreamSession:
        instructions = [
            Instruction(id=alert_id(i), kind=InstructionKind.ALERT, text=alert.text)
            for i, alert in enumerate(stream.alerts)
            if alert.speech is None
        ]
        if stream.narrate:
            instructions.append(Instruction(id=_NARRATION_ID, kind=InstructionKind.NARRATION))
        config = SessionConfig(
            triggers={kind: self.triggers[word] for word, kind in KINDS.items()},
            max_instructions=max(8, len(instructions)),
        )
        return StreamSession(
            self.runtime.engine,
            self.runtime.processor,
            self.runtime.protocol,
            instructions=instructions,
            config=config,
        )


@dataclass(frozen=True, kw_only=True)
class TabletopJob:
    """
    What a worker is made of, in any process.

    :param model: folder of the checkpoint.
    :param device: where it runs.
    :param threads: CPU threads of the network.
    :param quantize: its weights in fewer bits: int8, int4; empty: as they are.
    :param triggers: when to speak.
    """

    model: str
    device: str = 'auto'
    threads: int = 0
    quantize: str = ''
    triggers: Triggers = field(default_factory=preset_triggers)

    def __call__(self) -> TabletopWorker:
        """Load the model and return the worker."""
        runtime = load_runtime(
            self.model, device=self.device, threads=self.threads, quantize=self.quantize
        )
        return TabletopWorker(
            runtime=runtime, make_stream=make_tabletop_stream, triggers=self.triggers
        )


def make_tabletop_stream(sample: TabletopSample) -> TabletopStream:
    """Make the stream of a sample with the package's generator."""
    from ...training.tabletop.generator import make_stream

    return make_stream(sample.seed, split=sample.split, duration_s=sample.seconds)


def alert_id(index: int) -> str:
    """Return the name under which the stream's alert of this place stands."""
    return f'alert-{index}'


class _Signals:
    """The units of a stream, one at a time; measures what trivial baselines go by."""

    def __init__(self, stream: TabletopStream) -> None:
        self._stream = stream
        self._last: np.ndarray | None = None
        self.values: dict[str, list[float]] = {'motion': [], 'loudness_db': []}

    def __iter__(self) -> Iterator[MultimodalUnit]:
        for index in range(self._stream.duration_s):
            unit = self._stream.unit(index)
            self._measure(unit)
            yield unit

    def _measure(self, unit: MultimodalUnit) -> None:
        """Measure the largest change from frame to frame (grey levels), and the level."""
        frames = [frame.mean(axis=2) for frame in unit.frames]
        before = [self._last, *frames] if self._last is not None else frames
        changes = [float(np.abs(b - a).mean()) for a, b in pairwise(before)]
        self._last = frames[-1]
        power = float(np.mean(np.square(unit.audio, dtype=np.float64)))
        self.values['motion'].append(round(max(changes, default=0.0), 3))
        self.values['loudness_db'].append(round(10 * np.log10(max(power, 1e-10)), 2))


def _truth(stream: TabletopStream) -> Line:
    return {
        'split': stream.split,
        'seed': stream.seed,
        'seconds': stream.duration_s,
        'narrate': stream.narrate,
        'events': [asdict(event) for event in stream.events],
        'sounds': [asdict(sound) for sound in stream.sounds],
        'speech': [
            {'text': s.text, 'start_s': s.start_s, 'end_s': s.end_s} for s in stream.speech
        ],
    }


def _outcome(stream: TabletopStream, played: Playback) -> Line:
    alerts: list[dict[str, Any]] = []
    for i, alert in enumerate(stream.alerts):
        entry: dict[str, Any] = {
            'text': alert.text,
            'sense': alert.sense,
            'windows': [list(window) for window in alert.windows],
            'spoken_at_s': None if alert.speech is None else alert.speech.end_s,
        }
        if alert.speech is None:
            entry['probabilities'] = _rounded(played.probabilities[alert_id(i)])
            entry['fired_s'] = played.fired[alert_id(i)]
        alerts.append(entry)
    questions: list[dict[str, Any]] = []
    num_typed = 0
    for question in stream.questions:
        entry = {
            'text': question.text,
            'time_s': question.time_s,
            'topic': question.topic,
            'answer': question.answer,
            'spoken': question.speech is not None,
        }
        if question.speech is None:
            asked = num_typed < len(played.questions)
            entry['said'] = played.answer(num_typed) if asked else None
            num_typed += 1
        questions.append(entry)
    return {
        'alerts': alerts,
        'questions': questions,
        'probabilities': _rounded(played.probabilities[MAIN]),
        'fired_s': played.fired[MAIN],
        'utterances': [
            {
                'time_s': u.time_s,
                'kind': u.kind.name.lower(),
                'text': u.text.strip(),
                'probability': round(u.probability, 4),
            }
            for u in played.utterances
            # Answers to typed questions stand beside their questions, alerts with theirs.
            if u.instruction_id in (MAIN, _NARRATION_ID)
        ],
        'compute_s': round(played.compute_s, 3),
    }


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 5) for value in values]


def plain_words(text: str) -> str:
    """Return an answer as it is compared: lower case, no punctuation, no leading article."""
    words = re.sub(r'[^a-z0-9 ]+', ' ', text.lower()).split()
    if words and words[0] in ('a', 'an', 'the'):
        words = words[1:]
    return ' '.join(words)


def with_triggers(line: Line, triggers: Triggers) -> Line:
    """
    Return a line as it would have come out with another alert trigger.

    Alerts leave no trace in the stream, so what they fire follows from the probabilities alone.
    """

    def fired(probabilities: list[float]) -> list[float]:
        trigger = Trigger(triggers['alert'])
        return [float(i + 1) for i, p in enumerate(probabilities) if trigger.update(p)]

    alerts = [
        alert | {'fired_s': fired(alert['probabilities'])} if 'probabilities' in alert else alert
        for alert in line['alerts']
    ]
    return line | {'alerts': alerts}
