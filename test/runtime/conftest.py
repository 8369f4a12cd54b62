from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from roma_ros.model.checkpoint import load_roma
from roma_ros.model.prompts import Protocol
from roma_ros.policy.instructions import InstructionKind
from roma_ros.policy.triggers import TriggerConfig
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
    return load_roma(ROMA_TINY)


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
