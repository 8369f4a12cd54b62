from hypothesis import given, settings, strategies as st
import pytest
import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import apply_rotary_pos_emb

from roma_ros.runtime.kv_cache import KeptRange, KVCache

LAYERS, HEADS, DIM = 2, 2, 8
INV_FREQ = 1.0 / 10_000 ** (torch.arange(0, DIM, 2) / DIM)


def make_cache(capacity: int) -> KVCache:
    return KVCache(
        num_layers=LAYERS,
        num_kv_heads=HEADS,
        capacity=capacity,
        head_dim=DIM,
        inv_freq=INV_FREQ,
        dtype=torch.float32,
        device=torch.device('cpu'),
    )


def rotated(raw: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Rotate keys ``[1, G, n, D]`` by transformers' own function."""
    angle = positions[:, None].float() * INV_FREQ
    angle = torch.cat([angle, angle], dim=-1)[None]
    return apply_rotary_pos_emb(raw, raw, angle.cos(), angle.sin())[1]


def fill(cache: KVCache, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    raw, value = torch.randn(2, 1, HEADS, count, DIM)
    for layer in range(LAYERS):
        cache.update(rotated(raw, torch.arange(count)) * (layer + 1), value * (layer + 1), layer)
    cache.advance(count)
    return raw, value


def test_update_returns_all_tokens_up_to_the_new_end():
    cache = make_cache(5)
    first, second = torch.randn(2, 1, HEADS, 2, DIM)
    for layer in range(LAYERS):
        cache.update(first, first, layer)
    cache.advance(2)
    key, value = cache.update(second, -second, 1)
    assert torch.equal(key, torch.cat([first, second], dim=2))
    assert torch.equal(value, torch.cat([first, -second], dim=2))
    assert cache.length == 2  # until every layer has written


def test_a_full_cache_refuses_before_it_writes():
    cache = make_cache(3)
    fill(cache, 2)
    before = cache.key.clone()
    with pytest.raises(ValueError, match='2 tokens do not fit behind 2 in a cache of 3'):
        cache.update(*torch.randn(2, 1, HEADS, 2, DIM), 0)
    assert torch.equal(cache.key, before)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_kept_tokens_are_those_of_a_cache_that_never_held_the_others(kept):
    torch.manual_seed(0)
    cache = make_cache(len(kept))
    pointer = cache.key.data_ptr()
    raw, value = fill(cache, len(kept))
    indices = [i for i, keep in enumerate(kept) if keep]
    cache.keep([KeptRange(i, i + 1, i - new) for new, i in enumerate(indices)])
    expected = rotated(raw[:, :, indices], torch.arange(len(indices)))[0]
    assert cache.length == len(indices)
    assert cache.key.data_ptr() == pointer
    for layer in range(LAYERS):
        scale = layer + 1
        new = slice(0, cache.length)
        torch.testing.assert_close(
            cache.key[layer, :, new], expected * scale, rtol=1e-5, atol=1e-5
        )
        assert torch.equal(cache.value[layer, :, new], value[0][:, indices] * scale)


def test_without_a_shift_keys_move_bit_for_bit():
    cache = make_cache(9)
    fill(cache, 9)
    before = cache.key.clone()
    cache.keep([KeptRange(0, 2, 0), KeptRange(4, 9, 0)])  # the second overlaps its old place
    assert torch.equal(cache.key[:, :, :7], before[:, :, [0, 1, 4, 5, 6, 7, 8]])


def test_compaction_allocates_nothing():
    cache = make_cache(1000)
    fill(cache, 1000)
    ranges = [KeptRange(0, 10, 0), KeptRange(400, 1000, 390)]
    with torch.profiler.profile(profile_memory=True) as profile:
        cache.keep(ranges)
    allocated = sum(max(0, e.self_cpu_memory_usage) for e in profile.key_averages())
    assert cache.length == 610
    assert allocated <= 8 * len(ranges)  # a Python number becomes a tensor of one


def test_num_bytes_counts_both_buffers():
    assert make_cache(10).num_bytes == 2 * LAYERS * HEADS * 10 * DIM * 4
