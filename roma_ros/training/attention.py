"""
Attention of long sequences with masks, and of many short ones, fast on a CPU.

Both are registered with transformers, whose layers run them; they change speed, not results.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from ..model.thinker import RomaModel

#: The stock layers hand all segments over at once only to what calls itself flash attention.
_SEGMENTS = 'flash_attention_2_segments'
_BLOCKS = 'roma_blocks'
#: Rows of the causal mask in one block: what lies right of it is never computed.
_BLOCK_TOKENS = 256
#: What a masked score gets; below it, bfloat16 still tells numbers apart.
_MASKED = -1e4


def attend_segments(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """
    Attend within segments of one sequence, all segments of one length in one product.

    :param query: ``[1, H, S, D]``, as are key and value.
    :param cu_seq_lens_q: begins of the segments, and the end: ``[segments + 1]``.
    :return: ``[1, S, H, D]``.
    """
    begins, lengths = cu_seq_lens_q[:-1].long(), cu_seq_lens_q.diff()
    output = torch.empty_like(query[0].transpose(0, 1))
    for length in lengths.unique().tolist():
        rows = (begins[lengths == length, None] + torch.arange(length, device=query.device)).view(
            -1
        )
        # [1, H, S, D] to [segments, H, length, D]
        q, k, v = (
            x[0].transpose(0, 1)[rows].unflatten(0, (-1, length)).transpose(1, 2)
            for x in (query, key, value)
        )
        # Short segments: two plain products beat the fused kernel on a CPU, in bfloat16 by far.
        weights = torch.softmax(torch.matmul(q * scaling, k.transpose(2, 3)), dim=-1).to(v.dtype)
        attended = torch.matmul(weights, v).transpose(1, 2).flatten(0, 1)
        output = output.index_copy(0, rows, attended)
    return output[None], None


def attend_blocks(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """
    Attend under a mask that lets no token look ahead, block by block of rows.

    In bfloat16 two plain products are used, which on a CPU take a third of the fused kernel's
    time, forward and backward.

    :param query: ``[B, H, T, D]``.
    :param key: ``[B, K, T, D]``, as is value.
    :param attention_mask: added to the scores, ``[B, 1, T, T]``: 0, or less where a token may not
        look; nothing right of the diagonal may be looked at.
    :return: ``[B, T, H, D]``.
    """
    assert attention_mask is not None
    if torch.is_autocast_enabled(query.device.type):
        # The rotary angles are float32, and so are queries and keys after them.
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    batch, heads, length, width = query.shape
    kv_heads = key.shape[1]
    groups = heads // kv_heads
    outputs = []
    for begin in range(0, length, _BLOCK_TOKENS):
        end = min(begin + _BLOCK_TOKENS, length)
        mask = attention_mask[:, :, begin:end, :end]
        k, v = key[:, :, :end], value[:, :, :end]
        q = query[:, :, begin:end]
        if query.dtype == torch.bfloat16:
            q = (q * scaling).reshape(batch, kv_heads, groups * (end - begin), width)
            scores = torch.matmul(q, k.transpose(2, 3)).view(batch, kv_heads, groups, -1, end)
            weights = torch.softmax(scores + mask[:, :, None], dim=-1, dtype=scores.dtype)
            attended = torch.matmul(weights.flatten(2, 3), v).view(batch, heads, -1, width)
        else:
            k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
            attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
        outputs.append(attended)
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def additive_mask(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """
    Turn a mask of what may be seen into what is added to scores.

    :param mask: bool, true where a token may look.
    :param dtype: of the scores.
    :return: 0 there, and a large negative number elsewhere.
    """
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, _MASKED)


@contextmanager
def fast_attention(model: RomaModel) -> Iterator[None]:
    """Let the model's layers use these functions; they take the stock ones again afterwards."""
    thinker = model.thinker.model
    configs = {
        id(c): (c, name)
        for c, name in (
            (thinker.visual.config, _SEGMENTS),
            (thinker.audio_tower.config, _SEGMENTS),
            (thinker.language_model.config, _BLOCKS),
        )
    }
    before = {key: config._attn_implementation for key, (config, _) in configs.items()}
    try:
        for config, name in configs.values():
            config._attn_implementation = name
        yield
    finally:
        for key, (config, _) in configs.items():
            config._attn_implementation = before[key]


AttentionInterface.register(_SEGMENTS, attend_segments)
AttentionInterface.register(_BLOCKS, attend_blocks)
