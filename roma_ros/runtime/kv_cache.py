"""The static key-value cache: allocated once, compacted in place, positions rotated back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class KeptRange:
    """
    Tokens that stay when others are evicted.

    :param start: first kept token's index in the cache.
    :param stop: index after the last one.
    :param shift: how far its positions move towards zero; all three mrope axes move alike, so
        that the places within a frame stay as they are.
    """

    start: int
    stop: int
    shift: int


class KVCache:
    """
    Keys and values of one transcript in buffers that never move and never grow.

    Engines write at ``length`` and then call :meth:`advance`. Stock transformers attention does
    the former through :meth:`update`, so this object stands where it expects its own cache.

    :param num_layers: L.
    :param num_kv_heads: G.
    :param capacity: tokens that fit.
    :param head_dim: D.
    :param inv_freq: float32 ``[D / 2]``, the model's rotary frequencies.
    :param dtype: of keys and values.
    :param device: where they live.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_kv_heads: int,
        capacity: int,
        head_dim: int,
        inv_freq: torch.Tensor,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (num_layers, num_kv_heads, capacity, head_dim)
        self.key = torch.zeros(shape, dtype=dtype, device=device)
        self.value = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0
        self._inv_freq = inv_freq.to(device=device, dtype=torch.float32)

    @property
    def capacity(self) -> int:
        """Return how many tokens fit."""
        return self.key.shape[2]

    @property
    def num_bytes(self) -> int:
        """Return the size of both buffers [bytes]."""
        return 2 * self.key.numel() * self.key.element_size()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Write one layer's new tokens behind the cached ones; ``length`` stays until advance.

        :param key_states: ``[1, G, n, D]``, already rotated.
        :param value_states: ``[1, G, n, D]``.
        :param layer_idx: which layer, 0..L-1.
        :return: views of all keys and values up to the new end, each ``[1, G, length + n, D]``.
        :raises ValueError: when they do not fit.
        """
        stop = self.length + key_states.shape[2]
        if stop > self.capacity:
            raise ValueError(
                f'{key_states.shape[2]} tokens do not fit behind {self.length} in a cache of '
                f'{self.capacity}; evict first'
            )
        self.key[layer_idx, :, self.length : stop] = key_states[0]
        self.value[layer_idx, :, self.length : stop] = value_states[0]
        return self.key[None, layer_idx, :, :stop], self.value[None, layer_idx, :, :stop]

    def advance(self, num_tokens: int) -> None:
        """Count tokens that every layer has written."""
        self.length += num_tokens

    def keep(self, ranges: Sequence[KeptRange]) -> None:
        """
        Evict every token outside of ``ranges``; move the rest together and rotate its keys back.

        RoPE is a rotation by position: a key at position p becomes the key at p - shift by a
        further rotation by -shift, for each frequency alike on all mrope axes.

        :param ranges: in order, without overlap.
        """
        end = 0
        for kept in ranges:
            size = kept.stop - kept.start
            source, target = slice(kept.start, kept.stop), slice(end, end + size)
            for key, value in zip(self.key, self.value, strict=True):  # bounds the scratch memory
                if kept.shift:
                    key[:, target] = self._rotated(key[:, source], -kept.shift)
                elif end != kept.start:
                    key[:, target] = key[:, source].clone()
                if end != kept.start:
                    value[:, target] = value[:, source].clone()
            end += size
        self.length = end

    def _rotated(self, key: torch.Tensor, by: int) -> torch.Tensor:
        angle = torch.cat([self._inv_freq, self._inv_freq]) * by  # [D]
        x = key.to(torch.float32)
        half = x.shape[-1] // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
        return (x * angle.cos() + turned * angle.sin()).to(key.dtype)

    def reset(self) -> None:
        """Forget every token; the buffers stay."""
        self.length = 0
