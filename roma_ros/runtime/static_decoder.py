"""The decoder with shapes that do not change: what torch.compile and CUDA graphs want."""

from collections.abc import Sequence

import torch
from torch import nn

from ..model.thinker import RomaModel
from .fused_decoder import FusedDecoder
from .step_turns import MAX_ANCHORS


class StaticDecoder(nn.Module):
    """
    One step as a function of tensors: nothing in it depends on how many tokens are real.

    Where tokens are fewer than the shape has room for, the rest is padding: its keys and values
    go to the last slot of the cache's buffers, which nobody reads.

    :param model: the network, in evaluation mode.
    :param decoder: over its weights.
    """

    def __init__(self, model: RomaModel, decoder: FusedDecoder) -> None:
        super().__init__()
        self._decoder = decoder
        self._lm_head = model.thinker.lm_head
        self._speak_head = model.speak_head

    def forward(
        self,
        embeddings: torch.Tensor,
        position_ids: torch.Tensor,
        counts: torch.Tensor,
        allowed: torch.Tensor,
        keys: Sequence[torch.Tensor],
        values: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Read up to ``n`` tokens behind up to ``S - n``.

        :param embeddings: ``[n, C]``.
        :param position_ids: int64 ``[3, n]``.
        :param counts: int64 ``[3]``: tokens in the cache; new ones, of which there is at least
            one; and 1 where ``allowed`` counts, else 0.
        :param allowed: bool ``[n, S]``, which tokens each new one may see of those up to itself.
        :param keys: for each layer ``[G, capacity + 1, D]``, written in place.
        :param values: likewise.
        :return: the speak head's logits of the last tokens, float32 ``[min(n, 64)]``, and the lm
            head's of the last one, ``[V]``.
        """
        (num_rows, _), span = embeddings.shape, allowed.shape[1]
        start, num_tokens, is_masked = counts.unbind()
        rows = torch.arange(num_rows, device=embeddings.device)
        is_real = rows < num_tokens
        slots = torch.where(is_real, start + rows, keys[0].shape[1] - 1)
        seen = torch.arange(span, device=embeddings.device) <= (start + rows)[:, None]
        # Padding sees something, too: a softmax over nothing is no number.
        seen = seen & (allowed | ~is_real[:, None] | (is_masked == 0))

        def store(
            index: int, new_key: torch.Tensor, new_value: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            keys[index].index_copy_(1, slots, new_key.transpose(0, 1))
            values[index].index_copy_(1, slots, new_value.transpose(0, 1))
            return keys[index][:, :span], values[index][:, :span]

        num_anchors = min(num_rows, MAX_ANCHORS)
        anchors = num_tokens - num_anchors + torch.arange(num_anchors, device=embeddings.device)
        output = self._decoder.read(
            # What is left of earlier steps behind the real tokens may be no numbers.
            torch.where(is_real[:, None], embeddings, 0),
            position_ids,
            store,
            mask=seen,
            anchors=anchors.clamp(min=0),
        )
        speak_logits = self._speak_head(output.anchor_states)[0].float()
        return speak_logits, self._lm_head(output.last_hidden[0, -1:])[0]


def spans(capacity: int, *, smallest: int = 1024) -> list[int]:
    """
    Return over how much of a cache attention is compiled: all, a half, a quarter, and so on.

    :param capacity: of the cache [tokens].
    :param smallest: shorter ones are not worth a graph of their own [tokens].
    :return: ascending.
    """
    result = [capacity]
    while result[0] // 2 >= smallest:
        result.insert(0, -(-result[0] // 2))
    return result
