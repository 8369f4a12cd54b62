from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path

import pytest

from roma_ros.model.config import (
    ProcessorConfig,
    read_config,
    RomaConfig,
    SpeakHeadConfig,
    TOKEN_NAMES,
    TokenIds,
    write_config,
)


def test_token_ids_are_looked_up_by_name():
    names = list(TOKEN_NAMES.values())

    ids = TokenIds.lookup(lambda name: names.index(name))

    # Zero is an id like any other.
    assert ids.vision_bos == 0
    assert ids.endoftext == len(names) - 1


def test_names_every_missing_token():
    with pytest.raises(ValueError, match=r'has no <\|audio_bos\|>, <\|im_end\|>; ROMA needs'):
        TokenIds.lookup(lambda name: None if name in ('<|audio_bos|>', '<|im_end|>') else 5)


def test_thinker_holds_the_ids_that_its_defaults_leave_out(small_config: RomaConfig):
    ids = small_config.token_ids

    assert small_config.thinker.vision_start_token_id == ids.vision_bos
    assert small_config.thinker.vision_end_token_id == ids.vision_eos
    assert small_config.thinker.audio_token_id == ids.audio


@pytest.mark.parametrize('head_width', [None, 5, 0])
def test_round_trip(make_small_config: Callable[..., RomaConfig], tmp_path: Path, head_width):
    config = make_small_config(tie=True, head_width=head_width)

    write_config(config, tmp_path)
    again = read_config(tmp_path, config.token_ids)

    assert again.thinker.to_dict() == config.thinker.to_dict()
    assert (again.speak_head, again.processor) == (config.speak_head, config.processor)


def test_reads_what_processors_of_qwen_write(tmp_path: Path):
    values = {
        'image_mean': [0.5, 0.5, 0.5],
        'feature_size': 64,
        'chunk_length': 300,
        'feature_extractor_type': 'WhisperFeatureExtractor',
        'size': {'shortest_edge': 1568, 'longest_edge': 50_000},
    }

    config = ProcessorConfig.from_dict(values)

    assert config.image_mean == (0.5, 0.5, 0.5)
    assert (config.min_pixels, config.max_pixels) == (1568, 50_000)
    assert (config.feature_size, config.video_max_pixels) == (64, 65_536)


def test_reads_a_config_of_transformers_4(small_config: RomaConfig, tmp_path: Path):
    """The published config.json is from 4.50: other names, and fields that nobody reads now."""
    write_config(small_config, tmp_path)
    values = json.loads((tmp_path / 'config.json').read_text())
    thinker = values['thinker_config']
    rope = thinker['text_config'].pop('rope_parameters')
    thinker['text_config'] |= {
        'rope_theta': rope['rope_theta'],
        'rope_scaling': {
            'mrope_section': rope['mrope_section'],
            'rope_type': 'default',
            'type': 'default',
        },
        'init_std': 0.02,
    }
    del thinker['vision_config']['rope_parameters']
    thinker['vision_config'] |= {'in_chans': 3, 'spatial_patch_size': 14, 'embed_dim': 32}
    thinker['audio_config'] |= {'encoder_layerdrop': 0.0}
    thinker |= {'torch_dtype': 'bfloat16', 'vision_token_id': 3, 'gate_hidden_dim': 20}
    del values['speak_head_config']
    (tmp_path / 'config.json').write_text(json.dumps(values | {'talker_config': {}}))

    config = read_config(tmp_path, small_config.token_ids)

    text = config.thinker.text_config
    assert text.rope_parameters['mrope_section'] == [2, 2, 2]
    assert text.rope_parameters['rope_theta'] == 1e6
    assert config.thinker.vision_config.rope_parameters['rope_theta'] == 10_000
    assert (config.speak_head.width, config.speak_head.num_layers_mixed) == (20, 4)


def test_names_every_part_that_does_not_fit(small_config: RomaConfig):
    with pytest.raises(
        ValueError,
        match=r'hidden_size is 8, expected 48; processor\.feature_size is 80, expected 128',
    ):
        RomaConfig(
            small_config.thinker,
            SpeakHeadConfig(8),
            ProcessorConfig(feature_size=80),
            small_config.token_ids,
        )


def test_ids_of_another_tokenizer_do_not_fit(small_config: RomaConfig):
    ids = replace(small_config.token_ids, vision_bos=1)

    with pytest.raises(ValueError, match=r'vision_start_token_id is \d+, expected 1'):
        replace(small_config, token_ids=ids)


def test_a_head_cannot_mix_more_states_than_there_are(small_config: RomaConfig):
    with pytest.raises(ValueError, match='mixes 7 hidden states, but 5 layers have 6'):
        replace(small_config, speak_head=SpeakHeadConfig(48, num_layers_mixed=7))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'video_max_pixels': 100}, 'video_min_pixels 256 .* video_max_pixels 100'),
        ({'min_pixels': 10, 'max_pixels': 9}, 'min_pixels 10 .* max_pixels 9'),
        ({'sampling_rate': 8_000}, 'sampling_rate 8000 must be 16000'),
        ({'hop_length': 300}, 'a multiple of hop_length 300'),
    ],
)
def test_rejects_impossible_processors(values, message):
    with pytest.raises(ValueError, match=message):
        ProcessorConfig(**values)


def test_rejects_another_kind_of_model(tmp_path: Path, token_ids: TokenIds):
    (tmp_path / 'config.json').write_text(json.dumps({'model_type': 'llama'}))

    with pytest.raises(ValueError, match="model_type 'llama' is not a Qwen"):
        read_config(tmp_path, token_ids)


def test_says_when_there_is_no_config(tmp_path: Path, token_ids: TokenIds):
    with pytest.raises(FileNotFoundError, match='no config'):
        read_config(tmp_path, token_ids)
