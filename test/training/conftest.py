"""Hand-made streams, and a network far smaller than roma-tiny, with its tokenizer."""

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
from roma_ros.model.prompts import Protocol
from roma_ros.model.thinker import build_roma, RomaModel
from roma_ros.training.tabletop.labels import (
    Alert,
    Event,
    Sound,
    Speech,
    TabletopStream,
    VisibleObject,
)

# Two threads wait for each other at every small product, ten times as long on a busy machine.
torch.set_num_threads(1)

ROMA_TINY = Path(__file__).parents[2] / 'models' / 'roma-tiny'


@pytest.fixture(scope='session')
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(ROMA_TINY / 'tokenizer.json'))


@pytest.fixture(scope='session')
def protocol(tokenizer: Tokenizer) -> Protocol:
    return Protocol(tokenizer)


@pytest.fixture
def small_roma(tokenizer: Tokenizer) -> RomaModel:
    """Return a network of its own for each test: tests train it."""
    token_ids = TokenIds.lookup(tokenizer.token_to_id)
    thinker = make_thinker_config(
        token_ids,
        text_config={
            'vocab_size': tokenizer.get_vocab_size(),
            'hidden_size': 48,
            'intermediate_size': 96,
            'num_hidden_layers': 4,
            # Large weights, so that a wrong position or mask shows in the logits.
            'initializer_range': 0.2,
            'num_attention_heads': 4,
            'num_key_value_heads': 2,
            'rope_parameters': {
                'rope_type': 'default',
                'rope_theta': 1e6,
                'mrope_section': [2, 2, 2],
            },
            'tie_word_embeddings': True,
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
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    config = RomaConfig(
        thinker=thinker,
        speak_head=SpeakHeadConfig(48),
        processor=ProcessorConfig(video_max_pixels=16_384),
        token_ids=token_ids,
    )
    return build_roma(config, seed=1)


@pytest.fixture(scope='session')
def speech() -> Callable[..., Speech]:
    def make(text: str, end_s: float, *, start_s: float | None = None) -> Speech:
        words = text.split()
        begin = end_s - 0.3 * len(words) if start_s is None else start_s
        step = (end_s - begin) / len(words)
        spans = tuple((w, begin + i * step, begin + (i + 1) * step) for i, w in enumerate(words))
        return Speech(text, 'voice', begin, end_s, spans)

    return make


@pytest.fixture(scope='session')
def make_stream(speech: Callable[..., Speech]) -> Callable[..., TabletopStream]:
    """Make a stream of noise in which a red ball lies on the left."""

    def make(seed: int = 0, *, duration_s: int = 5, **fields) -> TabletopStream:
        rng = np.random.default_rng(seed)
        frames = rng.integers(0, 256, (2 * duration_s, 120, 160, 3), dtype=np.uint8)
        values = {
            'seed': seed,
            'split': 'train',
            'duration_s': duration_s,
            'frame_at': lambda t: frames[round(2 * t)],
            'objects_at': lambda t: (
                VisibleObject(0, 'ball', 'red', 'big', (0.0, 0.5, 0.3, 1.0), 1.0),
            ),
            'audio': rng.standard_normal(16_000 * duration_s).astype(np.float32) * 0.1,
            'events': (Event(2.3, 'enters', 'ball', 'red', 'the red ball enters'),),
            'sounds': (Sound('bell', 1.2, 2.0),),
            'speech': (),
            'alerts': (
                Alert('you see a red ball', 'sight', ((1.3, 3.4),)),
                Alert('the bell rings', 'sound', ((1.2, 2.0),)),
            ),
            'questions': (),
            'narrate': False,
        }
        return TabletopStream(**{**values, **fields})

    return make
