"""
The decoder for running, not for training: the stock layers' weights, a third of their operations.

Of each layer, the projections to queries, keys and values are one matrix product, so are the MLP's
two; residuals are added within products; keys and values are read where the cache holds them,
never repeated for the query heads that share them. The results are those of transformers' layers
(Qwen2_5OmniThinkerTextModel), up to the order of floating-point sums.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..model.thinker import DecoderOutput, RomaModel
from .kv_cache import KVCache

#: Takes a layer's index, its new keys (rotated) and values, each ``[n, G, D]``; returns all keys
#: and values to attend to, each ``[G, S, D]``.
Store = Callable[[int, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class _Layer(nn.Module):
    """One layer's weights, joined where they have the same input."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention, mlp = layer.self_attn, layer.mlp
        self.norm1 = layer.input_layernorm.weight
        self.qkv = _joined([attention.q_proj, attention.k_proj, attention.v_proj])
        self.out = attention.o_proj
        self.norm2 = layer.post_attention_layernorm.weight
        self.gate_up = _joined([mlp.gate_proj, mlp.up_proj])
        self.down = mlp.down_proj


class FusedDecoder(nn.Module):
    """
    Reads tokens after those that a cache holds.

    The model's own parameters become views of the joined weights, so that they exist once; the
    model can be used as before.

    :param model: the network, in evaluation mode.
    """

    def __init__(self, model: RomaModel) -> None:
        super().__init__()
        decoder: Any = model.decoder
        text = model.config.thinker.text_config
        self._norm = decoder.norm
        self._rotary = decoder.rotary_emb
        self._eps: float = text.rms_norm_eps
        self._heads: int = text.num_attention_heads
        self._groups: int = text.num_key_value_heads
        self._num_mixed = model.config.speak_head.num_layers_mixed
        self._layers: Any = nn.ModuleList(_Layer(layer) for layer in decoder.layers)

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
        start, stop = cache.length, cache.length + len(embeddings)
        cache.check_room(len(embeddings))

        def store(
            index: int, new_key: torch.Tensor, new_value: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            key, value = cache.key[index], cache.value[index]
            key[:, start:stop] = new_key.transpose(0, 1)
            value[:, start:stop] = new_value.transpose(0, 1)
            return key[:, :stop], value[:, :stop]

        return self.read(
            embeddings, position_ids, store, mask=mask, anchors=slice(-num_anchors, None)
        )

    def read(
        self,
        embeddings: torch.Tensor,
        position_ids: torch.Tensor,
        store: Store,
        *,
        mask: torch.Tensor | None,
        anchors: slice | torch.Tensor,
    ) -> DecoderOutput:
        """
        Read ``n`` tokens, wherever their keys and values are kept.

        :param embeddings: ``[n, C]``.
        :param position_ids: int64 ``[3, n]``.
        :param store: keeps keys and values.
        :param mask: bool ``[n, S]``, or None where every new token sees all.
        :param anchors: which tokens' states are returned, as a slice or as int64 ``[A]``.
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
        rotated = self._heads + self._groups
        hidden, states = embeddings, []
        first_kept = len(self._layers) + 1 - self._num_mixed
        for index, layer in enumerate(self._layers):
            if index >= first_kept:
                states.append(hidden[anchors])
            normed = functional.rms_norm(hidden, (width,), layer.norm1, self._eps)
            heads = layer.qkv(normed).view(num_tokens, rotated + self._groups, -1)
            turned = heads[:, :rotated]
            turned = turned * cos + turned.roll(half, dims=-1) * sin
            key, value = store(index, turned[:, self._heads :], heads[:, rotated:])
            # The query heads that share a key head are rows of one attention.
            query = turned[:, : self._heads].unflatten(1, (self._groups, shared))
            query = query.permute(1, 2, 0, 3).reshape(1, self._groups, shared * num_tokens, -1)
            seen = functional.scaled_dot_product_attention(
                query, key[None], value[None], attn_mask=bias
            )
            seen = seen.view(self._groups, shared, num_tokens, -1).permute(2, 0, 1, 3)
            hidden = _add(hidden, layer.out, seen.reshape(num_tokens, width))
            normed = functional.rms_norm(hidden, (width,), layer.norm2, self._eps)
            gate, up = layer.gate_up(normed).chunk(2, dim=-1)
            hidden = _add(hidden, layer.down, functional.silu(gate) * up)
        last_hidden = self._norm(hidden[anchors])
        return DecoderOutput(torch.stack([*states, last_hidden])[:, None], last_hidden[None])


def _add(hidden: torch.Tensor, layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """Add what a layer without bias makes of ``x``, in its product where its weights are plain."""
    if type(layer.weight) is nn.Parameter:
        return torch.addmm(hidden, x, layer.weight.T)
    return hidden + layer(x)


def _joined(parts: list[nn.Linear]) -> nn.Linear:
    """Join layers that have the same input; the weights of each become views of its part."""
    sizes = [part.out_features for part in parts]
    has_bias = parts[0].bias is not None
    joined = nn.Linear(parts[0].in_features, sum(sizes), bias=has_bias, device='meta')
    for name in ('weight', 'bias') if has_bias else ('weight',):
        whole = torch.cat([getattr(part, name).detach() for part in parts])
        setattr(joined, name, nn.Parameter(whole, requires_grad=False))
        for part, view in zip(parts, whole.split(sizes), strict=True):
            getattr(part, name).data = view
    return joined
