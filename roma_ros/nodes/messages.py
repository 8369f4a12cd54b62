"""From what a session returns to messages, as plain functions."""

from collections.abc import Iterable

from std_msgs.msg import Header

from .. import msg
from ..policy.highlights import Highlight
from ..policy.instructions import Instruction
from ..runtime.results import Reading, Segment
from ..units.unit import MultimodalUnit
from .conversions import ns_to_time


def make_instruction(instruction: Instruction, threshold: float) -> msg.Instruction:
    """Make the message of a standing instruction with the threshold in force."""
    return msg.Instruction(
        id=instruction.id,
        kind=int(instruction.kind),
        text=instruction.text,
        threshold=threshold,
    )


def make_scores(reading: Reading, frame_id: str, latency_ms: float) -> Iterable[msg.SpeakScore]:
    """Make one message for each instruction's speak probability."""
    unit = reading.unit
    for score in reading.scores:
        yield msg.SpeakScore(
            header=_header(unit, frame_id),
            unit_start=ns_to_time(unit.start_ns),
            unit_end=ns_to_time(unit.end_ns),
            unit_index=unit.index,
            unit_flags=int(unit.flags),
            instruction_id=score.instruction.id,
            kind=int(score.instruction.kind),
            probability=score.probability,
            threshold=score.threshold,
            triggered=score.triggered,
            compute_ms=reading.compute_ms,
            latency_ms=latency_ms,
        )


def make_utterance(
    unit: MultimodalUnit, segment: Segment, frame_id: str, latency_ms: float
) -> msg.Utterance:
    """Make the message of one segment."""
    return msg.Utterance(
        header=_header(unit, frame_id),
        unit_start=ns_to_time(unit.start_ns),
        unit_end=ns_to_time(unit.end_ns),
        unit_index=unit.index,
        image_headers=[
            Header(stamp=ns_to_time(stamp_ns), frame_id=frame_id)
            for stamp_ns in unit.frame_stamps_ns
        ],
        id=segment.utterance_id,
        sequence=segment.sequence,
        final=segment.final,
        kind=int(segment.kind),
        instruction_id=segment.instruction_id,
        text=segment.text,
        speak_probability=segment.probability,
        latency_ms=latency_ms,
    )


def make_highlight(
    unit: MultimodalUnit, instruction: Instruction, highlight: Highlight, frame_id: str
) -> msg.Highlight:
    """Make the message of a highlight as far as it is known."""
    return msg.Highlight(
        header=_header(unit, frame_id),
        id=highlight.number,
        state=int(highlight.state),
        instruction_id=instruction.id,
        instruction=instruction.text,
        start=ns_to_time(highlight.start_ns),
        end=ns_to_time(highlight.end_ns),
        score=highlight.score,
    )


def _header(unit: MultimodalUnit, frame_id: str) -> Header:
    return Header(stamp=ns_to_time(unit.end_ns), frame_id=frame_id)
