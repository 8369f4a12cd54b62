"""The words of results: how kinds of instruction and the stream itself are called in them."""

from ..policy.instructions import InstructionKind

KINDS = {
    'narration': InstructionKind.NARRATION,
    'alert': InstructionKind.ALERT,
    'answer': InstructionKind.ANSWER,
}
#: The stream's own speak probability: when to narrate, or when to answer what was said aloud.
MAIN = 'main'
