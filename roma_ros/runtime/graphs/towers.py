"""The vision and audio graphs, and the table of token embeddings."""

from pathlib import Path
from typing import Any

import torch

from ...model.thinker import RomaModel
from .builder import GraphBuilder, joined
from .quantization import Quantization

#: Columns of a unit's log-mel spectrogram.
MEL_FRAMES = 100


def write_vision(
    model: RomaModel, path: Path, *, dtype: torch.dtype, quantization: Quantization | None
) -> None:
    """
    Write the graph from patches to video tokens.

    Inputs: ``patches`` float32 ``[P, channels * 2 * 14 * 14]``, in blocks of 2 x 2;
    ``coordinates`` int64 ``[2, P]``, row and column of each patch; ``windows`` int64 ``[P]``,
    which window a patch is in. Output: ``video`` ``[P / 4, C]``. Patches stay in their order, and
    layers that look at windows do so by a mask, where transformers sorts and splits them.
    """
    tower = model.thinker.model.visual
    config = model.config.thinker.vision_config
    head_dim = config.hidden_size // config.num_heads
    merged = config.spatial_merge_size**2
    kernel = tower.patch_embed.proj.weight
    with GraphBuilder(path, dtype=dtype, quantization=quantization) as graph:
        patches = graph.input('patches', ['P', kernel[0].numel()], torch.float32)
        coordinates = graph.input('coordinates', [2, 'P'], torch.int64)
        windows = graph.input('windows', ['P'], torch.int64)
        row, column = (graph.op('Unsqueeze', windows, graph.constant([axis])) for axis in (1, 0))
        mask = graph.op('Unsqueeze', graph.op('Equal', row, column), graph.constant([0, 1]))
        cos, sin = _axial_rotary(graph, tower.rotary_pos_emb.inv_freq, coordinates)
        # A convolution over patches that lie side by side is a product.
        hidden = graph.linear(
            graph.cast(patches, dtype), 'patch_embed', kernel.reshape(len(kernel), -1), None
        )
        for index, block in enumerate(tower.blocks):
            name = f'blocks.{index}'
            with graph.scope(name):
                x = _rms_norm(graph, hidden, f'{name}.norm1', block.norm1)
                attention = block.attn
                sizes = [config.hidden_size] * 3
                both = joined(f'{name}.qkv', attention.q, attention.k, attention.v)
                q, k, v = (
                    graph.heads(part, config.num_heads, head_dim)
                    for part in graph.split(graph.linear(x, *both), sizes)
                )
                q, k = (graph.op('RotaryEmbedding', part, cos, sin) for part in (q, k))
                is_full = index in tower.fullatt_block_indexes
                x = graph.op('Attention', q, k, v, *([] if is_full else [mask]))
                x = graph.side_by_side(x, config.hidden_size)
                x = graph.linear(x, *joined(f'{name}.proj', attention.proj))
                hidden = graph.op('Add', hidden, x)
                x = _rms_norm(graph, hidden, f'{name}.norm2', block.norm2)
                hidden = graph.op('Add', hidden, graph.swiglu(x, f'{name}.mlp', block.mlp))
        merger = tower.merger
        x = _rms_norm(graph, hidden, 'merger.norm', merger.ln_q)
        x = graph.op('Reshape', x, graph.constant([-1, merged * config.hidden_size]))
        x = graph.op('Gelu', graph.linear(x, *joined('merger.fc1', merger.mlp[0])))
        graph.linear(x, *joined('merger.fc2', merger.mlp[2]), output='video')
        graph.output('video', ['V', config.out_hidden_size])
        graph.save()


def write_audio(
    model: RomaModel, path: Path, *, dtype: torch.dtype, quantization: Quantization | None
) -> None:
    """
    Write the graph from a second of sound to audio tokens.

    Input: ``mel`` float32 ``[bands, 100]``. Output: ``audio`` ``[25, C]``.
    """
    tower = model.thinker.model.audio_tower
    config = model.config.thinker.audio_config
    width, num_heads = config.d_model, config.encoder_attention_heads
    with GraphBuilder(path, dtype=dtype, quantization=quantization) as graph:
        mel = graph.input('mel', [config.num_mel_bins, MEL_FRAMES], torch.float32)
        x = graph.op('Unsqueeze', graph.cast(mel, dtype), graph.constant([0]))
        for name, layer, stride in (('conv1', tower.conv1, 1), ('conv2', tower.conv2, 2)):
            weight = graph.weight(f'{name}.weight', layer.weight)
            bias = graph.weight(f'{name}.bias', layer.bias)
            x = graph.op('Conv', x, weight, bias, kernel_shape=[3], pads=[1, 1], strides=[stride])
            x = graph.op('Gelu', x)
        x = graph.op('Transpose', graph.op('Squeeze', x, graph.constant([0])), perm=[1, 0])
        positions = tower.positional_embedding.positional_embedding[: MEL_FRAMES // 2]
        hidden = graph.op('Add', x, graph.weight('positions', positions))
        for index, layer in enumerate(tower.layers):
            name = f'layers.{index}'
            with graph.scope(name):
                x = _layer_norm(graph, hidden, f'{name}.norm1', layer.self_attn_layer_norm)
                x = _audio_attention(graph, x, name, layer.self_attn, num_heads, width)
                hidden = graph.op('Add', hidden, x)
                x = _layer_norm(graph, hidden, f'{name}.norm2', layer.final_layer_norm)
                x = graph.op('Gelu', graph.linear(x, *joined(f'{name}.fc1', layer.fc1)))
                x = graph.linear(x, *joined(f'{name}.fc2', layer.fc2))
                hidden = graph.op('Add', hidden, x)
        # The mean of each two neighbours in time.
        pairs = graph.op('Reshape', hidden, graph.constant([-1, 2, width]))
        pooled = graph.op('ReduceMean', pairs, graph.constant([1]), keepdims=0)
        x = _layer_norm(graph, pooled, 'ln_post', tower.ln_post)
        graph.linear(x, *joined('proj', tower.proj), output='audio')
        graph.output('audio', [MEL_FRAMES // 4, config.output_dim])
        graph.save()


def write_embed(model: RomaModel, path: Path, *, dtype: torch.dtype) -> None:
    """
    Write the table of token embeddings as a graph.

    Input: ``token_ids`` int64 ``[n]``. Output: ``embeddings`` ``[n, C]``.
    """
    table = model.decoder.embed_tokens.weight
    with GraphBuilder(path, dtype=dtype) as graph:
        token_ids = graph.input('token_ids', ['n'], torch.int64)
        stored = graph.weight('embed_tokens', table)
        graph.op('Gather', stored, token_ids, axis=0, output='embeddings')
        graph.output('embeddings', ['n', table.shape[1]])
        graph.save()


def _axial_rotary(
    graph: GraphBuilder, inv_freq: torch.Tensor, coordinates: str
) -> tuple[str, str]:
    """Return cosines and sines, ``[1, P, D / 2]``: rows turn one half, columns the other."""
    numbers = graph.cast(graph.op('Transpose', coordinates, perm=[1, 0]), torch.float32)
    table = graph.constant(inv_freq.float().cpu().numpy(), torch.float32)
    apart = graph.op('Mul', graph.op('Unsqueeze', numbers, graph.constant([2])), table)
    angles = graph.op('Reshape', apart, graph.constant([1, -1, 2 * len(inv_freq)]))
    cos, sin = (graph.cast(graph.op(kind, angles), graph.dtype) for kind in ('Cos', 'Sin'))
    return cos, sin


def _audio_attention(
    graph: GraphBuilder, x: str, name: str, layer: Any, num_heads: int, width: int
) -> str:
    layers = layer.q_proj, layer.k_proj, layer.v_proj
    weight = torch.cat([part.weight.detach() for part in layers])
    # Whisper's keys have no bias.
    bias = torch.cat(
        [torch.zeros(width) if part.bias is None else part.bias.detach() for part in layers]
    )
    both = graph.linear(x, f'{name}.qkv', weight, bias)
    parts = graph.split(both, [width] * 3)
    q, k, v = (graph.heads(part, num_heads, width // num_heads) for part in parts)
    attended = graph.side_by_side(graph.op('Attention', q, k, v), width)
    return graph.linear(attended, *joined(f'{name}.o', layer.out_proj))


def _rms_norm(graph: GraphBuilder, x: str, name: str, norm: Any) -> str:
    return graph.rms_norm(x, name, norm.weight, norm.variance_epsilon)


def _layer_norm(graph: GraphBuilder, x: str, name: str, norm: Any) -> str:
    weight = graph.weight(f'{name}.weight', norm.weight)
    bias = graph.weight(f'{name}.bias', norm.bias)
    return graph.op('LayerNormalization', x, weight, bias, axis=-1, epsilon=norm.eps)
