from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from roma_ros.model.masks import causal_mask
from roma_ros.model.thinker import build_roma
from roma_ros.runtime.fused_decoder import FusedDecoder
from roma_ros.runtime.torch_engine import TorchEngine


@pytest.fixture(scope='module', params=[(4, 2), (4, 4), (6, 1)], ids=str)
def model(roma, request):
    """A small random network with so many query heads and key heads."""
    config = deepcopy(roma.config)
    text = config.thinker.text_config
    text.num_attention_heads, text.num_key_value_heads = request.param
    text.num_hidden_layers, text.layer_types = 3, ['full_attention'] * 3
    text.hidden_size = 48 * request.param[0]
    text.rope_parameters = {**text.rope_parameters, 'mrope_section': [6, 9, 9]}
    config.thinker.audio_config.output_dim = text.hidden_size
    config.thinker.vision_config.out_hidden_size = text.hidden_size
    head = replace(config.speak_head, hidden_size=text.hidden_size, num_layers_mixed=3)
    built = build_roma(replace(config, speak_head=head), seed=1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 0.15)
    return built


@torch.inference_mode()
def test_reads_as_the_stock_layers_do(model):
    torch.manual_seed(0)
    width = model.config.thinker.text_config.hidden_size
    embeddings = torch.randn(30, width)
    positions = torch.randint(0, 100, (3, 30))
    expected = model.forward_decoder(
        embeddings[None], positions[:, None], mask=causal_mask(30, 30), num_anchors=12
    )
    decoder = FusedDecoder(model)
    cache = TorchEngine(model).new_cache(40)
    for begin, end in ((0, 18), (18, 19), (19, 30)):
        mask = causal_mask(end - begin, end)[0, 0] if end - begin > 1 else None
        output = decoder.forward(
            embeddings[begin:end],
            positions[:, begin:end],
            cache,
            mask=mask,
            num_anchors=min(12, end - begin),
        )
        cache.advance(end - begin)
    last = slice(-11, None)
    torch.testing.assert_close(
        output.anchor_states, expected.anchor_states[:, :, last], rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        output.last_hidden, expected.last_hidden[:, last], rtol=1e-4, atol=1e-4
    )


def test_the_weights_exist_once_and_the_model_stays_as_it_was(model):
    twin = deepcopy(model)
    decoder = FusedDecoder(twin)
    for layer, joined in zip(twin.decoder.layers, decoder._layers, strict=True):
        attention, mlp = layer.self_attn, layer.mlp
        for parts, whole in (
            ([attention.q_proj, attention.k_proj, attention.v_proj], joined.qkv.weight),
            ([mlp.gate_proj, mlp.up_proj], joined.gate_up.weight),
        ):
            storage = whole.untyped_storage().data_ptr()
            assert {p.weight.untyped_storage().data_ptr() for p in parts} == {storage}
    before = model.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in twin.state_dict().items())


@torch.inference_mode()
def test_a_full_cache_refuses_before_it_writes(model):
    decoder = FusedDecoder(model)
    cache = TorchEngine(model).new_cache(3)
    width = model.config.thinker.text_config.hidden_size
    with pytest.raises(ValueError, match='4 tokens do not fit behind 0 in a cache of 3'):
        decoder.forward(
            torch.ones(4, width), torch.zeros(3, 4).long(), cache, mask=None, num_anchors=1
        )
    assert not cache.key.any()
