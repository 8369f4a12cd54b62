from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
import re
import runpy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from roma_ros.model.checkpoint import load_roma, LoadedRoma
from roma_ros.model.processor import num_unit_tokens
from roma_ros.model.prompts import Protocol


@pytest.fixture(scope='module')
def script(roma_tiny_folder: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(roma_tiny_folder.parent / 'make_roma_tiny.py')))


@pytest.fixture(scope='module')
def roma_tiny(roma_tiny_folder: Path) -> LoadedRoma:
    return load_roma(roma_tiny_folder)


def test_the_script_makes_what_is_shipped(
    script: SimpleNamespace, roma_tiny_folder: Path, tmp_path: Path
):
    script.main(tmp_path)

    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == [
        'config.json',
        'model.safetensors',
        'preprocessor_config.json',
        'tokenizer.json',
    ]
    for name in files:
        assert (tmp_path / name).read_bytes() == (roma_tiny_folder / name).read_bytes(), name


def test_the_card_states_the_weights(roma_tiny_folder: Path, roma_tiny: LoadedRoma):
    card = (roma_tiny_folder / 'README.md').read_text(encoding='utf-8')
    digest = sha256((roma_tiny_folder / 'model.safetensors').read_bytes()).hexdigest()

    assert digest in card
    count = sum(p.numel() for p in roma_tiny.model.parameters())
    assert f'{count:,}' in card
    assert re.search('untrained', card)


def test_is_small_enough_to_ship(roma_tiny_folder: Path):
    size = sum(file.stat().st_size for file in roma_tiny_folder.iterdir())

    assert size < 12 * 2**20


def test_units_have_the_stated_length(roma_tiny: LoadedRoma, make_unit: Callable):
    height, width = roma_tiny.processor.target_size(480, 640)
    unit = make_unit(height=480, width=640)

    assert height // 28 * (width // 28) == 20
    assert num_unit_tokens(roma_tiny.processor(unit)) == 49


def test_the_speak_probability_is_spread(script: SimpleNamespace, roma_tiny: LoadedRoma):
    """An untrained head would say the same of every unit; this one crosses thresholds."""
    logits = script.speak_logits(roma_tiny.model, Protocol(roma_tiny.tokenizer), num_units=40)

    probabilities = 1 / (1 + np.exp(-logits))
    assert 0.35 < probabilities.mean() < 0.65
    assert probabilities.std() > 0.1


@torch.inference_mode()
def test_both_towers_tell_units_apart(script: SimpleNamespace, roma_tiny: LoadedRoma):
    units = list(script.synthetic_units(2))
    first, second = (roma_tiny.model.encode(roma_tiny.processor(unit)) for unit in units)

    changed = (first - second).abs().amax(dim=1)
    assert (changed[2:22] > 0.1).all()
    assert (changed[22:47] > 0.1).all()
    assert torch.equal(first[[0, 1, -2, -1]], second[[0, 1, -2, -1]])
