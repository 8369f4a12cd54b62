"""What a session returns for each unit."""

from dataclasses import dataclass

from ..policy.highlights import Highlight
from ..policy.instructions import Instruction, InstructionKind
from ..units.unit import MultimodalUnit


@dataclass(frozen=True, kw_only=True)
class Score:
    """The speak probability of one unit for one instruction, and what the trigger made of it."""

    instruction: Instruction
    probability: float
    threshold: float
    triggered: bool


@dataclass(frozen=True, kw_only=True)
class Segment:
    """
    A piece of an utterance, to be said now.

    :param utterance_id: running number in the session, from 1.
    :param sequence: running number of the segment in its utterance, from 0.
    :param final: the utterance ends here; the text may be empty then.
    :param kind: what kind of utterance.
    :param instruction_id: the instruction or question that it belongs to.
    :param text: of this segment alone.
    :param probability: speak probability of the unit that triggered the utterance.
    """

    utterance_id: int
    sequence: int
    final: bool
    kind: InstructionKind
    instruction_id: str
    text: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Reading:
    """
    What came of reading one unit, before a word is decoded.

    :param unit: the unit.
    :param scores: that of the stream first, then one for each alert.
    :param segments: what ended, and the alerts.
    :param highlights: what began, went on or ended, with its instruction.
    :param process_ms: frames to patches and audio to log-mel [ms].
    :param encode_ms: the towers [ms].
    :param step_ms: reading the unit and the speak head [ms].
    """

    unit: MultimodalUnit
    scores: tuple[Score, ...]
    segments: tuple[Segment, ...]
    highlights: tuple[tuple[Instruction, Highlight], ...]
    process_ms: float
    encode_ms: float
    step_ms: float

    @property
    def compute_ms(self) -> float:
        """Return the time until the scores were known [ms]."""
        return self.process_ms + self.encode_ms + self.step_ms


@dataclass(frozen=True, kw_only=True)
class StepResult(Reading):
    """
    What came of one unit; ``segments`` are all that there is to say.

    :param said: those of them that followed the reading: the narration or answer.
    :param decode_ms: decoding text [ms].
    """

    said: tuple[Segment, ...]
    decode_ms: float
