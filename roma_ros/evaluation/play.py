"""A stream played through a session, unit by unit, and what came of it in seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
import time

from ..policy.instructions import Instruction, InstructionKind
from ..runtime.session import LISTEN_ID, StreamSession
from ..units.unit import MultimodalUnit
from .words import MAIN


@dataclass(frozen=True, kw_only=True)
class TypedQuestion:
    """A question that is typed at a time of the stream [s]."""

    text: str
    time_s: float


@dataclass(frozen=True, kw_only=True)
class StandingAlert:
    """An alert that stands from a time of the stream on [s]."""

    instruction: Instruction
    time_s: float


@dataclass(kw_only=True)
class Utterance:
    """
    What was said, its segments joined.

    :param kind: narration, alert or answer.
    :param instruction_id: what it belongs to; a typed question's is in ``Playback.questions``.
    :param time_s: end of the unit after which it began: from then on it can be heard.
    :param probability: speak probability of that unit.
    """

    kind: InstructionKind
    instruction_id: str
    time_s: float
    probability: float
    text: str = ''


@dataclass(kw_only=True)
class Playback:
    """
    What came of a stream.

    :param probabilities: the speak probability of each unit, by the instruction's id; that of
        the stream itself stands under ``main``; NaN before an alert stood.
    :param fired: times at which the trigger fired [s], by the same names.
    :param utterances: what was said, in order of their begin.
    :param questions: ids of the typed questions, in the order given.
    :param compute_s: time that the session took for all units.
    """

    num_units: int = 0
    probabilities: dict[str, list[float]] = field(default_factory=dict)
    fired: dict[str, list[float]] = field(default_factory=dict)
    utterances: list[Utterance] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    compute_s: float = 0.0

    def answer(self, question: int) -> str | None:
        """Return what was said to a typed question, by its place; None: nothing."""
        name = self.questions[question]
        said = [u.text for u in self.utterances if u.instruction_id == name]
        return ' '.join(said).strip() if said else None


def play(
    session: StreamSession,
    units: Iterable[MultimodalUnit],
    *,
    questions: Sequence[TypedQuestion] = (),
    alerts: Sequence[StandingAlert] = (),
) -> Playback:
    """
    Play a stream through a session as it would have run live.

    A unit is asked for when the session has done with the one before it: nothing that lies ahead
    is read. What is typed during a second is read before that second's unit, as it is live,
    where the unit is complete only at the second's end.

    :param session: a fresh one; the narration, where one is wanted, stands already.
    :param units: one a second, from the stream's begin.
    :param questions: in order of their times.
    :param alerts: those that begin later, or at 0.
    :return: what came of it, times counted from the first unit's begin.
    """
    played = Playback()
    asked = list(questions)
    waiting = list(alerts)
    open_utterances: dict[int, Utterance] = {}
    for index, unit in enumerate(units):
        while waiting and _unit_index(waiting[0].time_s) <= index:
            session.add_instruction(waiting.pop(0).instruction)
        while asked and _unit_index(asked[0].time_s) <= index:
            played.questions.append(session.ask(asked.pop(0).text))
        begin = time.perf_counter()
        result = session.step(unit)
        played.compute_s += time.perf_counter() - begin
        played.num_units += 1
        end_s = float(index + 1)
        for place, score in enumerate(result.scores):
            name = MAIN if place == 0 else score.instruction.id
            values = played.probabilities.setdefault(name, [float('nan')] * index)
            values.append(score.probability)
            fired = played.fired.setdefault(name, [])
            if score.triggered:
                fired.append(end_s)
        for segment in result.segments:
            utterance = open_utterances.get(segment.utterance_id)
            if utterance is None:
                utterance = Utterance(
                    kind=segment.kind,
                    instruction_id=(
                        MAIN if segment.instruction_id == LISTEN_ID else segment.instruction_id
                    ),
                    time_s=end_s,
                    probability=segment.probability,
                )
                open_utterances[segment.utterance_id] = utterance
                played.utterances.append(utterance)
            utterance.text += segment.text
    return played


def _unit_index(time_s: float) -> int:
    """Return the unit before which something typed at a time is read: the one that holds it."""
    return max(0, ceil(time_s) - 1)
