"""What the cache holds, span by span, and what leaves it when the window is full."""

from dataclasses import dataclass
from enum import Enum

from .kv_cache import KeptRange


class SpanKind(Enum):
    """What a span of the transcript is; it decides when the span is evicted."""

    SINK = 'sink'  #: system prompt and narration: never evicted
    WATCH = 'watch'  #: an alert beside the stream, at a position that does not move
    UNIT = 'unit'  #: one second of video and audio
    TEXT = 'text'  #: what was said: a question, or a segment of an utterance


@dataclass(frozen=True)
class Span:
    """
    Tokens that enter and leave the transcript together.

    :param kind: sink, unit or text.
    :param tokens: how many tokens.
    :param extent: how many position ids they take; the next span begins so much later.
    :param name: id of the instruction that it holds; empty: none.
    :param seconds: of the stream that a unit stands for: itself, and those missed before it.
    """

    kind: SpanKind
    tokens: int
    extent: int
    name: str = ''
    seconds: int = 1


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """
    How much of the stream a session remembers: seen and said have budgets of their own.

    :param window_s: seconds of video and audio.
    :param text_tokens: tokens of what was said.
    :param standing_tokens: tokens of all standing instructions.
    :param evict_fraction: share of a full budget that is evicted at once. Larger is cheaper,
        and keys are rotated back less often; smaller remembers more evenly.
    :param contiguous: rotate the kept keys back, so that positions stay contiguous and bounded
        for ever; False leaves them, as most systems do, and positions grow with the stream.
    :raises ValueError: when a value is out of its range.
    """

    window_s: int = 60
    text_tokens: int = 512
    standing_tokens: int = 512
    evict_fraction: float = 0.125
    contiguous: bool = True

    def __post_init__(self) -> None:
        if self.window_s < 1 or self.text_tokens < 64 or not 0.0 <= self.evict_fraction <= 1.0:
            raise ValueError(
                f'window_s is {self.window_s}, text_tokens {self.text_tokens}, evict_fraction '
                f'{self.evict_fraction}; expected at least 1, at least 64, and 0..1'
            )


class Transcript:
    """
    The spans in the cache, in order; its length is the cache's length, always.

    :param config: budgets.
    :param unit_tokens: tokens that a second of the window has room for.
    """

    def __init__(self, config: WindowConfig, *, unit_tokens: int) -> None:
        self._config = config
        self._max_tokens = {
            SpanKind.UNIT: config.window_s * unit_tokens,
            SpanKind.TEXT: config.text_tokens,
        }
        self.spans: list[Span] = []
        self.next_position = 0

    @property
    def length(self) -> int:
        """Return how many tokens all spans hold."""
        return sum(span.tokens for span in self.spans)

    @property
    def max_tokens(self) -> int:
        """Return how many tokens all may ever hold together, the system prompt left out."""
        return sum(self._max_tokens.values()) + self._config.standing_tokens

    def append(
        self, kind: SpanKind, *, tokens: int, extent: int, name: str = '', seconds: int = 1
    ) -> None:
        """Add a span at the end."""
        self.spans.append(Span(kind, tokens, extent, name, seconds))
        self.next_position += extent

    def check_standing(self, kind: SpanKind, tokens: int) -> None:
        """
        Refuse an instruction that does not fit beside those that stand.

        :param kind: sink or watch; a watch takes one token more, its anchor behind each unit.
        :raises ValueError: with what is taken and what is allowed.
        """
        tokens += kind is SpanKind.WATCH
        taken = sum(s.tokens + (s.kind is SpanKind.WATCH) for s in self.spans if s.name)
        if taken + tokens > self._config.standing_tokens:
            raise ValueError(
                f'the instruction takes {tokens} tokens beside {taken} of those that stand, at '
                f'most {self._config.standing_tokens} are allowed; shorten or remove one, or '
                'raise standing_tokens'
            )

    def remove(self, name: str) -> list[KeptRange]:
        """Take the instruction of that name out; return what stays."""
        return self._evict([span for span in self.spans if span.name == name])

    def make_room(
        self, kind: SpanKind, tokens: int, *, seconds: int = 1
    ) -> list[KeptRange] | None:
        """
        Evict the oldest spans of a kind, so that one more of ``tokens`` fits into its budget.

        :param kind: unit or text.
        :param tokens: size of the span to come.
        :param seconds: of the stream that it stands for, at most the window's.
        :return: what stays, for :meth:`KVCache.keep`; None where nothing has to go.
        :raises ValueError: when the span alone is larger than the budget.
        """
        limit = self._max_tokens[kind]
        if tokens > limit:
            raise ValueError(
                f'a {kind.value} of {tokens} tokens does not fit into a window of {limit}; '
                'raise window_s or text_tokens'
            )
        spans = [span for span in self.spans if span.kind is kind]
        sizes, lengths_s = [s.tokens for s in spans], [s.seconds for s in spans]
        max_s = self._config.window_s if kind is SpanKind.UNIT else sum(lengths_s) + seconds
        if sum(sizes) + tokens <= limit and sum(lengths_s) + seconds <= max_s:
            return None
        # Something has to go: evict a whole share, so that it is not the same at every unit.
        share = self._config.evict_fraction
        tokens_left = limit - max(tokens, int(limit * share))
        seconds_left = max_s - max(seconds, int(max_s * share))
        count = 0
        while sum(sizes[count:]) > tokens_left or sum(lengths_s[count:]) > seconds_left:
            count += 1
        return self._evict(spans[:count])

    def _evict(self, evicted: list[Span]) -> list[KeptRange]:
        gone = {id(span) for span in evicted}
        ranges: list[KeptRange] = []
        index = shift = 0
        for span in self.spans:
            stop = index + span.tokens
            if id(span) in gone:
                shift += span.extent if self._config.contiguous else 0
            else:
                own_shift = 0 if span.kind is SpanKind.WATCH else shift
                last = ranges[-1] if ranges else None
                if last and last.stop == index and last.shift == own_shift:
                    ranges[-1] = KeptRange(last.start, stop, own_shift)
                else:
                    ranges.append(KeptRange(index, stop, own_shift))
            index = stop
        self.spans = [span for span in self.spans if id(span) not in gone]
        self.next_position -= shift
        return ranges
