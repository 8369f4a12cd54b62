"""The step graph: the decoder over new tokens, with the cache updated in place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ...model.thinker import RomaModel
from .builder import GraphBuilder, joined
from .quantization import Quantization


def write_step(
    model: RomaModel,
    path: Path,
    *,
    dtype: torch.dtype,
    capacity: int | None,
    quantization: Quantization | None,
) -> None:
    """
    Write the graph of :meth:`Engine.step`.

    Inputs: ``embeddings`` ``[n, C]``, ``position_ids`` int64 ``[3, n]``, ``write_index`` int64
    ``[1]``, ``mask`` bool ``[1, 1, n, T]``, ``anchors`` int64 ``[A]`` (rows, the last one last),
    and for each layer ``past_key_i`` and ``past_value_i`` ``[1, G, capacity, D]``. Outputs:
    ``speak_logits`` float32 ``[A]``, ``lm_logits`` float32 ``[V]``, and ``key_i`` and ``value_i``,
    to be bound to the buffers of their inputs.

    Attention looks at the first T tokens of the cache alone, so that a cache that is nearly empty
    costs little; T is what the mask says, from ``write_index + n`` to the capacity.

    :param capacity: tokens of the cache; None: any.
    """
    config = model.config.thinker.text_config
    num_layers = config.num_hidden_layers
    with GraphBuilder(path, dtype=dtype, quantization=quantization) as graph:
        hidden = graph.input('embeddings', ['n', config.hidden_size])
        position_ids = graph.input('position_ids', [3, 'n'], torch.int64)
        write_index = graph.input('write_index', [1], torch.int64)
        mask = graph.input('mask', [1, 1, 'n', 'T'], torch.bool)
        anchors = graph.input('anchors', ['A'], torch.int64)
        attention = _CachedAttention(
            graph,
            config,
            capacity=capacity,
            rotary=_rotary(graph, model, position_ids),
            write_index=write_index,
            mask=mask,
        )
        first_kept = num_layers + 1 - model.config.speak_head.num_layers_mixed
        states = []
        for index, layer in enumerate(model.decoder.layers):
            with graph.scope(f'layers.{index}'):
                if index >= first_kept:
                    states.append(graph.op('Gather', hidden, anchors, axis=0))
                name = f'layers.{index}'
                normed = _norm(graph, hidden, f'{name}.input_norm', layer.input_layernorm)
                # Of the last layer, no more than the anchors' outputs is ever looked at.
                rows = anchors if index == num_layers - 1 else None
                attended = attention(normed, layer.self_attn, index, rows)
                if rows:
                    hidden = graph.op('Gather', hidden, rows, axis=0)
                hidden = graph.op('Add', hidden, attended)
                normed = _norm(graph, hidden, f'{name}.mlp_norm', layer.post_attention_layernorm)
                hidden = graph.op('Add', hidden, graph.swiglu(normed, f'{name}.mlp', layer.mlp))
        last_hidden = _norm(graph, hidden, 'norm', model.decoder.norm)
        _speak_head(graph, model, [*states, last_hidden])
        last = graph.op('Gather', last_hidden, graph.constant([-1]), axis=0)
        logits = graph.linear(last, 'lm_head', model.thinker.lm_head.weight, None)
        flat = graph.op('Reshape', logits, graph.constant([-1]))
        graph.cast(flat, torch.float32, output='lm_logits')
        graph.output('lm_logits', [config.vocab_size], torch.float32)
        graph.save()


class _CachedAttention:
    """Grouped-query attention over the cache, one layer a call."""

    def __init__(
        self,
        graph: GraphBuilder,
        config: Any,
        *,
        capacity: int | None,
        rotary: tuple[str, str],
        write_index: str,
        mask: str,
    ) -> None:
        self._graph = graph
        self._capacity = capacity or 'capacity'
        self._num_heads = config.num_attention_heads
        self._num_kv_heads = config.num_key_value_heads
        self._head_dim = config.hidden_size // config.num_attention_heads
        self._rotary = rotary
        self._write_index = write_index
        self._mask = mask
        self._visible = graph.op('Shape', mask, start=3, end=4)

    def __call__(self, x: str, layer: Any, index: int, rows: str | None) -> str:
        """
        Attend.

        :param x: ``[n, C]``, after the norm.
        :param layer: transformers' attention of the layer.
        :param index: of the layer.
        :param rows: which tokens ask, ``[A]``; None: all n.
        :return: ``[n or A, C]``.
        """
        graph, name = self._graph, f'layers.{index}'
        q_size = self._num_heads * self._head_dim
        kv_size = self._num_kv_heads * self._head_dim
        cos, sin = self._rotary
        if rows is None:
            projections = layer.q_proj, layer.k_proj, layer.v_proj
            both = graph.linear(x, *joined(f'{name}.qkv', *projections))
            q, k, v = graph.split(both, [q_size, kv_size, kv_size])
            q_cos, q_sin, mask = cos, sin, self._mask
        else:
            both = graph.linear(x, *joined(f'{name}.kv', layer.k_proj, layer.v_proj))
            k, v = graph.split(both, [kv_size, kv_size])
            asking = graph.op('Gather', x, rows, axis=0)
            q = graph.linear(asking, *joined(f'{name}.q', layer.q_proj))
            q_cos, q_sin = (graph.op('Gather', table, rows, axis=1) for table in (cos, sin))
            mask = graph.op('Gather', self._mask, rows, axis=2)
        q = graph.heads(q, self._num_heads, self._head_dim)
        k = graph.heads(k, self._num_kv_heads, self._head_dim)
        v = graph.heads(v, self._num_kv_heads, self._head_dim)
        q = graph.op('RotaryEmbedding', q, q_cos, q_sin)
        k = graph.op('RotaryEmbedding', k, cos, sin)
        keys, values = self._cached(k, f'key_{index}'), self._cached(v, f'value_{index}')
        attended = graph.op('Attention', q, keys, values, mask)
        return graph.linear(
            graph.side_by_side(attended, q_size), *joined(f'{name}.o', layer.o_proj)
        )

    def _cached(self, new: str, name: str) -> str:
        """Write into one buffer, and return as much of it as the mask speaks of."""
        graph = self._graph
        shape = [1, self._num_kv_heads, self._capacity, self._head_dim]
        past = graph.input(f'past_{name}', shape)
        buffer = graph.op('TensorScatter', past, new, self._write_index, axis=2, output=name)
        graph.output(name, shape)
        begin, axis = graph.constant([0]), graph.constant([2])
        return graph.op('Slice', buffer, begin, self._visible, axis)


def _rotary(graph: GraphBuilder, model: RomaModel, position_ids: str) -> tuple[str, str]:
    """Return cosines and sines of each token, ``[1, n, D / 2]``, made in float32."""
    rotary = model.decoder.rotary_emb
    # Which of time, height and width turns each frequency.
    axes = [section % 3 for section, size in enumerate(rotary.mrope_section) for _ in range(size)]
    of_frequency = graph.op('Gather', position_ids, graph.constant(axes), axis=0)
    of_token = graph.op('Transpose', graph.cast(of_frequency, torch.float32), perm=[1, 0])
    inv_freq = graph.constant(rotary.inv_freq.float().cpu().numpy(), torch.float32)
    angles = graph.op('Mul', of_token, inv_freq)
    cos, sin = (
        graph.op('Unsqueeze', graph.cast(graph.op(kind, angles), graph.dtype), graph.constant([0]))
        for kind in ('Cos', 'Sin')
    )
    return cos, sin


def _speak_head(graph: GraphBuilder, model: RomaModel, states: Sequence[str]) -> None:
    """Mix the last K states of the anchors and put out a logit for each."""
    head = model.speak_head
    mixed = ''
    for state, share in zip(states, torch.softmax(head.layer_logits.float(), 0), strict=True):
        part = graph.op('Mul', state, graph.constant(float(share)))
        mixed = graph.op('Add', mixed, part) if mixed else part
    if head.fc1 is not None:
        mixed = graph.op('Gelu', graph.linear(mixed, *joined('speak_head.fc1', head.fc1)))
    logits = graph.linear(mixed, *joined('speak_head.fc2', head.fc2))
    flat = graph.op('Reshape', logits, graph.constant([-1]))
    graph.cast(flat, torch.float32, output='speak_logits')
    graph.output('speak_logits', ['A'], torch.float32)


def _norm(graph: GraphBuilder, x: str, name: str, norm: Any) -> str:
    return graph.rms_norm(x, name, norm.weight, norm.variance_epsilon)
