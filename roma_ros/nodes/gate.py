"""Which utterances are published: quiet hours, and not too many."""

from collections.abc import Mapping

from ..policy.instructions import InstructionKind
from ..runtime.results import Segment
from ..units.unit import UNIT_NS


class UtteranceGate:
    """
    Holds utterances back, whole.

    Answers always pass: somebody waits for them. While it is quiet, narrations do not; alerts
    were asked for and do. Of two utterances for one instruction, the second is held back where
    it begins too soon after the first.
    """

    def __init__(self) -> None:
        self.quiet = False
        self.held_back = 0  #: utterances so far
        self._intervals_ns: dict[InstructionKind, int] = {}
        self._begun_ns: dict[str, int] = {}  # by instruction
        self._passes: dict[int, bool] = {}  # by utterance that is not complete

    def configure(self, intervals_s: Mapping[InstructionKind, float]) -> None:
        """Let at least so many seconds pass between two utterances for one instruction."""
        self._intervals_ns = {k: round(s * UNIT_NS) for k, s in intervals_s.items()}

    def passes(self, segment: Segment, end_ns: int) -> bool:
        """
        Tell whether a segment is published; it is decided when its utterance begins.

        :param end_ns: end of the unit that it follows from [ns].
        """
        number = segment.utterance_id
        if number not in self._passes:
            self._passes[number] = self._admits(segment, end_ns)
            self.held_back += not self._passes[number]
        return self._passes.pop(number) if segment.final else self._passes[number]

    def _admits(self, segment: Segment, end_ns: int) -> bool:
        if segment.kind is InstructionKind.ANSWER:
            return True
        if self.quiet and segment.kind is InstructionKind.NARRATION:
            return False
        interval_ns = self._intervals_ns.get(segment.kind, 0)
        begun_ns = self._begun_ns.get(segment.instruction_id)
        # A clock that was set back must not keep it silent until it has caught up.
        if begun_ns is not None and 0 <= end_ns - begun_ns < interval_ns:
            return False
        self._begun_ns[segment.instruction_id] = end_ns
        return True
