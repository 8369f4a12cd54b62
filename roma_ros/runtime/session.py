"""One stream on one model: units in, scores, utterances and highlights out."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
import itertools
import math
import threading
import time
import unicodedata

from ..model.config import ProcessorConfig
from ..model.processor import num_audio_tokens, UnitProcessor
from ..model.prompts import Protocol
from ..policy.highlights import Highlight, HighlightState, HighlightTracker
from ..policy.instructions import check_text, Instruction, InstructionKind
from ..policy.triggers import PRESETS, Trigger, TriggerConfig
from ..units.unit import MultimodalUnit
from .branch import Branch
from .engine import Engine
from .results import Score, Segment, StepResult
from .transcript import WindowConfig

#: The id of the branch that hears questions where no narration stands.
LISTEN_ID = 'listen'


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """
    How a session remembers and speaks.

    :param window: how much of the stream is remembered.
    :param triggers: when to speak, by kind; an instruction's own threshold goes before it.
    :param max_segments: segments after which an utterance is ended, 1 or more.
    :param max_instructions: standing instructions at one time; each costs a cache and a step.
    """

    window: WindowConfig = field(default_factory=WindowConfig)
    triggers: dict[InstructionKind, TriggerConfig] = field(default_factory=lambda: dict(PRESETS))
    max_segments: int = 4
    max_instructions: int = 8


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
    """A branch with what decides over it."""

    instruction: Instruction
    branch: Branch
    trigger: Trigger
    tracker: HighlightTracker | None
    utterance: _Utterance | None = None
    highlight_id: int = 0
    questions: deque[_Question] = field(default_factory=deque)


class StreamSession:
    """
    One stream on one model.

    Frames and audio are encoded once a unit; each standing instruction reads them on a branch
    of its own. Questions go to the narration's branch, or to one that only listens. All
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
        self._watches: list[_Watch] = []
        for instruction in instructions:
            self.add_instruction(instruction)
        self._ensure_listener()

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Return the standing instructions."""
        return tuple(w.instruction for w in self._watches if w.instruction.id != LISTEN_ID)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Return the transcripts with their caches, one for each instruction."""
        return tuple(w.branch for w in self._watches)

    def threshold(self, instruction: Instruction) -> float:
        """Return the speak probability from which the instruction speaks."""
        return self._trigger_config(instruction).threshold

    def add_instruction(self, instruction: Instruction) -> None:
        """
        Let an instruction stand from the next unit on; it does not know what was before.

        :raises ValueError: when the id is taken, the kind does not stand, or there are too many.
        """
        if instruction.kind is InstructionKind.ANSWER:
            raise ValueError(f'instruction {instruction.id!r} is a question; ask it instead')
        if instruction.id == LISTEN_ID or any(
            w.instruction.id == instruction.id for w in self._watches
        ):
            raise ValueError(f'an instruction named {instruction.id!r} stands; remove it first')
        if len(self.instructions) >= self.config.max_instructions:
            raise ValueError(
                f'{self.config.max_instructions} instructions stand, which is the limit; '
                'remove one first'
            )
        self._watches.append(self._make_watch(instruction))
        if instruction.kind is InstructionKind.NARRATION:
            self._drop_listener()

    def remove_instruction(self, instruction_id: str) -> None:
        """
        Let an instruction no longer stand.

        :raises ValueError: when there is none of that id.
        """
        for watch in self._watches:
            if watch.instruction.id == instruction_id != LISTEN_ID:
                self._watches.remove(watch)
                self._ensure_listener()
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
        watch = self._dialogue
        token_ids = watch.branch.tokenize_question(question)
        question_id = f'question-{next(self._question_ids)}'
        watch.questions.append(_Question(question_id, token_ids))
        return question_id

    def withdraw(self, question_id: str) -> None:
        """Take a question back, or end its answer; nothing happens where neither is at hand."""
        for watch in self._watches:
            watch.questions = deque(q for q in watch.questions if q.id != question_id)
            if watch.utterance is not None and watch.utterance.instruction_id == question_id:
                self.interrupt()

    def interrupt(self) -> None:
        """Be quiet: end what is being said at the next token. Any thread may call this."""
        self._interrupted.set()

    def reset(self) -> None:
        """Begin a new stream with the same instructions; allocations stay."""
        for watch in self._watches:
            watch.branch.reset()
            watch.trigger.reset()
            if watch.tracker is not None:
                watch.tracker.finish()
            watch.utterance = None
            watch.questions.clear()
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
            for watch in self._watches:
                watch.branch.roll_back()
            raise

    def _step(self, unit: MultimodalUnit) -> StepResult:
        begin = time.perf_counter()
        features = self._processor(unit)
        processed = time.perf_counter()
        embeddings = self._engine.encode(features)
        encoded = time.perf_counter()
        answering: list[_Question | None] = []
        probabilities: list[float] = []
        for watch in self._watches:
            question = watch.questions.popleft() if watch.questions else None
            if question is not None:
                watch.branch.read_question(question.token_ids)
            answering.append(question)
            probabilities.append(watch.branch.read_unit(features, embeddings))
        stepped = time.perf_counter()
        scores: list[Score] = []
        segments = self._take_interrupt()
        highlights: list[tuple[Instruction, Highlight]] = []
        for watch, probability, question in zip(
            self._watches, probabilities, answering, strict=True
        ):
            triggered = watch.trigger.update(probability)
            threshold = watch.trigger.config.threshold
            scores.append(
                Score(
                    instruction=watch.instruction,
                    probability=probability,
                    threshold=threshold,
                    triggered=triggered,
                )
            )
            if watch.tracker is not None:
                highlight = watch.tracker.update(unit.start_ns, unit.end_ns, probability)
                if highlight is not None:
                    if highlight.state is HighlightState.BEGIN:
                        watch.highlight_id = next(self._highlight_ids)
                    numbered = replace(highlight, number=watch.highlight_id)
                    highlights.append((watch.instruction, numbered))
            segments += self._respond(watch, probability, triggered, question)
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

    def _take_interrupt(self) -> list[Segment]:
        """End whatever goes on, if somebody wished for silence since the last unit."""
        if not self._interrupted.is_set():
            return []
        self._interrupted.clear()
        return [segment for watch in self._watches for segment in self._cut_off(watch)]

    def _respond(
        self, watch: _Watch, probability: float, triggered: bool, question: _Question | None
    ) -> list[Segment]:
        """Speak, go on speaking or stay silent after one unit."""
        if watch.instruction.kind is InstructionKind.ALERT:
            # Nothing of an alert stays in the transcript (paper A.4; release: deleted turn).
            return [self._alert(watch.instruction, probability)] if triggered else []
        segments: list[Segment] = []
        if question is not None or triggered:
            segments += self._cut_off(watch)  # a new answer discards the rest of the last
            watch.utterance = _Utterance(
                id=next(self._utterance_ids),
                kind=watch.instruction.kind if question is None else InstructionKind.ANSWER,
                instruction_id=watch.instruction.id if question is None else question.id,
                probability=probability,
            )
        if watch.utterance is not None:
            segments.append(self._say(watch, watch.utterance))
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

    def _say(self, watch: _Watch, utterance: _Utterance) -> Segment:
        """Decode the utterance's next segment."""
        decoded = watch.branch.speak(self._interrupted.is_set)
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
            watch.utterance = None
        return segment

    def _cut_off(self, watch: _Watch) -> list[Segment]:
        """End the utterance that goes on, if any, so that who speaks it knows."""
        utterance, watch.utterance = watch.utterance, None
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

    @property
    def _dialogue(self) -> _Watch:
        """Return the branch that questions go to."""
        return next(w for w in self._watches if w.instruction.kind is not InstructionKind.ALERT)

    def _ensure_listener(self) -> None:
        """Give questions a branch where no narration stands."""
        if all(w.instruction.kind is InstructionKind.ALERT for w in self._watches):
            listen = Instruction(id=LISTEN_ID, kind=InstructionKind.ANSWER)
            self._watches.append(self._make_watch(listen))

    def _drop_listener(self) -> None:
        for watch in self._watches:
            if watch.instruction.id == LISTEN_ID:
                self._watches.remove(watch)
                self._dialogue.questions.extend(watch.questions)
                return

    def _trigger_config(self, instruction: Instruction) -> TriggerConfig:
        preset = self.config.triggers[instruction.kind]
        if instruction.threshold is None:
            return preset
        return preset.with_threshold(instruction.threshold)

    def _make_watch(self, instruction: Instruction) -> _Watch:
        trigger = self._trigger_config(instruction)
        is_alert = instruction.kind is InstructionKind.ALERT
        return _Watch(
            instruction=instruction,
            branch=Branch(
                self._engine,
                self._protocol,
                instruction,
                window=self.config.window,
                unit_tokens=_unit_tokens(self._processor.config),
            ),
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
