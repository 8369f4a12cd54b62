"""A network far smaller than roma-tiny, with roma-tiny's tokenizer, for fast tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
import torch

from roma_ros.model.config import (
    make_thinker_config,
    ProcessorConfig,
    RomaConfig,
    SpeakHeadConfig,
    TokenIds,
)
from roma_ros.model.thinker import build_roma, RomaModel
from roma_ros.units.unit import MultimodalUnit, UNIT_NS

# Two threads wait for each other at every small product, ten times as long on a busy machine.
torch.set_num_threads(1)

ROMA_TINY = Path(__file__).parents[2] / 'models' / 'roma-tiny'


@pytest.fixture(scope='session')
def roma_tiny_folder() -> Path:
    return ROMA_TINY


@pytest.fixture(scope='session')
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(ROMA_TINY / 'tokenizer.json'))


@pytest.fixture(scope='session')
def token_ids(tokenizer: Tokenizer) -> TokenIds:
    return TokenIds.lookup(tokenizer.token_to_id)


@pytest.fixture(scope='session')
def make_small_config(token_ids: TokenIds) -> Callable[..., RomaConfig]:
    def make(*, tie: bool = False, head_width: int | None = None) -> RomaConfig:
        thinker = make_thinker_config(
            token_ids,
            text_config={
                'vocab_size': 2048,
                'hidden_size': 48,
                'intermediate_size': 96,
                'num_hidden_layers': 5,
                # Large weights, so that a wrong position or mask shows in the logits.
                'initializer_range': 0.2,
                'num_attention_heads': 4,
                'num_key_value_heads': 2,
                'rope_parameters': {
                    'rope_type': 'default',
                    'rope_theta': 1e6,
                    'mrope_section': [2, 2, 2],
                },
            },
            vision_config={
                'depth': 2,
                'initializer_range': 0.2,
                'hidden_size': 32,
                'intermediate_size': 64,
                'num_heads': 2,
                'out_hidden_size': 48,
                'fullatt_block_indexes': [1],
            },
            audio_config={
                'encoder_layers': 2,
                'initializer_range': 0.2,
                'encoder_attention_heads': 2,
                'encoder_ffn_dim': 64,
                'd_model': 32,
                'output_dim': 48,
                'num_mel_bins': 128,
            },
            tie_word_embeddings=tie,
            initializer_range=0.2,
        )
        return RomaConfig(
            thinker=thinker,
            speak_head=SpeakHeadConfig(48, intermediate_size=head_width),
            processor=ProcessorConfig(video_max_pixels=20_000),
            token_ids=token_ids,
        )

    return make


@pytest.fixture(scope='session')
def small_config(make_small_config: Callable[..., RomaConfig]) -> RomaConfig:
    return make_small_config()


@pytest.fixture(scope='session')
def small_roma(small_config: RomaConfig) -> RomaModel:
    return build_roma(small_config, seed=1)


@pytest.fixture(scope='session')
def make_unit() -> Callable[..., MultimodalUnit]:
    def make(
        index: int = 0, *, num_frames: int = 2, height: int = 120, width: int = 160
    ) -> MultimodalUnit:
        rng = np.random.default_rng(index)
        start = index * UNIT_NS
        return MultimodalUnit(
            index=index,
            start_ns=start,
            end_ns=start + UNIT_NS,
            frames=rng.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8),
            frame_stamps_ns=tuple(start + i * UNIT_NS // 2 for i in range(num_frames)),
            audio=(0.1 * rng.standard_normal(16_000)).astype(np.float32),
        )

    return make
