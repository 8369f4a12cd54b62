"""One instruction's view of the stream: its transcript, its cache and its dialogue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..model.positions import text_positions, unit_positions
from ..model.processor import num_audio_tokens, UnitFeatures
from ..model.prompts import MAX_SEGMENT_TOKENS, Protocol
from ..policy.instructions import Instruction, InstructionKind
from .engine import Engine, StepOutput
from .transcript import SpanKind, Transcript, WindowConfig


@dataclass(frozen=True)
class Decoded:
    """
    One decoded segment.

    :param token_ids: what was said, at most 25 tokens.
    :param finished: the model ended its turn.
    """

    token_ids: tuple[int, ...]
    finished: bool


class Branch:
    """
    A transcript that begins with one instruction, and its cache.

    Every id that enters the transcript is prefilled: the cache's length is the transcript's,
    always.

    :param engine: runs the network.
    :param protocol: token ids of the dialogue.
    :param instruction: what the system turn asks for.
    :param window: how much is remembered.
    :param unit_tokens: tokens that a second of the window has room for.
    """

    def __init__(
        self,
        engine: Engine,
        protocol: Protocol,
        instruction: Instruction,
        *,
        window: WindowConfig,
        unit_tokens: int,
    ) -> None:
        self._engine = engine
        self._protocol = protocol
        self._window = window
        self._unit_tokens = unit_tokens
        self._sink = list(protocol.stream_begin)
        if instruction.kind is not InstructionKind.ANSWER:
            self._sink += protocol.instruction(instruction.kind, instruction.text)
        self.transcript = Transcript(window, unit_tokens=unit_tokens)
        self.cache = engine.new_cache(len(self._sink) + self.transcript.max_tokens)
        self._speakable = _speakable(engine, protocol)
        self._read_text(SpanKind.SINK, self._sink)

    def reset(self) -> None:
        """Begin a new stream: nothing is left but the system turn."""
        self.cache.reset()
        self.transcript = Transcript(self._window, unit_tokens=self._unit_tokens)
        self._read_text(SpanKind.SINK, self._sink)

    def roll_back(self) -> None:
        """Take tokens that an error left without a span out of the cache."""
        self.cache.length = self.transcript.length

    def read_unit(self, features: UnitFeatures, embeddings: torch.Tensor) -> float:
        """
        Read one unit.

        :param features: of the unit, for its positions.
        :param embeddings: ``[n, C]``, begin and end tokens included.
        :return: speak probability, 0..1.
        """
        self._make_room(SpanKind.UNIT, len(embeddings))
        start = self.transcript.next_position
        audio_tokens = 0 if features.mel is None else num_audio_tokens(features.mel.shape[1])
        positions, stop = unit_positions(features.grid_thw, audio_tokens, start)
        output = self._engine.step(embeddings, positions, self.cache)
        self.transcript.append(SpanKind.UNIT, tokens=len(embeddings), extent=stop - start)
        return float(torch.sigmoid(output.speak_logit))

    def tokenize_question(self, text: str) -> list[int]:
        """
        Return the token ids of a typed question.

        :raises ValueError: when they are more than half of what is remembered of text.
        """
        token_ids = self._protocol.instruction(InstructionKind.ANSWER, text)
        limit = self._window.text_tokens // 2
        if len(token_ids) > limit:
            raise ValueError(
                f'the question takes {len(token_ids)} tokens, at most {limit} are allowed; '
                'shorten it, or raise text_tokens'
            )
        return token_ids

    def read_question(self, token_ids: Sequence[int]) -> None:
        """Read a typed question into the operator's turn."""
        self._make_room(SpanKind.TEXT, len(token_ids))
        self._read_text(SpanKind.TEXT, token_ids)

    def speak(self, is_interrupted: Callable[[], bool]) -> Decoded:
        """
        Decode one segment, greedily, and leave it in the transcript as the protocol demands.

        :param is_interrupted: asked before each token; True: be quiet.
        :return: what was said.
        """
        protocol = self._protocol
        around = (protocol.assistant_begin, protocol.segment_unfinished, protocol.user_begin)
        self._make_room(SpanKind.TEXT, MAX_SEGMENT_TOKENS + sum(map(len, around)))
        before = self.cache.length
        output = self._step_text(protocol.assistant_begin)
        said: list[int] = []
        unread: list[int] = []  # said, but not yet in the cache
        finished = False
        while len(said) < MAX_SEGMENT_TOKENS and not is_interrupted():
            if unread:
                output = self._step_text(unread)
                unread = []
            token_id = self._pick(output.lm_logits)
            if token_id in protocol.stop_ids:
                finished = token_id == protocol.token_ids.im_end
                break
            said.append(token_id)
            unread = [token_id]
        end = protocol.utterance_end if finished else protocol.segment_unfinished
        self._step_text([*unread, *end, *protocol.user_begin])
        num_tokens = self.cache.length - before
        self.transcript.append(SpanKind.TEXT, tokens=num_tokens, extent=num_tokens)
        return Decoded(tuple(said), finished)

    def _pick(self, lm_logits: torch.Tensor) -> int:
        """Return the likeliest token that can be said."""
        return int((lm_logits + self._speakable).argmax())

    def _make_room(self, kind: SpanKind, tokens: int) -> None:
        kept = self.transcript.make_room(kind, tokens)
        if kept is not None:
            self.cache.keep(kept)

    def _read_text(self, kind: SpanKind, token_ids: Sequence[int]) -> None:
        self._step_text(token_ids)
        self.transcript.append(kind, tokens=len(token_ids), extent=len(token_ids))

    def _step_text(self, token_ids: Sequence[int]) -> StepOutput:
        # Within a segment the transcript lags behind the cache; text takes one id a token.
        start = self.transcript.next_position + self.cache.length - self.transcript.length
        positions, _ = text_positions(len(token_ids), start)
        return self._engine.step(self._engine.embed(token_ids), positions, self.cache)


def _speakable(engine: Engine, protocol: Protocol) -> torch.Tensor:
    """Return 0 for each token that can be said or ends a segment, else -inf: ``[V]``."""
    tokenizer = protocol.tokenizer
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    bias = torch.zeros(engine.vocab_size, device=engine.device)
    bias[sorted(special - protocol.stop_ids)] = -torch.inf
    bias[tokenizer.get_vocab_size() :] = -torch.inf  # rows that only pad the table
    return bias
