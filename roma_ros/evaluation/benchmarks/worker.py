"""A benchmark's sample played live: one line of what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil

import numpy as np
import numpy.typing as npt

from ...policy.instructions import Instruction, InstructionKind
from ...policy.triggers import PRESETS, TriggerConfig
from ...runtime.factory import load_runtime, Runtime
from ...runtime.session import SessionConfig, StreamSession
from ...runtime.transcript import WindowConfig
from ...units.unit import SAMPLE_RATE_HZ
from ..play import play, Playback, StandingAlert, TypedQuestion
from ..runner import Line
from ..words import KINDS
from .benchmark import Part, StreamSample
from .lines import ALERT_ID, NARRATION_ID
from .sample_units import duration_s, sample_units, Voice

# A question with its options; the tokens that are remembered are the limit then.
_MAX_QUESTION_CHARS = 20_000


@lru_cache(maxsize=8)
def speak(text: str) -> npt.NDArray[np.float32]:
    """
    Say a sentence in the first voice of the tabletop's test split.

    :return: float32, mono, 16 kHz.
    """
    from ...training.tabletop.voices import speak as say, VOICES

    return say(text, voice=VOICES['test'][0]).samples


@dataclass(frozen=True, kw_only=True)
class Playing:
    """
    How samples are played.

    :param triggers: when to speak, by the words of the results; what is not there: the presets.
    :param window_s: most seconds of a stream that are remembered.
    :param share_stream: alerts watch one stream; False: each has its own, as published.
    :param text_tokens: most tokens of what was said that are remembered.
    """

    triggers: Mapping[str, TriggerConfig] = field(default_factory=dict)
    window_s: int = 1200
    share_stream: bool = True
    text_tokens: int = 2048


@dataclass(frozen=True, kw_only=True)
class BenchmarkJob:
    """
    What a worker is made of, in any process.

    :param model: folder of the checkpoint.
    :param device: where it runs.
    :param threads: CPU threads of the network.
    :param quantize: its weights in fewer bits: int8, int4; empty: as they are.
    :param playing: how samples are played.
    """

    model: str
    device: str = 'auto'
    threads: int = 0
    quantize: str = ''
    playing: Playing = field(default_factory=Playing)

    def __call__(self) -> 'BenchmarkWorker':
        """Load the model and return the worker."""
        runtime = load_runtime(
            self.model, device=self.device, threads=self.threads, quantize=self.quantize
        )
        return BenchmarkWorker(runtime=runtime, playing=self.playing)


@dataclass(frozen=True, kw_only=True)
class BenchmarkWorker:
    """
    Plays samples.

    :param runtime: the model.
    :param playing: how.
    :param voice: says what is spoken.
    """

    runtime: Runtime
    playing: Playing
    voice: Voice = speak

    def __call__(self, sample: StreamSample) -> Line:
        """Play one sample and return its line."""
        played = play(
            self._session(sample),
            sample_units(sample, self.voice),
            questions=[TypedQuestion(text=q.text, time_s=q.time_s) for q in sample.questions],
            alerts=[
                StandingAlert(instruction=alert, time_s=said.time_s)
                for alert, said in zip(_alerts(sample), sample.alerts, strict=True)
            ],
        )
        spoken_s = [
            (said.time_s, said.time_s + len(self.voice(said.text)) / SAMPLE_RATE_HZ)
            for said in sample.spoken
        ]
        return _line(sample, played, spoken_s)

    def _session(self, sample: StreamSample) -> StreamSession:
        playing = self.playing
        seconds = sum(end - start for start, end in sample.parts) or duration_s(sample.media)
        longest = ceil(seconds + sample.tail_s) + 60  # what is spoken may go on behind the end
        config = SessionConfig(
            window=WindowConfig(
                window_s=max(1, min(longest, playing.window_s)), text_tokens=playing.text_tokens
            ),
            triggers={kind: playing.triggers.get(k, PRESETS[kind]) for k, kind in KINDS.items()},
            max_instructions=max(8, len(sample.alerts) + 1),
            share_stream=playing.share_stream,
            max_question_chars=_MAX_QUESTION_CHARS,
        )
        narration = Instruction(id=NARRATION_ID, kind=InstructionKind.NARRATION)
        return StreamSession(
            self.runtime.engine,
            self.runtime.processor,
            self.runtime.protocol,
            instructions=[narration] if sample.narrate else [],
            config=config,
        )


def _alerts(sample: StreamSample) -> list[Instruction]:
    return [
        Instruction(id=ALERT_ID.format(i), kind=InstructionKind.ALERT, text=said.text)
        for i, said in enumerate(sample.alerts)
    ]


def _line(sample: StreamSample, played: Playback, spoken_s: Sequence[Part]) -> Line:
    return {
        'id': sample.id,
        'truth': sample.truth,
        'seconds': played.num_units,
        'spoken_s': spoken_s,
        'probabilities': {
            name: [round(p, 5) for p in values] for name, values in played.probabilities.items()
        },
        'fired_s': played.fired,
        'answers': [
            played.answer(i) if i < len(played.questions) else None
            for i in range(len(sample.questions))
        ],
        'utterances': [
            {
                'time_s': u.time_s,
                'id': u.instruction_id,
                'kind': u.kind.name.lower(),
                'text': u.text.strip(),
                'probability': round(u.probability, 5),
            }
            for u in played.utterances
        ],
        'compute_s': round(played.compute_s, 3),
    }
