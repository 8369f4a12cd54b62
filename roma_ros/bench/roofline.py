"""
The least time that a device needs for a step: its floating-point work and the bytes that it moves.

Of the network's matrix products and attention alone: what norms, activations and rotations add is
some per cent. A step can be no faster than the slower of its work at the device's peak and its
bytes at the device's bandwidth (Williams et al. 2009).
"""

from collections.abc import Callable
from dataclasses import dataclass
import time

import torch

from ..model.config import RomaConfig

_REPEATS = 7


@dataclass(frozen=True)
class Work:
    """
    What a step asks of a device.

    :param flops: multiplications and additions.
    :param num_bytes: weights and cache read, new keys and values written [bytes].
    """

    flops: float
    num_bytes: float

    def __add__(self, other: 'Work') -> 'Work':
        return Work(self.flops + other.flops, self.num_bytes + other.num_bytes)


@dataclass(frozen=True)
class Peak:
    """
    What a device can do.

    :param flops: per second.
    :param bandwidth: reading memory [bytes/s].
    """

    flops: float
    bandwidth: float

    def least_s(self, work: Work) -> float:
        """Return the least time for ``work`` [s]."""
        return max(work.flops / self.flops, work.num_bytes / self.bandwidth)


def decoder_work(
    config: RomaConfig, *, new_tokens: int, length: int, weight_bytes: float, cache_bytes: float
) -> Work:
    """
    Return the work of reading tokens, logits of the last one included.

    :param config: sizes of the network.
    :param new_tokens: tokens read at once.
    :param length: tokens in the cache before.
    :param weight_bytes: bytes of one weight, 0.5 for int4.
    :param cache_bytes: bytes of one number in the cache.
    """
    text = config.thinker.text_config
    width, layers = text.hidden_size, text.num_hidden_layers
    head_dim = width // text.num_attention_heads
    kv_width = text.num_key_value_heads * head_dim
    in_layer = 2 * width * width + 2 * width * kv_width + 3 * width * text.intermediate_size
    weights, head = layers * in_layer, text.vocab_size * width
    seen = length + new_tokens
    attention = 4 * new_tokens * seen * width * layers
    cache = 2 * layers * kv_width * (seen + new_tokens)
    return Work(
        flops=2 * new_tokens * weights + 2 * head + attention,
        num_bytes=(weights + head) * weight_bytes + cache * cache_bytes,
    )


def towers_work(config: RomaConfig, *, patches: int, mel_frames: int, weight_bytes: float) -> Work:
    """
    Return the work of encoding one unit.

    :param config: sizes of the network.
    :param patches: of the unit's one temporal grid.
    :param mel_frames: of the unit's log-mel spectrogram.
    :param weight_bytes: bytes of one weight.
    """
    vision, audio = config.thinker.vision_config, config.thinker.audio_config
    hidden, merged = vision.hidden_size, vision.hidden_size * vision.spatial_merge_size**2
    embed = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * hidden
    blocks = vision.depth * (4 * hidden**2 + 3 * hidden * vision.intermediate_size)
    merger = merged * merged + merged * vision.out_hidden_size
    per_token = patches // vision.spatial_merge_size**2
    # As if every layer saw the whole frame: most see a window of it.
    attention = 4 * patches * patches * hidden * vision.depth
    flops = 2 * (patches * (embed + blocks) + per_token * merger) + attention
    weights = embed + blocks + merger

    width, frames = audio.d_model, mel_frames // 2
    first, second = 3 * audio.num_mel_bins * width, 3 * width * width
    layers = audio.encoder_layers * (4 * width**2 + 2 * width * audio.encoder_ffn_dim)
    out = width * audio.output_dim
    flops += 2 * (mel_frames * first + frames * (second + layers) + frames // 2 * out)
    flops += 4 * frames * frames * width * audio.encoder_layers
    weights += first + second + layers + out
    return Work(flops=flops, num_bytes=weights * weight_bytes)


def measure_peak(
    device: torch.device,
    dtype: torch.dtype,
    *,
    working_set: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Peak:
    """
    Measure what a device can do, with torch, on the threads that are set.

    :param device: which.
    :param dtype: of the matrix product.
    :param working_set: bytes that are read again and again: what fits into a CPU's cache is read
        faster than main memory, and so are a small network's weights.
    :param clock: tells the time [s].
    :return: the best of several tries.
    """
    size = 4096 if device.type == 'cuda' else 1024
    a, b = torch.randn((2, size, size), device=device).to(dtype)
    product = torch.empty_like(a)
    flops = 2 * size**3 / _least_s(lambda: torch.matmul(a, b, out=product), device, clock)
    memory = torch.ones(max(1, working_set // 4), device=device)
    bandwidth = memory.numel() * 4 / _least_s(lambda: torch.sum(memory), device, clock)
    return Peak(flops=flops, bandwidth=bandwidth)


def _least_s(
    call: Callable[[], object], device: torch.device, clock: Callable[[], float]
) -> float:
    least = float('inf')
    for _ in range(_REPEATS):
        begin = clock()
        call()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        least = min(least, clock() - begin)
    return least
