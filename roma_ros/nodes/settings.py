"""From the node's parameters to what a session is made of."""

from collections.abc import Sequence

from ..policy.instructions import Instruction, InstructionKind, parse_instruction
from ..policy.triggers import PRESETS
from ..runtime.session import SessionConfig
from ..runtime.transcript import WindowConfig
from .parameter_tables import RomaParameters


def parse_instructions(lines: Sequence[str]) -> tuple[Instruction, ...]:
    """
    Read the instructions that stand from the begin; empty lines count as none.

    :raises ValueError: when a line is none.
    """
    return tuple(
        parse_instruction(line, id=f'instruction-{number}')
        for number, line in enumerate(filter(None, lines), start=1)
    )


def make_session_config(parameters: RomaParameters) -> SessionConfig:
    """Return how to remember and speak."""
    thresholds = {
        InstructionKind.NARRATION: parameters.narration_threshold,
        InstructionKind.ALERT: parameters.alert_threshold,
        InstructionKind.ANSWER: parameters.answer_threshold,
    }
    return SessionConfig(
        window=WindowConfig(window_s=parameters.window_s),
        triggers={kind: PRESETS[kind].with_threshold(t) for kind, t in thresholds.items()},
        max_segments=parameters.max_segments,
        share_stream=parameters.share_stream,
    )
