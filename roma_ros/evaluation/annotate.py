"""Recordings in, utterances and highlights out: as live, but as fast as the machine allows."""

from collections.abc import Iterator
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from ..policy.highlights import HighlightState
from ..policy.instructions import Instruction
from ..runtime.factory import load_runtime, Runtime
from ..runtime.results import StepResult
from ..runtime.session import SessionConfig, StreamLostError, StreamSession
from ..units.unit import MultimodalUnit
from .runner import Line

_BAG_SUFFIXES = ('.mcap', '.db3')


@dataclass(frozen=True, kw_only=True)
class Recording:
    """
    A recording to annotate.

    :param path: a media file, or a bag: its folder, ``.mcap`` or ``.db3``.
    :param image_topic: of a bag; None: the only one with images, '': none.
    :param audio_topic: of a bag; None: the only one with audio, '': none.
    """

    path: Path
    image_topic: str | None = None
    audio_topic: str | None = None

    @property
    def id(self) -> str:
        """Return its name in a run."""
        return str(self.path)

    @property
    def is_bag(self) -> bool:
        """Tell whether it is a bag."""
        return self.path.is_dir() or self.path.suffix in _BAG_SUFFIXES

    def units(self) -> Iterator[MultimodalUnit]:
        """
        Cut it into units, lazily, as the live stream would have been cut.

        :raises FileNotFoundError: when there is no such recording.
        :raises ValueError: when it is none.
        """
        if self.is_bag:
            from ..units.bag import units_from_bag

            return units_from_bag(
                self.path, image_topic=self.image_topic, audio_topic=self.audio_topic
            )
        from ..units.media_file import units_from_media

        return units_from_media(self.path)


@dataclass(frozen=True, kw_only=True)
class AnnotationJob:
    """
    What a worker is made of, in any process.

    :param model: folder of the checkpoint.
    :param instructions: what stands from the begin.
    :param device: where the model runs.
    :param threads: CPU threads of the network.
    :param quantize: its weights in fewer bits: int8, int4; empty: as they are.
    :param config: how the session remembers and speaks.
    """

    model: str
    instructions: tuple[Instruction, ...]
    device: str = 'auto'
    threads: int = 0
    quantize: str = ''
    config: SessionConfig | None = None

    def __call__(self) -> 'Annotator':
        """Load the model and return the worker."""
        runtime = load_runtime(
            self.model, device=self.device, threads=self.threads, quantize=self.quantize
        )
        return Annotator(runtime=runtime, instructions=self.instructions, config=self.config)


@dataclass(frozen=True, kw_only=True)
class Annotator:
    """Plays recordings through sessions of a model; the fields are those of the job."""

    runtime: Runtime
    instructions: tuple[Instruction, ...]
    config: SessionConfig | None = None

    def __call__(self, recording: Recording) -> Line:
        """Return what came of each unit of a recording, and which units were lost, and why."""
        runtime = self.runtime
        session = StreamSession(
            runtime.engine,
            runtime.processor,
            runtime.protocol,
            instructions=self.instructions,
            config=self.config or SessionConfig(triggers=runtime.triggers),
        )
        units: list[dict[str, Any]] = []
        lost: list[dict[str, Any]] = []
        for unit in recording.units():
            try:
                units.append(_unit(session.step(unit)))
            except (ValueError, StreamLostError) as error:
                # As live: the stream goes on, and what was lost is said.
                lost.append({'index': unit.index, 'reason': str(error)})
        return {
            'id': recording.id,
            'model': str(runtime.path),
            'engine': runtime.engine.name,
            'device': str(runtime.engine.device),
            'instructions': [
                {
                    'id': instruction.id,
                    'kind': int(instruction.kind),
                    'text': instruction.text,
                    'threshold': session.threshold(instruction),
                }
                for instruction in session.instructions
            ],
            'units': units,
            'lost': lost,
        }


def write_annotations(line: Line, path: Path) -> None:
    """
    Write a recording's utterances, highlights and scores, one JSON object a line.

    Each has a ``type``; times are those of the recording's stamps [ns], in a media file counted
    from its begin. Utterances are whole, from the begin of the unit that triggered them to the
    end of the one that the last segment follows from; a highlight that was still open when the
    recording ended is not ``closed``.

    :param line: of :class:`Annotator`.
    :param path: of the file, ``.jsonl``.
    """
    utterances: dict[int, dict[str, Any]] = {}
    highlights: dict[int, dict[str, Any]] = {}
    scores = []
    for unit in line['units']:
        span = {'start_ns': unit['start_ns'], 'end_ns': unit['end_ns']}
        for segment in unit['segments']:
            whole = utterances.setdefault(
                segment['utterance_id'],
                {
                    'type': 'utterance',
                    'id': segment['utterance_id'],
                    'kind': segment['kind'],
                    'instruction_id': segment['instruction_id'],
                    **span,
                    'probability': segment['probability'],
                    'text': '',
                },
            )
            whole['text'] += segment['text']
            whole['end_ns'] = unit['end_ns']
        for highlight in unit['highlights']:
            highlights[highlight['number']] = {'type': 'highlight'} | highlight
        scores += [{'type': 'score', 'unit': unit['index'], **span, **s} for s in unit['scores']]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', encoding='utf-8') as file:
        for entry in (*utterances.values(), *highlights.values(), *scores):
            file.write(json.dumps(entry, ensure_ascii=False) + '\n')


def _unit(result: StepResult) -> dict[str, Any]:
    unit = result.unit
    return {
        'index': unit.index,
        'start_ns': unit.start_ns,
        'end_ns': unit.end_ns,
        'flags': int(unit.flags),
        'frame_stamps_ns': list(unit.frame_stamps_ns),
        'compute_ms': result.compute_ms,
        'scores': [
            {
                'instruction_id': score.instruction.id,
                'kind': int(score.instruction.kind),
                'probability': score.probability,
                'threshold': score.threshold,
                'triggered': score.triggered,
            }
            for score in result.scores
        ],
        'segments': [
            {
                'utterance_id': segment.utterance_id,
                'sequence': segment.sequence,
                'final': segment.final,
                'kind': int(segment.kind),
                'instruction_id': segment.instruction_id,
                'text': segment.text,
                'probability': segment.probability,
            }
            for segment in result.segments
        ],
        'highlights': [
            {
                'number': highlight.number,
                'state': int(highlight.state),
                'closed': highlight.state == HighlightState.END,
                'instruction_id': instruction.id,
                'instruction': instruction.text,
                'start_ns': highlight.start_ns,
                'end_ns': highlight.end_ns,
                'score': highlight.score,
            }
            for instruction, highlight in result.highlights
        ],
    }
