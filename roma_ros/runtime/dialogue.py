"""One stream as a dialogue: its transcript, its cache, and the alerts that watch beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

import numpy as np
import torch

from ..model.positions import text_positions, unit_positions
from ..model.processor import num_audio_tokens, UnitFeatures
from ..model.prompts import MAX_SEGMENT_TOKENS, Protocol
from ..policy.instructions import Instruction, InstructionKind
from .engine import Engine, StepOutput
from .kv_cache import KeptRange
from .transcript import SpanKind, Transcript, WindowConfig

#: Tokens of a segment that do not give way to the next unit.
MIN_SEGMENT_TOKENS = 5
#: Position ids from the begin of a unit with sound to the begin of the next.
UNIT_POSITIONS = 27


@dataclass(frozen=True)
class Decoded:
    """
    One decoded segment.

    :param token_ids: what was said, at most 25 tokens.
    :param finished: the model ended its turn.
    """

    token_ids: tuple[int, ...]
    finished: bool


class Dialogue:
    """
    The transcript of one stream, and its cache.

    Every id that enters the transcript is prefilled: the cache's length is the transcript's,
    always. Instructions are added in one of two ways. In line, one is a line of the operator's
    turn, as published: all that follows sees it. A *watch* stands beside the stream: nothing sees
    it but an anchor of its own, one more ``<|vision_eos|>`` at each unit, which sees the system
    prompt, the watch and the stream, and leaves no trace. So a watch costs one token a unit.

    :param engine: runs the network.
    :param protocol: token ids of the dialogue.
    :param window: how much is remembered.
    :param unit_tokens: tokens that a second of the window has room for.
    """

    def __init__(
        self, engine: Engine, protocol: Protocol, *, window: WindowConfig, unit_tokens: int
    ) -> None:
        self._engine = engine
        self._protocol = protocol
        self._window = window
        self._unit_tokens = unit_tokens
        self._speakable = _speakable(engine, protocol)
        self.transcript = Transcript(window, unit_tokens=unit_tokens)
        self.cache = engine.new_cache(len(protocol.stream_begin) + self.transcript.max_tokens)
        # Whose each cached token is: 0 the stream's, else a watch's number.
        self._owner = torch.zeros(self.cache.capacity, dtype=torch.int64, device=engine.device)
        self._watches: dict[str, int] = {}
        self._standing: list[tuple[Instruction, bool]] = []
        self._begin()

    def reset(self) -> None:
        """Begin a new stream: nothing is left but the system turn and what stands."""
        self.cache.reset()
        self.transcript = Transcript(self._window, unit_tokens=self._unit_tokens)
        self._owner.zero_()
        self._watches = {}
        self._begin()
        for instruction, beside in self._standing:
            self._read_standing(instruction, beside=beside)

    def resize(self, window: WindowConfig) -> None:
        """Remember another length of the stream; it begins anew, as after :meth:`reset`."""
        self._window = window
        self.transcript = Transcript(window, unit_tokens=self._unit_tokens)
        capacity = len(self._protocol.stream_begin) + self.transcript.max_tokens
        self.cache = self._engine.new_cache(capacity)
        self._owner = torch.zeros(capacity, dtype=torch.int64, device=self._engine.device)
        self.reset()

    def roll_back(self) -> None:
        """Take tokens that an error left without a span out of the cache."""
        self.cache.length = self.transcript.length

    def add(self, instruction: Instruction, *, beside: bool) -> None:
        """
        Let an instruction stand.

        :param beside: as a watch; else in line.
        :raises ValueError: when it takes more tokens than are left for instructions.
        """
        self._read_standing(instruction, beside=beside)
        self._standing.append((instruction, beside))

    def remove(self, instruction_id: str) -> None:
        """Let an instruction no longer stand; what it led to stays."""
        self._keep(self.transcript.remove(instruction_id))
        self._watches.pop(instruction_id, None)
        self._standing = [(i, b) for i, b in self._standing if i.id != instruction_id]

    def read_unit(
        self, features: UnitFeatures, embeddings: torch.Tensor, *, missed: int = 0
    ) -> tuple[float, dict[str, float]]:
        """
        Read one unit.

        :param features: of the unit, for its positions.
        :param embeddings: ``[n, C]``, begin and end tokens included.
        :param missed: units of the stream before it that were never read: it stands so much
            later, and what is remembered reaches as far back in time as else.
        :return: speak probability of the stream, 0..1, and that of each watch by its id.
        :raises FloatingPointError: when one is not a finite number.
        """
        num_tokens, num_watches = len(embeddings), len(self._watches)
        missed = min(missed, self._window.window_s - 1)  # beyond, nothing is remembered anyway
        self._make_room(SpanKind.UNIT, num_tokens, seconds=1 + missed)
        end = self.transcript.next_position
        start = end + missed * UNIT_POSITIONS
        audio_tokens = 0 if features.mel is None else num_audio_tokens(features.mel.shape[1])
        positions, stop = unit_positions(features.grid_thw, audio_tokens, start)
        length = self.cache.length
        output = self._engine.step(
            torch.cat([embeddings, embeddings[-1:].expand(num_watches, -1)]),
            np.concatenate([positions, np.repeat(positions[:, -1:], num_watches, 1)], axis=1),
            self.cache,
            mask=self._mask(num_tokens, with_anchors=True),
            num_anchors=1 + num_watches,
        )
        self.cache.length = length + num_tokens  # the watches' anchors leave no trace
        self.transcript.append(
            SpanKind.UNIT, tokens=num_tokens, extent=stop - end, seconds=1 + missed
        )
        probability, *others = torch.sigmoid(output.speak_logits).tolist()
        # An anchor sees all that is cached for it, so what is not finite there shows here.
        if not all(map(math.isfinite, (probability, *others))):
            raise FloatingPointError('the network gave a speak probability that is not finite')
        return probability, dict(zip(self._watches, others, strict=True))

    def check_question(self, text: str) -> None:
        """
        Refuse a question that takes more than half of what is remembered of text.

        :raises ValueError: with how much it takes and how much is allowed.
        """
        num_tokens = len(self._protocol.instruction(InstructionKind.ANSWER, text))
        limit = self._window.text_tokens // 2
        if num_tokens > limit:
            raise ValueError(
                f'the question takes {num_tokens} tokens, at most {limit} are allowed; '
                'shorten it, or raise text_tokens'
            )

    def read_question(self, text: str, *, recalled: Sequence[str] = ()) -> None:
        """
        Read a typed question into the operator's turn.

        :param text: one that :meth:`check_question` let pass.
        :param recalled: lines to remind the network of first, the last ones the most important;
            as many as fit into a quarter of what is remembered of text.
        """
        token_ids = self._protocol.instruction(InstructionKind.ANSWER, text)
        left = self._window.text_tokens // 4
        for line in reversed(recalled):
            line_ids = self._protocol.encode(f'({line})\n')
            left -= len(line_ids)
            if left < 0:
                break
            token_ids = [*line_ids, *token_ids]
        self._make_room(SpanKind.TEXT, len(token_ids))
        self._read_text(SpanKind.TEXT, token_ids)

    def speak(
        self,
        is_interrupted: Callable[[], bool],
        is_due: Callable[[], bool] = lambda: False,
        on_token: Callable[[Sequence[int]], None] = lambda _: None,
    ) -> Decoded:
        """
        Decode one segment, greedily, and leave it in the transcript as the protocol demands.

        :param is_interrupted: asked before each token; True: be quiet.
        :param is_due: asked before each token from the sixth on; True: the next unit waits, end
            the segment. The first five are said even where the network falls behind.
        :param on_token: takes what is said so far, after each token.
        :return: what was said.
        :raises FloatingPointError: when the network's scores are not finite numbers.
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
            if len(said) >= MIN_SEGMENT_TOKENS and is_due():
                break
            if unread:
                output = self._step_text(unread)
                unread = []
            token_id = self._best(output.lm_logits)
            if token_id in protocol.stop_ids:
                finished = token_id == protocol.token_ids.im_end
                break
            said.append(token_id)
            unread = [token_id]
            on_token(said)
        end = protocol.utterance_end if finished else protocol.segment_unfinished
        self._step_text([*unread, *end, *protocol.user_begin])
        num_tokens = self.cache.length - before
        self.transcript.append(SpanKind.TEXT, tokens=num_tokens, extent=num_tokens)
        return Decoded(tuple(said), finished)

    def _best(self, lm_logits: torch.Tensor) -> int:
        """Return the most probable token of those that can be said."""
        scores = lm_logits + self._speakable
        index = scores.argmax()
        # One transfer for both; a double holds every index.
        best, token_id = torch.stack([scores[index].double(), index.double()]).tolist()
        if not math.isfinite(best):
            raise FloatingPointError('the network gave scores of words that are not finite')
        return int(token_id)

    def _begin(self) -> None:
        self._read_text(SpanKind.SINK, self._protocol.stream_begin)

    def _read_standing(self, instruction: Instruction, *, beside: bool) -> None:
        token_ids = self._protocol.instruction(instruction.kind, instruction.text)
        kind = SpanKind.WATCH if beside else SpanKind.SINK
        self.transcript.check_standing(kind, len(token_ids))
        if beside:
            self._add_watch(instruction.id, token_ids)
        else:
            self._read_text(SpanKind.SINK, token_ids, name=instruction.id)

    def _add_watch(self, instruction_id: str, token_ids: Sequence[int]) -> None:
        """Put an instruction into the cache as if it followed the system prompt alone."""
        number = 1 + max(self._watches.values(), default=0)
        length, num_tokens = self.cache.length, len(token_ids)
        system = self.transcript.spans[0]
        mask = torch.zeros(num_tokens, length + num_tokens, dtype=torch.bool)
        mask[:, : system.tokens] = True
        mask[:, length:] = torch.ones(num_tokens, num_tokens, dtype=torch.bool).tril()
        positions, _ = text_positions(num_tokens, system.extent)
        self._engine.step(
            self._engine.embed(token_ids), positions, self.cache, mask=mask.to(self._engine.device)
        )
        self._owner[length : length + num_tokens] = number
        self.transcript.append(SpanKind.WATCH, tokens=num_tokens, extent=0, name=instruction_id)
        self._watches[instruction_id] = number

    def _mask(self, num_tokens: int, *, with_anchors: bool) -> torch.Tensor | None:
        """
        Return what new tokens, and the watches' anchors after them, may see.

        :return: bool ``[n + N, S + n + N]``; None: all up to themselves, where nothing stands
            beside the stream.
        """
        if not self._watches:
            return None
        numbers = list(self._watches.values()) if with_anchors else []
        length, end = self.cache.length, self.cache.length + num_tokens
        owner = self._owner[:length]
        rows = num_tokens + len(numbers)
        mask = torch.zeros(rows, length + rows, dtype=torch.bool, device=owner.device)
        mask[:, :length] = owner == 0
        mask[:, length:end] = True
        mask[:num_tokens, length:end].tril_()
        for index, number in enumerate(numbers):
            # As the unit's own anchor: it sees all of the unit before, and itself.
            row = num_tokens + index
            mask[row, :length] |= owner == number
            mask[row, end - 1] = False
            mask[row, end + index] = True
        return mask

    def _make_room(self, kind: SpanKind, tokens: int, *, seconds: int = 1) -> None:
        kept = self.transcript.make_room(kind, tokens, seconds=seconds)
        if kept is not None:
            self._keep(kept)

    def _keep(self, kept: Sequence[KeptRange]) -> None:
        self.cache.keep(kept)
        owner = torch.cat([self._owner[r.start : r.stop] for r in kept])
        self._owner.zero_()
        self._owner[: len(owner)] = owner

    def _read_text(self, kind: SpanKind, token_ids: Sequence[int], *, name: str = '') -> None:
        self._step_text(token_ids)
        self.transcript.append(kind, tokens=len(token_ids), extent=len(token_ids), name=name)

    def _step_text(self, token_ids: Sequence[int]) -> StepOutput:
        # Within a segment the transcript lags behind the cache; text takes one id a token.
        start = self.transcript.next_position + self.cache.length - self.transcript.length
        positions, _ = text_positions(len(token_ids), start)
        return self._engine.step(
            self._engine.embed(token_ids),
            positions,
            self.cache,
            mask=self._mask(len(token_ids), with_anchors=False),
        )


def _speakable(engine: Engine, protocol: Protocol) -> torch.Tensor:
    """Return 0 for each token that can be said or ends a segment, else -inf: ``[V]``."""
    tokenizer = protocol.tokenizer
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    bias = torch.zeros(engine.vocab_size, device=engine.device)
    bias[sorted(special - protocol.stop_ids)] = -torch.inf
    bias[tokenizer.get_vocab_size() :] = -torch.inf  # rows that only pad the table
    return bias
