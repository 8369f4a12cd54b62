"""Long steps read in turns, by engines whose steps have a largest size."""

from collections.abc import Callable, Iterator

import torch

from .engine import StepOutput
from .kv_cache import KVCache

#: Tokens that are read at a time at most; more are read in turns.
MAX_STEP_TOKENS = 512
#: Anchors of one step at most: the unit's own, and one for each watch.
MAX_ANCHORS = 64

#: Reads one turn: embeddings ``[n, C]``, positions ``[3, n]``, mask ``[n, length + n]`` or None,
#: and the number of anchors. Leaves the cache's length as it is.
Read = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None, int], StepOutput]


def read_in_turns(
    read: Read,
    embeddings: torch.Tensor,
    positions: torch.Tensor,
    cache: KVCache,
    *,
    mask: torch.Tensor | None,
    num_anchors: int,
    max_tokens: int = MAX_STEP_TOKENS,
) -> StepOutput:
    """
    Read any number of tokens and append them to the cache; see :meth:`Engine.step`.

    :param read: reads at most ``max_tokens``, of which as many as a step has may be anchors.
    :param embeddings: ``[n, C]``.
    :param positions: int64 ``[3, n]``.
    :param cache: advanced by n.
    :param mask: bool ``[n, length + n]``, or None.
    :param num_anchors: A, of the last turn.
    :param max_tokens: of one turn.
    :return: outputs at the anchors.
    :raises ValueError: when the tokens do not fit into the cache.
    """
    cache.check_room(len(embeddings))
    output: StepOutput | None = None
    for start, stop in _turns(len(embeddings), max_tokens):
        end = cache.length + stop - start
        output = read(
            embeddings[start:stop],
            positions[:, start:stop],
            None if mask is None else mask[start:stop, :end],
            num_anchors if stop == len(embeddings) else 1,
        )
        cache.advance(stop - start)
    assert output is not None
    return output


def _turns(num_tokens: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut a long step; the last part is the largest, since the anchors are in it."""
    start = 0
    while start < num_tokens:
        stop = start + ((num_tokens - start - 1) % most + 1)
        yield start, stop
        start = stop
