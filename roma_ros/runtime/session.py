"""One stream on one model: units in, scores, utterances and highlights out."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
import itertools
import math
import time

from ..model.config import ProcessorConfig
from ..model.processor import num_audio_tokens, UnitProcessor
from ..model.prompts import Protocol
from ..policy.highlights import Highlight, HighlightState, HighlightTracker
from ..policy.instructions import check_text, Instruction, InstructionKind, MAX_TEXT_CHARS
from ..policy.triggers import PRESETS, Trigger, TriggerConfig
from ..units.unit import MultimodalUnit
from .dialogue import Dialogue
from .engine import Engine
from .journal import Journal
from .results import Reading, Score, Segment, StepResult
from .speaker import Speaker
from .transcript import Transcript, WindowConfig
from .unit_encoder import EncodedUnit, UnitEncoder

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
    :param max_question_chars: longest typed question [characters]; benchmarks ask longer ones.
    """

    window: WindowConfig = field(default_factory=WindowConfig)
    triggers: dict[InstructionKind, TriggerConfig] = field(default_factory=lambda: dict(PRESETS))
    max_segments: int = 4
    max_instructions: int = 8
    share_stream: bool = True
    max_question_chars: int = MAX_TEXT_CHARS


class StreamLostError(RuntimeError):
    """The network failed at a unit; the stream goes on from clean caches."""


@dataclass(frozen=True)
class _Question:
    """A typed question that waits for the next unit."""

    id: str
    text: str


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
        #: Encodes units ahead of :meth:`step`, on another thread if need be.
        self.encoder = UnitEncoder(engine, processor)
        self._protocol = protocol
        self._question_ids = itertools.count(1)
        self._highlight_ids = itertools.count(1)
        self._questions: deque[_Question] = deque()
        self._journal = Journal()
        self._is_lost = False  # the caches are not to be trusted
        self._newest_index: int | None = None  # of the units that the caches hold
        self._dialogue = self._make_dialogue()
        self._speaker = Speaker(self._dialogue, protocol, max_segments=self.config.max_segments)
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
        check_text(question, what='the question', max_chars=self.config.max_question_chars)
        self._dialogue.check_question(question)
        question_id = f'question-{next(self._question_ids)}'
        self._questions.append(_Question(question_id, question))
        return question_id

    def withdraw(self, question_id: str) -> None:
        """Take a question back, or end its answer; nothing happens where neither is at hand."""
        self._questions = deque(q for q in self._questions if q.id != question_id)
        if self._speaker.instruction_id == question_id:
            self.interrupt()

    def configure(self, config: SessionConfig) -> None:
        """
        Remember and speak otherwise from the next unit on.

        With another window what was seen and heard is forgotten; the journal stays. What an
        instruction's trigger has counted so far is forgotten where its threshold or window is
        another.

        :raises ValueError: when ``share_stream`` is another: that wants another session.
        """
        if config.share_stream != self.config.share_stream:
            raise ValueError('share_stream cannot change within a stream; begin a new one')
        is_resized = config.window != self.config.window
        self.config = config
        self._speaker.max_segments = config.max_segments
        for watch in self._watches:
            trigger = self._trigger_config(watch.instruction)
            if trigger != watch.trigger.config:
                watch.trigger = Trigger(trigger)
            if watch.tracker is not None:
                watch.tracker.threshold = trigger.threshold
        if is_resized:
            for dialogue in self.dialogues:
                dialogue.resize(config.window)
            self._newest_index = None
            self.encoder.forget()

    def interrupt(self) -> None:
        """Be quiet: end what is being said at the next token. Any thread may call this."""
        self._speaker.interrupt()

    def reset(self) -> None:
        """Begin a new stream with the same instructions; all else is forgotten."""
        self._clean_caches()
        for watch in self._watches:
            watch.trigger.reset()
            if watch.tracker is not None:
                watch.tracker.finish()
        self._speaker.reset()
        self._questions.clear()
        self._journal.clear()

    def step(
        self,
        unit: MultimodalUnit | EncodedUnit,
        *,
        on_reading: Callable[[Reading], None] = lambda _: None,
        on_partial: Callable[[Segment], None] = lambda _: None,
        is_due: Callable[[], bool] = lambda: False,
    ) -> StepResult:
        """
        Read the next unit, decide for each instruction whether to speak, and speak.

        Whatever this raises, the session can be used further. A question that was to be answered
        is taken up again at the next unit.

        :param unit: the next second of the stream, encoded by this session's model or not.
        :param on_reading: takes scores, alerts and highlights before a word is decoded.
        :param on_partial: takes the segment that is being decoded, as far as it is.
        :param is_due: asked before each token; True: the next unit waits, and what is being said
            goes on after it.
        :return: scores, segments and highlights.
        :raises ValueError: when the unit is refused, and nothing else is lost.
        :raises StreamLostError: when the network failed, as by lack of memory or numbers that are
            not finite: what the caches hold is not to be trusted, and the stream goes on from
            clean ones, with its instructions and its journal.
        """
        utterance = self._speaker.utterance
        index = unit.index if isinstance(unit, MultimodalUnit) else unit.unit.index
        try:
            return self._step(unit, on_reading, on_partial, is_due)
        except Exception as error:
            self._speaker.utterance = utterance
            if isinstance(error, ValueError):
                for dialogue in self.dialogues:
                    dialogue.roll_back()
                raise
            self._is_lost = True
            raise StreamLostError(
                f'unit {index} failed ({type(error).__name__}: {error}); what was seen and '
                'heard so far is forgotten, and the stream goes on with its instructions'
            ) from error

    def _step(
        self,
        unit: MultimodalUnit | EncodedUnit,
        on_reading: Callable[[Reading], None],
        on_partial: Callable[[Segment], None],
        is_due: Callable[[], bool],
    ) -> StepResult:
        ended: list[Segment] = []
        if self._is_lost:
            # Here, and not where it failed: memory that was short then may be free by now.
            self._clean_caches()
            ended += self._speaker.cut_off()
        encoded = self.encoder(unit) if isinstance(unit, MultimodalUnit) else unit
        begin = time.perf_counter()
        question = self._questions[0] if self._questions else None
        if question is not None:
            self._read_question(question, encoded.unit)
        probabilities = self._read_unit(encoded)
        ended += self._speaker.take_interrupt()
        reading = self._judge_all(encoded, probabilities, ended, begin)
        on_reading(reading)
        begin = time.perf_counter()
        said = self._speak(reading, question, on_partial, is_due)
        return StepResult(
            **(vars(reading) | {'segments': (*reading.segments, *said)}),
            said=said,
            decode_ms=(time.perf_counter() - begin) * 1e3,
        )

    def _judge_all(
        self,
        encoded: EncodedUnit,
        probabilities: dict[str, float],
        ended: list[Segment],
        begin: float,
    ) -> Reading:
        """Let the triggers and highlight trackers see the unit, and say its alerts."""
        unit = encoded.unit
        scores: list[Score] = []
        highlights: list[tuple[Instruction, Highlight]] = []
        for watch in self._watches:
            score = self._judge(watch, probabilities[watch.instruction.id])
            scores.append(score)
            if watch.tracker is None:
                continue
            highlights += self._track(watch, unit, score.probability)
            if score.triggered:
                if self._speaker.kind is InstructionKind.NARRATION:  # an alert goes before it
                    ended += self._speaker.cut_off()
                # Nothing of an alert stays in the transcript (paper A.4; release: deleted turn).
                ended.append(self._speaker.alert(watch.instruction, score.probability))
                self._journal.add(unit.end_ns, 'you alerted', watch.instruction.text)
        return Reading(
            unit=unit,
            scores=tuple(scores),
            segments=tuple(ended),
            highlights=tuple(highlights),
            process_ms=encoded.process_ms,
            encode_ms=encoded.encode_ms,
            step_ms=(time.perf_counter() - begin) * 1e3,
        )

    def _speak(
        self,
        reading: Reading,
        question: _Question | None,
        on_partial: Callable[[Segment], None],
        is_due: Callable[[], bool],
    ) -> tuple[Segment, ...]:
        """Begin the answer or narration that is due, and decode the segment of what goes on."""
        said: list[Segment] = []
        score = reading.scores[0]
        if question is not None:
            said += self._speaker.begin(InstructionKind.ANSWER, question.id, score.probability)
        elif score.triggered and not self._answers_while(self._main.instruction):
            instruction = self._main.instruction
            said += self._speaker.begin(instruction.kind, instruction.id, score.probability)
        said += self._speaker.go_on(is_due, on_partial)
        for segment in said:
            end_ns = reading.unit.end_ns
            self._journal.add(end_ns, 'you said', segment.text, self._newest_is_held())
        if question is not None:
            self._questions.popleft()
        return tuple(said)

    def _answers_while(self, instruction: Instruction) -> bool:
        """Tell whether an answer goes on that a narration must not cut off."""
        is_narration = instruction.kind is InstructionKind.NARRATION
        return is_narration and self._speaker.kind is InstructionKind.ANSWER

    @property
    def _watches(self) -> list[_Watch]:
        """Return all that is scored: the stream itself first."""
        return [self._main, *self._alerts]

    def _clean_caches(self) -> None:
        """Begin all transcripts anew, with what stands; if that fails, the next unit tries it."""
        self._is_lost = True
        self._newest_index = None
        self.encoder.forget()
        for dialogue in self.dialogues:
            dialogue.reset()
        self._is_lost = False

    def _read_unit(self, encoded: EncodedUnit) -> dict[str, float]:
        """Return the speak probability of each instruction by its id."""
        probabilities: dict[str, float] = {}
        of_streams: dict[Dialogue, float] = {}
        index, newest = encoded.unit.index, self._newest_index
        missed = 0 if newest is None else max(0, index - newest - 1)
        for dialogue in self.dialogues:
            of_streams[dialogue], beside = dialogue.read_unit(
                encoded.features, encoded.embeddings, missed=missed
            )
            probabilities |= beside
        self._newest_index = index
        for watch in self._watches:
            probabilities.setdefault(watch.instruction.id, of_streams[watch.dialogue])
        return probabilities

    def _read_question(self, question: _Question, unit: MultimodalUnit) -> None:
        """Read a question, and before it what was said about it so long ago that it is gone."""
        self._dialogue.read_question(
            question.text, recalled=self._journal.recall(question.text, unit.end_ns)
        )
        self._journal.add(unit.end_ns, 'you were asked', question.text, self._newest_is_held())

    def _newest_is_held(self) -> Callable[[], bool]:
        """Return what tells whether the transcript still holds its newest span."""
        dialogue, span = self._dialogue, self._dialogue.transcript.spans[-1]
        return lambda: any(held is span for held in dialogue.transcript.spans)

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
            unit_tokens=max_unit_tokens(self._processor.config),
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


def max_unit_tokens(config: ProcessorConfig) -> int:
    """
    Return the tokens that a second of the window has room for.

    Rounding to whole tokens takes frames up to a tenth above the pixel limit; only panoramas go
    beyond, and of those the window then holds fewer seconds.
    """
    side = config.patch_size * config.merge_size
    video = math.ceil(1.1 * min(config.video_max_pixels, config.max_pixels) / side**2)
    audio = num_audio_tokens(config.sampling_rate // config.hop_length)
    return video + audio + 4


def default_capacity(config: ProcessorConfig) -> int:
    """Return the tokens of a cache for the usual window, with room for a long system prompt."""
    tokens = Transcript(WindowConfig(), unit_tokens=max_unit_tokens(config)).max_tokens
    return -(-(tokens + 256) // 256) * 256
