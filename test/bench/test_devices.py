from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from roma_ros.bench.devices import (
    BANDWIDTH_SHARE,
    COMPUTE_SHARE,
    DEVICES,
    estimate,
    guide,
    published_config,
    WEIGHT_BYTES,
)
from roma_ros.bench.roofline import decoder_work, Peak, towers_work

PAGE = Path(__file__).parents[2] / 'docs' / 'performance.md'


@pytest.fixture(scope='module')
def config():
    return published_config()


def test_the_published_network_has_as_many_weights_as_are_published(config):
    # Qwen2.5-7B: 6.53 billion without embeddings, and 152064 x 3584 of the lm head.
    decoder = decoder_work(config, new_tokens=0, length=0, weight_bytes=1, cache_bytes=0)
    assert decoder.num_bytes == pytest.approx(6.53e9 + 152_064 * 3584, rel=0.002)
    # Qwen2.5-Omni's towers: about 0.67 and 0.64 billion.
    towers = towers_work(config, patches=4, mel_frames=100, weight_bytes=1)
    assert towers.num_bytes == pytest.approx(1.31e9, rel=0.03)


def test_a_word_costs_its_bytes_and_a_unit_its_products(config):
    slow_memory, slow_products = Peak(1e15, 1e9), Peak(1e9, 1e15)
    word = estimate(config, slow_memory, precision='bfloat16', window_s=60).word_ms
    cache = 2 * 28 * 4 * 128 * 2 * 60 * 117
    assert word == pytest.approx(1e3 * (2 * 7.07e9 + cache) / (BANDWIDTH_SHARE * 1e9), rel=0.01)
    unit = estimate(config, slow_products, precision='bfloat16', window_s=1).unit_ms
    # Two operations a weight and token: 117 in the decoder, 352 patches, 50 frames of sound.
    flops = 2 * (117 * 6.53e9 + 352 * 0.63e9 + 50 * 0.64e9)
    assert unit == pytest.approx(1e3 * flops / (COMPUTE_SHARE * 1e9), rel=0.05)


def test_fewer_bits_and_a_shorter_window_never_cost_more(config):
    for device in DEVICES:
        by_bits = [
            estimate(config, device.peak, precision=name, window_s=60) for name in WEIGHT_BYTES
        ]
        for more, fewer in pairwise(by_bits):
            assert fewer.memory_gb < more.memory_gb
            assert fewer.word_ms < more.word_ms
            assert fewer.unit_ms <= more.unit_ms
        short = estimate(config, device.peak, precision='bfloat16', window_s=10)
        assert short.memory_gb < by_bits[0].memory_gb
        assert short.unit_ms < by_bits[0].unit_ms


def test_words_are_said_in_what_the_unit_leaves(config):
    found = estimate(config, DEVICES[0].peak, precision='int4', window_s=60)
    assert found.words_per_s == pytest.approx((1000 - found.unit_ms) / found.word_ms)
    assert replace(found, unit_ms=1500).words_per_s == 0


def test_the_page_shows_what_is_computed(config):
    page = PAGE.read_text(encoding='utf-8')
    for line in guide(config, window_s=60):
        assert line in page
