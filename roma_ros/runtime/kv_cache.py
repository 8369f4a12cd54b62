"""The static key-value cache: allocated once, compacted in place, positions rotated back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

#: Tokens of one layer that are moved at a time when the cache is compacted.
SCRATCH_TOKENS = 128


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
    :param spare: tokens that the buffers have room for beyond the capacity, for engines that
        write padding somewhere.
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
        spare: int = 0,
    ) -> None:
        shape = (num_layers, num_kv_heads, capacity + spare, head_dim)
        self._capacity = capacity
        self.key = torch.zeros(shape, dtype=dtype, device=device)
        self.value = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0
        # Of both halves of a head, ``[D]``.
        self._inv_freq = inv_freq.to(device=device, dtype=torch.float32).repeat(2)
        self._cos, self._sin = torch.empty_like(self._inv_freq), torch.empty_like(self._inv_freq)
        self._scratch = torch.empty(
            (2, num_kv_heads, SCRATCH_TOKENS, head_dim), dtype=torch.float32, device=device
        )

    @property
    def capacity(self) -> int:
        """Return how many tokens fit."""
        return self._capacity

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
        self.check_room(key_states.shape[2])
        stop = self.length + key_states.shape[2]
        self.key[layer_idx, :, self.length : stop] = key_states[0]
        self.value[layer_idx, :, self.length : stop] = value_states[0]
        return self.key[None, layer_idx, :, :stop], self.value[None, layer_idx, :, :stop]

    def check_room(self, num_tokens: int) -> None:
        """
        Refuse new tokens that do not fit.

        :raises ValueError: when they do not.
        """
        if self.length + num_tokens > self.capacity:
            raise ValueError(
                f'{num_tokens} tokens do not fit behind {self.length} in a cache of '
                f'{self.capacity}; evict first'
            )

    def advance(self, num_tokens: int) -> None:
        """Count tokens that every layer has written."""
        self.length += num_tokens

    def keep(self, ranges: Sequence[KeptRange]) -> None:
        """
        Evict every token outside of ``ranges``; move the rest together and rotate its keys back.

        Allocates nothing: what moves passes through scratch memory of the cache's own. RoPE is a
        rotation by position: a key at position p becomes the key at p - shift by a further
        rotation by -shift, for each frequency alike on all mrope axes.

        :param ranges: in order, without overlap.
        """
        end = 0
        for kept in ranges:
            if kept.shift:
                torch.mul(self._inv_freq, -kept.shift, out=self._cos)
                torch.sin(self._cos, out=self._sin)
                self._cos.cos_()
            if kept.shift or end != kept.start:
                for key, value in zip(self.key, self.value, strict=True):
                    self._move(key, kept, end, is_key=bool(kept.shift))
                    self._move(value, kept, end, is_key=False)
            end += kept.stop - kept.start
        self.length = end

    def _move(self, states: torch.Tensor, kept: KeptRange, end: int, *, is_key: bool) -> None:
        """
        Move one layer's tokens towards the begin, by way of the scratch memory.

        :param states: ``[G, S, D]``.
        :param kept: where they are.
        :param end: where they go, at or before ``kept.start``.
        :param is_key: rotate them on the way, by the angles at hand.
        """
        half = states.shape[-1] // 2
        for start in range(kept.start, kept.stop, SCRATCH_TOKENS):
            size = min(SCRATCH_TOKENS, kept.stop - start)
            moved, turned = self._scratch[:, :, :size]
            moved.copy_(states[:, start : start + size])
            if is_key:
                torch.neg(moved[..., half:], out=turned[..., :half])
                turned[..., half:].copy_(moved[..., :half])
                moved.mul_(self._cos).addcmul_(turned, self._sin)
            states[:, end : end + size].copy_(moved)
            end += size

    def reset(self) -> None:
        """Forget every token; the buffers stay."""
        self.length = 0
        # Engines whose shapes are few read on, masked, and a mask leaves no number what it is.
        self.key.zero_()
        self.value.zero_()
