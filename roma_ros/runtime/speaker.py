"""What is being said: one utterance at a time, segment by segment, until it ends or is cut off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import itertools
import threading
import unicodedata

from ..model.prompts import MAX_SEGMENT_TOKENS, Protocol
from ..policy.instructions import Instruction, InstructionKind
from .dialogue import Dialogue
from .results import Segment


@dataclass
class Utterance:
    """An utterance that is being said."""

    id: int
    kind: InstructionKind
    instruction_id: str
    probability: float
    token_ids: list[int] = field(default_factory=list)
    text: str = ''  # emitted so far
    segments: int = 0


class Speaker:
    """
    Says one utterance at a time in a dialogue.

    All methods belong to the session's thread, except :meth:`interrupt`.

    :param dialogue: decodes the text, and remembers it.
    :param protocol: token ids to text.
    :param max_segments: full segments after which an utterance is ended.
    """

    def __init__(self, dialogue: Dialogue, protocol: Protocol, *, max_segments: int) -> None:
        self._dialogue = dialogue
        self._protocol = protocol
        self.max_segments = max_segments
        self._interrupted = threading.Event()
        self._ids = itertools.count(1)
        #: What is being said now; the session puts it back where a unit failed.
        self.utterance: Utterance | None = None

    @property
    def instruction_id(self) -> str:
        """Return what the utterance that goes on belongs to; empty: nothing is being said."""
        return '' if self.utterance is None else self.utterance.instruction_id

    @property
    def kind(self) -> InstructionKind | None:
        """Return the kind of the utterance that goes on; None: nothing is being said."""
        return None if self.utterance is None else self.utterance.kind

    def interrupt(self) -> None:
        """Be quiet: end what is being said at the next token. Any thread may call this."""
        self._interrupted.set()

    def reset(self) -> None:
        """Forget what is being said."""
        self.utterance = None
        self._interrupted.clear()

    def take_interrupt(self) -> list[Segment]:
        """End what goes on, if somebody wished for silence since the last unit."""
        if not self._interrupted.is_set():
            return []
        self._interrupted.clear()
        return self.cut_off()

    def alert(self, instruction: Instruction, probability: float) -> Segment:
        """Say an alert: its condition, at once, whatever else is being said."""
        return Segment(
            utterance_id=next(self._ids),
            sequence=0,
            final=True,
            kind=InstructionKind.ALERT,
            instruction_id=instruction.id,
            text=instruction.text,
            probability=probability,
        )

    def begin(
        self, kind: InstructionKind, instruction_id: str, probability: float
    ) -> list[Segment]:
        """
        Begin an utterance; a new one discards the rest of the last (release: mm_plugin).

        :return: the segment that ends the last one, if it went on, so that who speaks it knows.
        """
        ended = self.cut_off()
        self.utterance = Utterance(next(self._ids), kind, instruction_id, probability)
        return ended

    def go_on(
        self, is_due: Callable[[], bool], on_partial: Callable[[Segment], None] = lambda _: None
    ) -> list[Segment]:
        """
        Decode the next segment of what is being said, if anything is.

        :param is_due: asked before each token; True: end the segment, the next unit waits.
        :param on_partial: takes the segment as far as it is decoded, whenever text is added.
        """
        utterance = self.utterance
        if utterance is None:
            return []
        shown = ''

        def show(said: Sequence[int]) -> None:
            nonlocal shown
            text = self._new_text(utterance, said, final=False)
            if text != shown:
                shown = text
                on_partial(_segment(utterance, text, final=False))

        decoded = self._dialogue.speak(self._interrupted.is_set, is_due, show)
        interrupted = self._interrupted.is_set()
        self._interrupted.clear()
        most = self.max_segments * MAX_SEGMENT_TOKENS
        num_tokens = len(utterance.token_ids) + len(decoded.token_ids)
        # Who has nothing to add, but does not end either, would hold the floor for ever.
        is_over = decoded.finished or not decoded.token_ids
        final = is_over or interrupted or num_tokens >= most
        text = self._new_text(utterance, decoded.token_ids, final=final)
        segment = _segment(utterance, text, final=final)
        utterance.token_ids += decoded.token_ids
        utterance.text += text
        utterance.segments += 1
        if final:
            self.utterance = None
        return [segment]

    def _new_text(self, utterance: Utterance, said: Sequence[int], *, final: bool) -> str:
        """Return what tokens add to the text that was emitted."""
        text = _printable(self._protocol.decode([*utterance.token_ids, *said]))
        if not final:
            text = text.rstrip('\ufffd')  # a character that the next token completes
        return text[len(utterance.text) :]

    def cut_off(self) -> list[Segment]:
        """End what is being said, if anything is; return the segment that says so."""
        utterance, self.utterance = self.utterance, None
        return [] if utterance is None else [_segment(utterance, '', final=True)]


def _segment(utterance: Utterance, text: str, *, final: bool) -> Segment:
    return Segment(
        utterance_id=utterance.id,
        sequence=utterance.segments,
        final=final,
        kind=utterance.kind,
        instruction_id=utterance.instruction_id,
        text=text,
        probability=utterance.probability,
    )


def _printable(text: str) -> str:
    """Replace control characters: what a model says is data, and steers no terminal."""
    return ''.join(' ' if unicodedata.category(c) == 'Cc' else c for c in text)
