from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from roma_ros.model.checkpoint import load_roma, save_roma
from roma_ros.model.config import (
    make_thinker_config,
    ProcessorConfig,
    RomaConfig,
    SpeakHeadConfig,
)
from roma_ros.model.prompts import Protocol
from roma_ros.model.thinker import build_roma
from roma_ros.policy.instructions import InstructionKind
from roma_ros.policy.triggers import TriggerConfig
from roma_ros.runtime.export import export_model
from roma_ros.runtime.session import SessionConfig
from roma_ros.runtime.torch_engine import TorchEngine
from roma_ros.runtime.transcript import WindowConfig
from roma_ros.units.unit import MultimodalUnit, UNIT_NS

ROMA_TINY = Path(__file__).parents[2] / 'models' / 'roma-tiny'
# Two threads that wait for each other on busy cores take ten times as long as one.
torch.set_num_threads(1)

#: Triggers that a test decides about: the speak probability is never 0 or 1.
ALWAYS = TriggerConfig(threshold=1e-12, hysteresis=None)
NEVER = TriggerConfig(threshold=1 - 1e-12)


@pytest.fixture(scope='session')
def roma():
    """Return roma-tiny with drawn weights: it babbles, at probabilities around one half."""
    loaded = load_roma(ROMA_TINY)
    spec = spec_from_file_location('make_roma_tiny', ROMA_TINY.parent / 'make_roma_tiny.py')
    maker = module_from_spec(spec)
    spec.loader.exec_module(maker)
    maker.fill_weights(loaded.model, seed=maker.SEED)
    maker.spread_speak_head(loaded.model, Protocol(loaded.tokenizer))
    return loaded


@pytest.fixture(scope='session')
def drawn(roma, tmp_path_factory) -> Path:
    """Return the folder of roma-tiny with drawn weights."""
    folder = tmp_path_factory.mktemp('drawn') / 'roma-tiny'
    save_roma(roma.model, folder, tokenizer=roma.tokenizer)
    return folder


@pytest.fixture(scope='session')
def graphs(drawn, tmp_path_factory) -> Path:
    """roma-tiny with drawn weights as graphs, in float32, of any capacity."""
    folder = tmp_path_factory.mktemp('graphs') / 'roma-tiny'
    export_model(drawn, folder)
    return folder


@pytest.fixture(scope='session')
def make_checkpoint(roma, tmp_path_factory):
    """Write a small network of odd sizes, with random weights; return its folder."""

    def make(*, tie: bool = False, head_width: int | None = None, **text: Any) -> Path:
        config = RomaConfig(
            thinker=make_thinker_config(
                roma.config.token_ids,
                text_config={
                    'vocab_size': 2048,
                    'hidden_size': 48,
                    'intermediate_size': 80,
                    'num_hidden_layers': 5,
                    # Large weights, so that a wrong position or mask shows.
                    'initializer_range': 0.2,
                    'num_attention_heads': 4,
                    'num_key_value_heads': 2,
                    'rope_parameters': {
                        'rope_type': 'default',
                        'rope_theta': 1e4,
                        'mrope_section': [2, 3, 1],
                    },
                    **text,
                },
                vision_config={
                    'depth': 3,
                    'initializer_range': 0.2,
                    'hidden_size': 32,
                    'intermediate_size': 56,
                    'num_heads': 2,
                    'out_hidden_size': 48,
                    'fullatt_block_indexes': [1],
                },
                audio_config={
                    'encoder_layers': 2,
                    'initializer_range': 0.2,
                    'encoder_attention_heads': 2,
                    'encoder_ffn_dim': 56,
                    'd_model': 32,
                    'output_dim': 48,
                    'num_mel_bins': 128,
                },
                tie_word_embeddings=tie,
                initializer_range=0.2,
            ),
            speak_head=SpeakHeadConfig(48, intermediate_size=head_width),
            processor=ProcessorConfig(video_max_pixels=20_000),
            token_ids=roma.config.token_ids,
        )
        folder = tmp_path_factory.mktemp('checkpoint')
        save_roma(build_roma(config, seed=1), folder, tokenizer=roma.tokenizer)
        return folder

    return make


@pytest.fixture
def protocol(roma):
    return Protocol(roma.tokenizer)


@pytest.fixture
def engine(roma):
    return TorchEngine(roma.model)


@pytest.fixture(scope='session')
def make_unit():
    def make(index: int, *, video: bool = True) -> MultimodalUnit:
        rng = np.random.default_rng(index)
        start_ns = index * UNIT_NS
        return MultimodalUnit(
            index=index,
            start_ns=start_ns,
            end_ns=start_ns + UNIT_NS,
            frames=rng.integers(0, 255, (2 * video, 96, 128, 3), dtype=np.uint8),
            frame_stamps_ns=(start_ns, start_ns + UNIT_NS // 2) if video else (),
            audio=(rng.standard_normal(16000) * 0.1).astype(np.float32),
        )

    return make


@pytest.fixture(scope='session')
def session_config():
    """Make a config whose triggers fire at every unit (True), never (False), or by threshold."""

    def make(*, speak: bool, **fields) -> SessionConfig:
        window = {k: fields.pop(k) for k in list(fields) if k in WindowConfig.__annotations__}
        trigger = ALWAYS if speak else NEVER
        return replace(
            SessionConfig(triggers=dict.fromkeys(InstructionKind, trigger)),
            window=WindowConfig(**window),
            **fields,
        )

    return make


@pytest.fixture
def assert_streams_alike():
    """Return a check that two runs of a stream scored and said the same, within rounding."""

    def check(results, expected) -> None:
        for result, wanted in zip(results, expected, strict=True):
            assert [s.instruction.id for s in result.scores] == [
                s.instruction.id for s in wanted.scores
            ]
            for score, other in zip(result.scores, wanted.scores, strict=True):
                assert score.probability == pytest.approx(other.probability, abs=1e-4)
            assert [(s.text, s.final) for s in result.segments] == [
                (s.text, s.final) for s in wanted.segments
            ]

    return check
