"""One stream on one model: units in, scores, utterances and highlights out."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
import itertools
import math
import threading
import time
import unicodedata

import torch

from ..model.config import ProcessorConfig
from ..model.processor import num_audio_tokens, UnitFeatures, UnitProcessor
from ..model.prompts import Protocol
from ..policy.highlights import Highlight, HighlightState, HighlightTracker
from ..policy.instructions import check_text, Instruction, InstructionKind
from ..policy.triggers import PRESETS, Trigger, TriggerConfig
from ..units.unit import MultimodalUnit
from .dialogue import Dialogue
from .engine import Engine
from .results import Score, Segment, StepResult
from .transcript import WindowConfig

#: The id of the score of a stream in which no instruction stands in line: when to answer.
LISTEN_ID = 'listen'
_LISTEN = Instruction(id=LISTEN_ID, kind=InstructionKind.ANSWER)


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """
    How a session remembers and speaks.

    :param window: how much of the stream is remembered.
    :param triggers: when to speak, by kind; an instruction's own threshold goes before it.
    :param max_segments: segments after which an utterance is ended, 1 or more.
    :param max_instructions: standing instructions at one time.
    :param share_stream: alerts watch one shared stream, at the cost of one token a unit each;
        False: each alert has a stream of its own, as published, at the cost of a cache and a step.
    """

    window: WindowConfig = field(default_factory=WindowConfig)
    triggers: dict[InstructionKind, TriggerConfig] = field(default_factory=lambda: dict(PRESETS))
    max_segments: int = 4
    max_instructions: int = 8
    share_stream: bool = True


@dataclass
class _Utterance:
    """An utterance that is being said."""

    id: int
    kind: InstructionKind
    instruction_id: str
    probability: float
    token_ids: list[int] = field(default_factory=list)
    text: str = ''  # emitted so far
    segments: int = 0


@dataclass(frozen=True)
class _Question:
    """A typed question that waits for the next unit."""

    id: str
    token_ids: list[int]


@dataclass
class _Watch:
    """An instruction with what decides over it, and the dialogue that reads for it."""

    instruction: Instruction
    dialogue: Dialogue
    trigger: Trigger
    tracker: HighlightTracker | None
    highlight_id: int = 0


class StreamSession:
    """
    One stream on one model.

    Frames and audio are encoded once a unit. The narration, questions and answers are one
    dialogue; alerts watch beside it, or each on a dialogue of its own (``share_stream``). All
    methods belong to one thread, except :meth:`interrupt`.

    :param engine: runs the network.
    :param processor: units to features.
    :param protocol: token ids of the dialogue.
    :param instructions: what stands from the begin.
    :param config: how to remember and speak.
    """

    def __init__(
        self,
        engine: Engine,
        processor: UnitProcessor,
        protocol: Protocol,
        *,
        instructions: Sequence[Instruction] = (),
        config: SessionConfig | None = None,
    ) -> None:
        self.config = config or SessionConfig()
        self._engine = engine
        self._processor = processor
        self._protocol = protocol
        self._interrupted = threading.Event()
        self._utterance_ids = itertools.count(1)
        self._question_ids = itertools.count(1)
        self._highlight_ids = itertools.count(1)
        self._questions: deque[_Question] = deque()
        self._utterance: _Utterance | None = None
        self._dialogue = self._make_dialogue()
        self._main = self._make_watch(_LISTEN, self._dialogue)
        self._alerts: list[_Watch] = []
        for instruction in instructions:
            self.add_instruction(instruction)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Return the standing instructions."""
        return tuple(w.instruction for w in self._watches if w.instruction is not _LISTEN)

    @property
    def dialogues(self) -> tuple[Dialogue, ...]:
        """Return the transcripts with their caches; the first is the one that speaks."""
        return tuple(dict.fromkeys(w.dialogue for w in self._watches))

    def threshold(self, instruction: Instruction) -> float:
        """Return the speak probability from which the instruction speaks."""
        return self._trigger_config(instruction).threshold

    def add_instruction(self, instruction: Instruction) -> None:
        """
        Let an instruction stand from the next unit on.

        :raises ValueError: when the id is taken, the kind does not stand, there are too many, a
            narration stands already, or it takes more tokens than are left for instructions.
        """
        if instruction.kind is InstructionKind.ANSWER:
            raise ValueError(f'instruction {instruction.id!r} is a question; ask it instead')
        if instruction.id in {LISTEN_ID, *(i.id for i in self.instructions)}:
            raise ValueError(f'an instruction named {instruction.id!r} stands; remove it first')
        if len(self.instructions) >= self.config.max_instructions:
            raise ValueError(
                f'{self.config.max_instructions} instructions stand, which is the limit; '
                'remove one first'
            )
        if instruction.kind is InstructionKind.NARRATION:
            if self._main.instruction is not _LISTEN:
                raise ValueError(
                    f'the narration {self._main.instruction.id!r} stands; remove it first'
                )
            self._dialogue.add(instruction, beside=False)
            self._main = self._make_watch(instruction, self._dialogue)
            return
        shared = self.config.share_stream
        dialogue = self._dialogue if shared else self._make_dialogue()
        dialogue.add(instruction, beside=shared)
        self._alerts.append(self._make_watch(instruction, dialogue))

    def remove_instruction(self, instruction_id: str) -> None:
        """
        Let an instruction no longer stand.

        :raises ValueError: when there is none of that id.
        """
        for watch in self._watches:
            if watch.instruction.id == instruction_id != LISTEN_ID:
                watch.dialogue.remove(instruction_id)
                if watch is self._main:
                    self._main = self._make_watch(_LISTEN, self._dialogue)
                else:
                    self._alerts.remove(watch)
                return
        names = ', '.join(repr(i.id) for i in self.instructions) or 'none'
        raise ValueError(f'no instruction is named {instruction_id!r}; there are: {names}')

    def ask(self, question: str) -> str:
        """
        Ask a typed question; it is answered after the next unit that no other question takes.

        :return: the question's id, which the answer's segments carry.
        :raises ValueError: when it is empty, too long, or has control characters.
        """
        if not question.strip():
            raise ValueError('the question is empty')
        check_text(question, what='the question')
        token_ids = self._dialogue.tokenize_question(question)
        question_id = f'question-{next(self._question_ids)}'
        self._questions.append(_Question(question_id, token_ids))
        return question_id

    def withdraw(self, question_id: str) -> None:
        """Take a question back, or end its answer; nothing happens where neither is at hand."""
        self._questions = deque(q for q in self._questions if q.id != question_id)
        if self._utterance is not None and self._utterance.instruction_id == question_id:
            self.interrupt()

    def interrupt(self) -> None:
        """Be quiet: end what is being said at the next token. Any thread may call this."""
        self._interrupted.set()

    def reset(self) -> None:
        """Begin a new stream with the same instructions; allocations stay."""
        for dialogue in self.dialogues:
            dialogue.reset()
        for watch in self._watches:
            watch.trigger.reset()
            if watch.tracker is not None:
                watch.tracker.finish()
        self._utterance = None
        self._questions.clear()
        self._interrupted.clear()

    def step(self, unit: MultimodalUnit) -> StepResult:
        """
        Read the next unit, decide for each instruction whether to speak, and speak.

        :param unit: the next second of the stream.
        :return: scores, segments and highlights.
        """
        try:
            return self._step(unit)
        except Exception:
            for dialogue in self.dialogues:
                dialogue.roll_back()
            raise

    def _step(self, unit: MultimodalUnit) -> StepResult:
        begin = time.perf_counter()
        features = self._processor(unit)
        processed = time.perf_counter()
        embeddings = self._engine.encode(features)
        encoded = time.perf_counter()
        question = self._questions.popleft() if self._questions else None
        if question is not None:
            self._dialogue.read_question(question.token_ids)
        probabilities = self._read_unit(features, embeddings)
        stepped = time.perf_counter()
        segments = self._take_interrupt()
        scores: list[Score] = []
        highlights: list[tuple[Instruction, Highlight]] = []
        for watch in self._watches:
            score = self._judge(watch, probabilities[watch.instruction.id])
            scores.append(score)
            if watch.tracker is None:
                continue
            highlights += self._track(watch, unit, score.probability)
            if score.triggered:
                # Nothing of an alert stays in the transcript (paper A.4; release: deleted turn).
                segments.append(self._alert(watch.instruction, score.probability))
        segments += self._respond(scores[0], question)
        decoded = time.perf_counter()
        return StepResult(
            unit=unit,
            scores=tuple(scores),
            segments=tuple(segments),
            highlights=tuple(highlights),
            process_ms=(processed - begin) * 1e3,
            encode_ms=(encoded - processed) * 1e3,
            step_ms=(stepped - encoded) * 1e3,
            decode_ms=(decoded - stepped) * 1e3,
        )

    @property
    def _watches(self) -> list[_Watch]:
        """Return all that is scored: the stream itself first."""
        return [self._main, *self._alerts]

    def _read_unit(self, features: UnitFeatures, embeddings: torch.Tensor) -> dict[str, float]:
        """Return the speak probability of each instruction by its id."""
        probabilities: dict[str, float] = {}
        of_streams: dict[Dialogue, float] = {}
        for dialogue in self.dialogues:
            of_streams[dialogue], beside = dialogue.read_unit(features, embeddings)
            probabilities |= beside
        for watch in self._watches:
            probabilities.setdefault(watch.instruction.id, of_streams[watch.dialogue])
        return probabilities

    def _judge(self, watch: _Watch, probability: float) -> Score:
        return Score(
            instruction=watch.instruction,
            probability=probability,
            triggered=watch.trigger.update(probability),
            threshold=watch.trigger.config.threshold,
        )

    def _track(
        self, watch: _Watch, unit: MultimodalUnit, probability: float
    ) -> list[tuple[Instruction, Highlight]]:
        assert watch.tracker is not None
        highlight = watch.tracker.update(unit.start_ns, unit.end_ns, probability)
        if highlight is None:
            return []
        if highlight.state is HighlightState.BEGIN:
            watch.highlight_id = next(self._highlight_ids)
        return [(watch.instruction, replace(highlight, number=watch.highlight_id))]

    def _take_interrupt(self) -> list[Segment]:
        """End what goes on, if somebody wished for silence since the last unit."""
        if not self._interrupted.is_set():
            return []
        self._interrupted.clear()
        return self._cut_off()

    def _respond(self, score: Score, question: _Question | None) -> list[Segment]:
        """Speak, go on speaking or stay silent after one unit."""
        segments: list[Segment] = []
        if question is not None or score.triggered:
            segments += self._cut_off()  # a new answer discards the rest of the last
            instruction = score.instruction
            self._utterance = _Utterance(
                id=next(self._utterance_ids),
                kind=instruction.kind if question is None else InstructionKind.ANSWER,
                instruction_id=instruction.id if question is None else question.id,
                probability=score.probability,
            )
        if self._utterance is not None:
            segments.append(self._say(self._utterance))
        return segments

    def _alert(self, instruction: Instruction, probability: float) -> Segment:
        return Segment(
            utterance_id=next(self._utterance_ids),
            sequence=0,
            final=True,
            kind=InstructionKind.ALERT,
            instruction_id=instruction.id,
            text=instruction.text,
            probability=probability,
        )

    def _say(self, utterance: _Utterance) -> Segment:
        """Decode the utterance's next segment."""
        decoded = self._dialogue.speak(self._interrupted.is_set)
        utterance.token_ids += decoded.token_ids
        interrupted = self._interrupted.is_set()
        self._interrupted.clear()
        final = (
            decoded.finished or interrupted or utterance.segments + 1 >= self.config.max_segments
        )
        text = _printable(self._protocol.decode(utterance.token_ids))
        if not final:
            text = text.rstrip('\ufffd')  # a character that the next segment completes
        segment = self._segment(utterance, text[len(utterance.text) :], final=final)
        utterance.text = text
        utterance.segments += 1
        if final:
            self._utterance = None
        return segment

    def _cut_off(self) -> list[Segment]:
        """End the utterance that goes on, if any, so that who speaks it knows."""
        utterance, self._utterance = self._utterance, None
        return [] if utterance is None else [self._segment(utterance, '', final=True)]

    def _segment(self, utterance: _Utterance, text: str, *, final: bool) -> Segment:
        return Segment(
            utterance_id=utterance.id,
            sequence=utterance.segments,
            final=final,
            kind=utterance.kind,
            instruction_id=utterance.instruction_id,
            text=text,
            probability=utterance.probability,
        )

    def _trigger_config(self, instruction: Instruction) -> TriggerConfig:
        preset = self.config.triggers[instruction.kind]
        if instruction.threshold is None:
            return preset
        return preset.with_threshold(instruction.threshold)

    def _make_dialogue(self) -> Dialogue:
        return Dialogue(
            self._engine,
            self._protocol,
            window=self.config.window,
            unit_tokens=_unit_tokens(self._processor.config),
        )

    def _make_watch(self, instruction: Instruction, dialogue: Dialogue) -> _Watch:
        trigger = self._trigger_config(instruction)
        is_alert = instruction.kind is InstructionKind.ALERT
        return _Watch(
            instruction=instruction,
            dialogue=dialogue,
            trigger=Trigger(trigger),
            tracker=HighlightTracker(trigger.threshold) if is_alert else None,
        )


def _printable(text: str) -> str:
    """Replace control characters: what a model says is data, and steers no terminal."""
    return ''.join(' ' if unicodedata.category(c) == 'Cc' else c for c in text)


def _unit_tokens(config: ProcessorConfig) -> int:
    """
    Return the tokens that a second of the window has room for.

    Rounding to whole tokens takes frames up to a tenth above the pixel limit; only panoramas go
    beyond, and of those the window then holds fewer seconds.
    """
    side = config.patch_size * config.merge_size
    video = math.ceil(1.1 * min(config.video_max_pixels, config.max_pixels) / side**2)
    audio = num_audio_tokens(config.sampling_rate // config.hop_length)
    return video + audio + 4
