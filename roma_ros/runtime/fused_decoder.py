"""
The decoder for running, not for training: the stock layers' weights, a third of their operations.

Of each layer, the projections to queries, keys and values are one matrix product, so are the MLP's
two; residuals are added within products; keys and values are read where the cache holds them,
never repeated for the query heads that share them. The results are those of transformers' layers
(Qwen2_5OmniThinkerTextModel), up to the order of floating-point sums.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from ..model.thinker import DecoderOutput, RomaModel
from .kv_cache import KVCache


@dataclass(frozen=True, eq=False)
class _Layer:
    """One layer's weights: ``[out, C]``, biases ``[out]``."""

    norm1: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor
    out: torch.Tensor
    norm2: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class FusedDecoder:
    """
    Reads tokens after those that a cache holds.

    The model's own parameters become views of the joined weights, so that they exist once; the
    model can be used as before.

    :param model: the network, in evaluation mode.
    """

    def __init__(self, model: RomaModel) -> None:
        decoder: Any = model.decoder
        text = model.config.thinker.text_config
        self._norm = decoder.norm
        self._rotary = decoder.rotary_emb
        self._eps: float = text.rms_norm_eps
        self._heads: int = text.num_attention_heads
        self._groups: int = text.num_key_value_heads
        self._num_mixed = model.config.speak_head.num_layers_mixed
        self._layers = [self._join(layer) for layer in decoder.layers]

    def _join(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        inputs = [attention.q_proj, attention.k_proj, attention.v_proj]
        return _Layer(
            norm1=layer.input_layernorm.weight.detach(),
            qkv=_joined([p.weight for p in inputs]),
            qkv_bias=_joined([p.bias for p in inputs]),
            out=attention.o_proj.weight.detach(),
            norm2=layer.post_attention_layernorm.weight.detach(),
            gate_up=_joined([mlp.gate_proj.weight, mlp.up_proj.weight]),
            down=mlp.down_proj.weight.detach(),
        )

    def forward(
        self,
        embeddings: torch.Tensor,
        position_ids: torch.Tensor,
        cache: KVCache,
        *,
        mask: torch.Tensor | None,
        num_anchors: int,
    ) -> DecoderOutput:
        """
        Read ``n`` tokens; see :meth:`RomaModel.forward_decoder`, whose batch here is one.

        :param embeddings: ``[n, C]``.
        :param position_ids: int64 ``[3, n]``.
        :param cache: written at its length, which stays.
        :param mask: bool ``[n, length + n]``, or None where every new token sees all.
        :param num_anchors: A.
        :return: the states at the anchors, their batch being one.
        """
        num_tokens, width = embeddings.shape
        cos, sin = self._rotary(embeddings, position_ids[:, None])
        half = cos.shape[-1] // 2
        cos = cos[0, :, None]  # [n, 1, D]
        sin = torch.cat([-sin[0, :, None, :half], sin[0, :, None, half:]], dim=-1)
        shared = self._heads // self._groups
        bias = None
        if mask is not None:
            bias = torch.zeros(mask.shape, dtype=embeddings.dtype, device=embeddings.device)
            bias.masked_fill_(~mask, -torch.inf)
            bias = bias.repeat(shared, 1)
        start, stop = cache.length, cache.length + num_tokens
        cache.check_room(num_tokens)
        rotated = self._heads + self._groups
        hidden, states = embeddings, []
        first_kept = len(self._layers) + 1 - self._num_mixed
        for index, layer in enumerate(self._layers):
            if index >= first_kept:
                states.append(hidden[-num_anchors:])
            normed = functional.rms_norm(hidden, (width,), layer.norm1, self._eps)
            qkv = functional.linear(normed, layer.qkv, layer.qkv_bias)
            heads = qkv.view(num_tokens, rotated + self._groups, -1)
            turned = heads[:, :rotated]
            turned = turned * cos + turned.roll(half, dims=-1) * sin
            key, value = cache.key[index], cache.value[index]
            key[:, start:stop] = turned[:, self._heads :].transpose(0, 1)
            value[:, start:stop] = heads[:, rotated:].transpose(0, 1)
            # The query heads that share a key head are rows of one attention.
            query = turned[:, : self._heads].unflatten(1, (self._groups, shared))
            query = query.permute(1, 2, 0, 3).reshape(1, self._groups, shared * num_tokens, -1)
            seen = functional.scaled_dot_product_attention(
                query, key[None, :, :stop], value[None, :, :stop], attn_mask=bias
            )
            seen = seen.view(self._groups, shared, num_tokens, -1).permute(2, 0, 1, 3)
            hidden = torch.addmm(hidden, seen.reshape(num_tokens, width), layer.out.T)
            normed = functional.rms_norm(hidden, (width,), layer.norm2, self._eps)
            gate, up = functional.linear(normed, layer.gate_up).chunk(2, dim=-1)
            hidden = torch.addmm(hidden, functional.silu(gate) * up, layer.down.T)
        last_hidden = self._norm(hidden[-num_anchors:])
        return DecoderOutput(torch.stack([*states, last_hidden])[:, None], last_hidden[None])


def _joined(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    """Join parameters along their first axis, and let each be a view of its part."""
    joined = torch.cat([p.detach() for p in parameters])
    for parameter, part in zip(
        parameters, joined.split([len(p) for p in parameters]), strict=True
    ):
        parameter.data = part
    return joined
