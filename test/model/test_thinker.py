from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from roma_ros.model.config import (
    make_thinker_config,
    ProcessorConfig,
    RomaConfig,
    SpeakHeadConfig,
    TokenIds,
)
from roma_ros.model.masks import causal_mask
from roma_ros.model.positions import text_positions, unit_positions
from roma_ros.model.processor import UnitFeatures, UnitProcessor
from roma_ros.model.thinker import build_roma, RomaModel

PROMPT = [3, 141, 59, 26, 5]
QUESTION = [35, 89, 79]


def stream_features(model: RomaModel, make_unit: Callable) -> list[UnitFeatures]:
    """Units of several shapes, one of them without video."""
    processor = UnitProcessor(model.config.processor)
    units = [
        make_unit(0),
        make_unit(1, height=100, width=300),
        make_unit(2, num_frames=0),
        make_unit(3, num_frames=1),
    ]
    return [processor(unit) for unit in units]


def unit_ids(features: UnitFeatures, ids: TokenIds) -> list[int]:
    begin, video, end = [], [], []
    if features.grid_thw is not None:
        video = [ids.video] * (features.grid_thw[1] * features.grid_thw[2] // 4)
        begin, end = [ids.vision_bos], [ids.vision_eos]
    return [*begin, ids.audio_bos, *video, *[ids.audio] * 25, ids.audio_eos, *end]


@torch.inference_mode()
def test_unit_by_unit_equals_one_forward_of_the_stock_thinker(
    small_roma: RomaModel, make_unit: Callable
):
    """
    Explicit positions, a growing cache and our encode against the raw stream in one piece.

    The stock thinker gets ids, patches and one row of mel frames a unit, and makes its own
    positions.
    """
    model = small_roma
    all_features = stream_features(model, make_unit)
    token_ids: list[int] = list(PROMPT)
    anchors = []
    for features in all_features:
        token_ids += unit_ids(features, model.token_ids)
        anchors.append(len(token_ids) - 1)
        token_ids += QUESTION
    with_video = [f for f in all_features if f.grid_thw is not None]
    stock = model.thinker(
        input_ids=torch.tensor([token_ids]),
        attention_mask=torch.ones(1, len(token_ids), dtype=torch.long),
        pixel_values_videos=torch.cat([torch.from_numpy(f.pixel_values) for f in with_video]),
        video_grid_thw=torch.tensor([f.grid_thw for f in with_video]),
        video_second_per_grid=torch.ones(len(with_video)),
        input_features=torch.stack([torch.from_numpy(f.mel) for f in all_features]),
        feature_attention_mask=torch.ones(len(all_features), 100, dtype=torch.long),
        use_audio_in_video=True,
        output_hidden_states=True,
    )
    mixed = torch.stack(stock.hidden_states[-4:])[:, 0, anchors]

    cache = DynamicCache()
    position, length = 0, 0
    speak_logits, lm_logits = [], []

    def step(embeddings: torch.Tensor, positions: np.ndarray) -> None:
        nonlocal length
        length += len(embeddings)
        output = model.forward_decoder(
            embeddings[None],
            torch.from_numpy(positions)[:, None],
            cache,
            mask=causal_mask(len(embeddings), length),
        )
        speak_logits.append(model.speak_logits(output.anchor_states)[:, 0])
        lm_logits.append(model.lm_logits(output.last_hidden)[:, 0])

    positions, position = text_positions(len(PROMPT), position)
    step(model.embed_tokens(torch.tensor(PROMPT)), positions)
    speak_logits.clear()
    lm_logits.clear()
    for features in all_features:
        positions, position = unit_positions(features.grid_thw, 25, position)
        step(model.encode(features), positions)
        # Text goes one token at a time, without a mask, as in decoding.
        for token_id in QUESTION:
            positions, position = text_positions(1, position)
            length += 1
            model.forward_decoder(
                model.embed_tokens(torch.tensor([[token_id]])),
                torch.from_numpy(positions)[:, None],
                cache,
            )

    torch.testing.assert_close(
        torch.cat(speak_logits), model.speak_logits(mixed), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(torch.cat(lm_logits), stock.logits[0, anchors], atol=1e-5, rtol=0)
    assert length == len(token_ids)


@torch.inference_mode()
@pytest.mark.parametrize('num_mixed', [1, 4, 6])
def test_anchor_states_are_the_last_hidden_states(small_config: RomaConfig, num_mixed: int):
    config = RomaConfig(
        small_config.thinker,
        SpeakHeadConfig(48, num_layers_mixed=num_mixed),
        small_config.processor,
        small_config.token_ids,
    )
    model = build_roma(config, seed=2)
    embeddings = torch.randn(2, 9, 48)
    positions = torch.arange(9).expand(3, 2, 9)

    output = model.forward_decoder(embeddings, positions)

    stock = model.decoder(
        inputs_embeds=embeddings, position_ids=positions, output_hidden_states=True
    ).hidden_states
    torch.testing.assert_close(
        output.anchor_states, torch.stack(stock[-num_mixed:])[:, :, -1:], atol=1e-6, rtol=0
    )
    torch.testing.assert_close(output.last_hidden, stock[-1][:, -1:], atol=1e-6, rtol=0)


@torch.inference_mode()
def test_each_unit_is_encoded_alone(small_roma: RomaModel, make_unit: Callable):
    """Encoding holds no state: the same unit gives the same embeddings after any other."""
    processor = UnitProcessor(small_roma.config.processor)
    first, other = processor(make_unit(0)), processor(make_unit(1))

    before = small_roma.encode(first)
    small_roma.encode(other)

    assert torch.equal(small_roma.encode(first), before)


@torch.inference_mode()
def test_a_unit_without_audio_has_only_video(small_roma: RomaModel, make_unit: Callable):
    features = UnitProcessor(small_roma.config.processor)(make_unit(0))
    ids = small_roma.token_ids

    embeddings = small_roma.encode(UnitFeatures(features.pixel_values, features.grid_thw, None))

    assert features.grid_thw is not None
    assert len(embeddings) == features.grid_thw[1] * features.grid_thw[2] // 4 + 2
    wrappers = small_roma.embed_tokens(torch.tensor([ids.vision_bos, ids.vision_eos]))
    assert torch.equal(embeddings[[0, -1]], wrappers)


def test_rejects_a_unit_with_nothing_in_it(small_roma: RomaModel):
    with pytest.raises(ValueError, match='needs video or audio'):
        small_roma.encode(UnitFeatures(None, None, None))


def test_causal_mask_is_aligned_to_the_end():
    assert causal_mask(2, 4)[0, 0].tolist() == [[True, True, True, False], [True] * 4]


def test_seed_decides_the_weights(small_config: RomaConfig):
    state = torch.random.get_rng_state()

    first, same, other = (build_roma(small_config, seed=seed) for seed in (1, 1, 2))

    for (name, a), b in zip(first.state_dict().items(), same.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(first.thinker.lm_head.weight, other.thinker.lm_head.weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_7b_fits_on_the_meta_device():
    """Names and shapes of the published size: transformers' defaults are those of the 7B."""
    ids = TokenIds(
        vision_bos=151652,
        vision_eos=151653,
        audio_bos=151647,
        audio_eos=151648,
        video=151656,
        audio=151646,
        image=151655,
        im_start=151644,
        im_end=151645,
        endoftext=151643,
    )
    config = RomaConfig(
        make_thinker_config(
            ids, text_config={}, vision_config={'hidden_size': 1280}, audio_config={}
        ),
        SpeakHeadConfig(3584),
        ProcessorConfig(),
        ids,
    )
    with torch.device('meta'):
        model = RomaModel(config)

    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert sum(p.numel() for p in model.speak_head.parameters()) == 3_213_061
    assert sum(p.numel() for p in model.parameters()) == 8_935_026_949
    text = 'thinker.model.language_model'
    assert shapes[f'{text}.embed_tokens.weight'] == [152064, 3584]
    assert shapes[f'{text}.layers.27.self_attn.k_proj.weight'] == [512, 3584]
    assert shapes[f'{text}.layers.27.mlp.down_proj.weight'] == [3584, 18944]
    assert f'{text}.layers.28.mlp.down_proj.weight' not in shapes
    assert shapes['thinker.lm_head.weight'] == [152064, 3584]
    assert shapes['thinker.model.visual.merger.mlp.2.weight'] == [3584, 5120]
    assert shapes['thinker.model.audio_tower.conv1.weight'] == [1280, 128, 3]
    assert shapes['thinker.model.audio_tower.proj.weight'] == [3584, 1280]
    decoder = sum(p.numel() for p in model.decoder.parameters())
    assert decoder + model.thinker.lm_head.weight.numel() == 7_615_616_512
    with torch.device('meta'):
        output = model.forward_decoder(
            torch.empty(1, 117, 3584), torch.empty(3, 1, 117, dtype=torch.long)
        )
    assert output.anchor_states.shape == (4, 1, 1, 3584)
