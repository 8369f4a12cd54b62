r"""
The dialogue as token ids: who speaks, when a turn ends, and what the operator asked for.

The stream is one long user turn::

    <|im_start|>system\n{system prompt}<|im_end|>\n<|im_start|>user\n
    {instructions}{unit}{unit}{question}{unit}
    <|im_end|>\n<|im_start|>assistant\n{at most 25 tokens}
        <|im_end|>                        when the utterance is complete, or
        <|endoftext|><|im_end|>           when it goes on after the next unit
    \n<|im_start|>user\n{unit}...

Silent seconds cost no text token. All of it is prefilled: the cache holds what the transcript
holds.
"""

from tokenizers import Tokenizer

from ..policy.instructions import InstructionKind
from .config import TokenIds

#: Most tokens of one segment of an utterance; about one second of speech (paper §5.1).
MAX_SEGMENT_TOKENS = 25

#: What the network is told first. Our own words for what the release's prompt says; a checkpoint
#: trained with another text wants that text.
SYSTEM_PROMPT = (
    'You watch and listen to a live stream, one second of video and audio at a time, and you '
    'speak only when it is time to.\n'
    '[narration] When an event ends and another begins, say in one short sentence what has just '
    'happened, and then be silent until the next change.\n'
    '[alert] Speak only while the condition that you were asked to watch for is met, seen or '
    'heard. Say the words that you were asked to say, or else "alert".\n'
    '[question] Answer questions, spoken or written, from what you see and hear.'
)

_INSTRUCTION_TEXT = {
    InstructionKind.NARRATION: 'Describe the events in the video in real time.',
    InstructionKind.ALERT: 'Remind me when this happens: {text}',
    InstructionKind.ANSWER: '{text}',
}


def instruction_text(kind: InstructionKind, text: str) -> str:
    """
    Put an instruction into the words that the network reads.

    :param kind: narration, alert or answer.
    :param text: the operator's words; for a narration what to attend to, or nothing.
    :return: one line.
    """
    if kind is InstructionKind.NARRATION and text:
        return f'{_INSTRUCTION_TEXT[kind]} Attend to this: {text}'
    return _INSTRUCTION_TEXT[kind].format(text=text)


class Protocol:
    """
    Token ids of every piece of the dialogue, made once from a tokenizer.

    :param tokenizer: of the checkpoint. Special tokens in the operator's text are read as plain
        text, so nobody can end a turn by typing its token; the tokenizer is set accordingly.
    :param system_prompt: what the network is told first.
    :raises ValueError: when the tokenizer lacks a special token.
    """

    def __init__(self, tokenizer: Tokenizer, *, system_prompt: str = SYSTEM_PROMPT) -> None:
        self.tokenizer = tokenizer
        tokenizer.encode_special_tokens = True
        self.token_ids = TokenIds.lookup(tokenizer.token_to_id)
        start, end = self.token_ids.im_start, self.token_ids.im_end
        newline = self.encode('\n')
        user_turn = [start, *self.encode('user\n')]
        #: Begins a stream: the system prompt, and the user turn that all units belong to.
        self.stream_begin = [
            start,
            *self.encode(f'system\n{system_prompt}'),
            end,
            *newline,
            *user_turn,
        ]
        #: Ends the user turn and begins an utterance, or its next segment.
        self.assistant_begin = [end, *newline, start, *self.encode('assistant\n')]
        #: Follows a segment whose utterance goes on after the next unit.
        self.segment_unfinished = [self.token_ids.endoftext, end]
        #: Follows a complete utterance, where the network did not say so itself.
        self.utterance_end = [end]
        #: Gives the turn back to the user: units follow.
        self.user_begin = [*newline, *user_turn]
        #: Generated ids that end a segment.
        self.stop_ids = frozenset({end, self.token_ids.endoftext})

    def encode(self, text: str) -> list[int]:
        """Return the token ids of plain text."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of token ids, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def instruction(self, kind: InstructionKind, text: str) -> list[int]:
        """
        Return a standing instruction's or a question's token ids, to follow the last token.

        :param kind: narration, alert or answer.
        :param text: the operator's words.
        :return: the ids; a line of its own.
        """
        return self.encode(instruction_text(kind, text) + '\n')
