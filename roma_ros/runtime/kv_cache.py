"""The static key-value cache: allocated once, compacted in place, positions rotated back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

#: Tokens of one layer that are moved at a time when the cache is compacted.
SCRATCH_TOKENS = 128
#: Buffers that grow do so by an eighth, in whole multiples of so many tokens.
GROWTH_TOKENS = 128


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
    Keys and values of one transcript, in memory that never moves and never grows.

    ``key`` and ``value`` are ``[L, G, S, D]``, where S is the capacity. With ``grows`` it is
    little more than the cache has held so far, for engines that go through all of S:
    :meth:`make_room` lays the heads out anew, further apart, where it finds no room. What lies
    behind ``length`` counts for nothing, but has to be finite: such engines multiply it by zero.

    Engines write at ``length`` and then call :meth:`advance`. Stock transformers attention does
    the former through :meth:`update`, so this object stands where it expects its own cache.

    :param num_layers: L.
    :param num_kv_heads: G.
    :param capacity: tokens that fit.
    :param head_dim: D.
    :param inv_freq: float32 ``[D / 2]``, the model's rotary frequencies.
    :param dtype: of keys and values.
    :param device: where they live.
    :param grows: lay the buffers out for what they hold.
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
        grows: bool = False,
    ) -> None:
        self.capacity = capacity
        self.length = 0
        self.key: torch.Tensor
        self.value: torch.Tensor
        self._shape = (num_layers, num_kv_heads, -1, head_dim)
        size = num_layers * num_kv_heads * capacity * head_dim
        self._memory = torch.zeros((2, size), dtype=dtype, device=device)
        self._lay_out(min(capacity, GROWTH_TOKENS) if grows else capacity)
        # Of both halves of a head, ``[D]``.
        self._inv_freq = inv_freq.to(device=device, dtype=torch.float32).repeat(2)
        self._cos, self._sin = torch.empty_like(self._inv_freq), torch.empty_like(self._inv_freq)
        self._scratch = torch.empty(
            (2, num_kv_heads, SCRATCH_TOKENS, head_dim), dtype=torch.float32, device=device
        )

    @property
    def extent(self) -> int:
        """Return S, the tokens that the buffers are laid out for."""
        return self.key.shape[2]

    @property
    def num_bytes(self) -> int:
        """Return the size of both buffers, for all of the capacity [bytes]."""
        return self._memory.numel() * self._memory.element_size()

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
        self.make_room(key_states.shape[2])
        stop = self.length + key_states.shape[2]
        self.key[layer_idx, :, self.length : stop] = key_states[0]
        self.value[layer_idx, :, self.length : stop] = value_states[0]
        return self.key[None, layer_idx, :, :stop], self.value[None, layer_idx, :, :stop]

    def make_room(self, num_tokens: int) -> None:
        """
        Refuse new tokens that do not fit; lay the buffers out anew where they are too small.

        :raises ValueError: when they do not.
        """
        if self.length + num_tokens > self.capacity:
            raise ValueError(
                f'{num_tokens} tokens do not fit behind {self.length} in a cache of '
                f'{self.capacity}; evict first'
            )
        if self.length + num_tokens > self.extent:
            wanted = max(self.length + num_tokens, self.length * 9 // 8)
            self._lay_out(min(self.capacity, -(-wanted // GROWTH_TOKENS) * GROWTH_TOKENS))

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
        """Forget every token, also what is not a finite number; the memory stays."""
        self.length = 0
        self.key.zero_()
        self.value.zero_()

    def _lay_out(self, extent: int) -> None:
        """Give each head of each layer room for so many tokens, more than before."""
        held = [buffer.flatten(0, 1) for buffer in (self.key, self.value)] if self.length else []
        self.key, self.value = (
            buffer[: extent * buffer.numel() // self.capacity].view(self._shape)
            for buffer in self._memory
        )
        # The last head first: each goes to where nothing lies any more but of those behind it.
        for old, new in zip(held, (self.key, self.value), strict=False):
            rows = new.flatten(0, 1)
            for index in reversed(range(1, len(rows))):
                # By way of a copy: a head's new place may overlap its old one.
                rows[index, : self.length] = old[index, : self.length].clone()
