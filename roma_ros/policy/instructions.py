"""What the operator asked for."""

from dataclasses import dataclass
from enum import IntEnum
import unicodedata

#: Longest text of an instruction or question [characters]; longer ones would crowd out the stream.
MAX_TEXT_CHARS = 500


class InstructionKind(IntEnum):
    """Kinds of instruction; values are those of ``Instruction.msg``."""

    NARRATION = 1  #: say what happens
    ALERT = 2  #: say it when a standing condition is met
    ANSWER = 3  #: answer a question


#: The word before the colon in a configured instruction.
_KIND_WORDS = {'narrate': InstructionKind.NARRATION, 'alert': InstructionKind.ALERT}


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """
    One thing that the operator asked for.

    :param id: unique in a session.
    :param kind: narrate, alert or answer.
    :param text: the wish in words; empty only for a narration.
    :param threshold: speak probability from which to speak, 0..1; None: the preset of the kind.
    :raises ValueError: when a field is not as above, or the text has control characters.
    """

    id: str
    kind: InstructionKind
    text: str = ''
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError('an instruction needs an id, got an empty one')
        check_text(self.text, what=f'instruction {self.id!r}')
        if not self.text and self.kind is InstructionKind.ALERT:
            raise ValueError(f'alert {self.id!r} has no text: say what to watch for')
        if self.threshold is not None and not 0.0 < self.threshold < 1.0:
            raise ValueError(
                f'instruction {self.id!r} has threshold {self.threshold}, '
                'expected a probability between 0 and 1'
            )


def check_text(text: str, *, what: str, max_chars: int = MAX_TEXT_CHARS) -> None:
    """
    Refuse text that is too long or has control characters.

    :param text: operator's words.
    :param what: whose text it is, for the error.
    :param max_chars: longest text that is let pass [characters].
    :raises ValueError: with the reason.
    """
    if len(text) > max_chars:
        raise ValueError(
            f'{what} has {len(text)} characters, at most {max_chars} are allowed; shorten it'
        )
    bad = next((c for c in text if unicodedata.category(c) == 'Cc'), None)
    if bad is not None:
        raise ValueError(f'{what} has the control character U+{ord(bad):04X}; remove it')


def parse_instruction(line: str, *, id: str) -> Instruction:
    """
    Read an instruction as it stands in a parameter or on the command line.

    :param line: ``narrate``, ``narrate: <focus>`` or ``alert: <condition>``, optionally with a
        threshold in brackets: ``alert[0.7]: a person falls``.
    :param id: the name that it gets.
    :return: the instruction.
    :raises ValueError: when the line is none of these.
    """
    head, _, text = line.partition(':')
    word, bracket, rest = head.strip().partition('[')
    threshold: float | None = None
    try:
        if bracket:
            threshold = float(rest.removesuffix(']')) if rest.endswith(']') else float('nan')
        kind = _KIND_WORDS[word.strip().lower()]
    except (KeyError, ValueError):
        raise ValueError(
            f"cannot read the instruction {line!r}; write 'narrate', 'narrate: <focus>' or "
            "'alert: <condition>', with a threshold as in 'alert[0.7]: <condition>'"
        ) from None
    return Instruction(id=id, kind=kind, text=text.strip(), threshold=threshold)
