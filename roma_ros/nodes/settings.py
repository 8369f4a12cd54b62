"""From the node's parameters to what a session is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
import itertools

from ..policy.instructions import Instruction, InstructionKind, parse_instruction
from ..policy.triggers import TriggerConfig
from ..runtime.session import SessionConfig
from ..runtime.transcript import WindowConfig
from .parameter_tables import MAX_INSTRUCTIONS, RomaParameters


def parse_instructions(lines: Sequence[str]) -> tuple[Instruction, ...]:
    """
    Read the instructions that stand from the begin; empty lines count as none.

    :raises ValueError: when a line is none.
    """
    return tuple(
        parse_instruction(line, id=f'instruction-{number}')
        for number, line in enumerate(filter(None, lines), start=1)
    )


def change_instructions(
    standing: Sequence[Instruction], before: Sequence[Instruction], after: Sequence[Instruction]
) -> tuple[list[str], list[Instruction]]:
    """
    Return what a change of the parameter means for what stands.

    What services have added stays, and what they have removed stays away.

    :param standing: what stands now.
    :param before: what the parameter said.
    :param after: what it says.
    :return: ids to remove, and instructions to add then.
    """
    wanted = [_content(i) for i in after]
    removed = [i.id for i in standing if i in before and _content(i) not in wanted]
    kept = [_content(i) for i in before]
    taken = {i.id for i in standing if i.id not in removed}
    added = []
    for instruction in after:
        if _content(instruction) in kept:
            continue
        names = (f'instruction-{n}' for n in itertools.count(1))
        name = next(n for n in names if n not in taken)
        taken.add(name)
        added.append(replace(instruction, id=name))
    return removed, added


def _content(instruction: Instruction) -> Instruction:
    return replace(instruction, id='any')


def make_session_config(
    parameters: RomaParameters, own: Mapping[InstructionKind, TriggerConfig]
) -> SessionConfig:
    """
    Return how to remember and speak.

    :param parameters: of the node.
    :param own: the triggers of the model, where the parameters leave them as they are.
    """
    triggers = {
        InstructionKind.NARRATION: (
            parameters.narration_threshold,
            parameters.narration_window_units,
        ),
        InstructionKind.ALERT: (parameters.alert_threshold, parameters.alert_window_units),
        InstructionKind.ANSWER: (parameters.answer_threshold, parameters.answer_window_units),
    }
    return SessionConfig(
        window=WindowConfig(window_s=parameters.window_s),
        triggers={
            kind: _change(own[kind], threshold, units)
            for kind, (threshold, units) in triggers.items()
        },
        max_segments=parameters.max_segments,
        max_instructions=MAX_INSTRUCTIONS,
        share_stream=parameters.share_stream,
    )


def _change(trigger: TriggerConfig, threshold: float, units: int) -> TriggerConfig:
    if threshold:
        trigger = trigger.with_threshold(threshold)
    return replace(trigger, window_units=units or trigger.window_units)


def speech_intervals(parameters: RomaParameters) -> dict[InstructionKind, float]:
    """Return the least time between two utterances for one instruction, by kind [s]."""
    return {
        InstructionKind.NARRATION: parameters.narration_interval_s,
        InstructionKind.ALERT: parameters.alert_interval_s,
    }
