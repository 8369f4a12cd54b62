from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
import runpy
from types import SimpleNamespace

import pytest
import torch

from roma_ros.model.checkpoint import load_roma, LoadedRoma
from roma_ros.model.processor import num_unit_tokens
from roma_ros.model.prompts import Protocol
from roma_ros.training.batching import collate, make_sample
from roma_ros.training.forward import forward_batch
from roma_ros.training.supervision import supervise_tabletop
from roma_ros.training.tabletop.generator import make_stream
from roma_ros.training.validation import best_f1


@pytest.fixture(scope='module')
def script(roma_tiny_folder: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(roma_tiny_folder.parent / 'make_roma_tiny.py')))


@pytest.fixture(scope='module')
def roma_tiny(roma_tiny_folder: Path) -> LoadedRoma:
    return load_roma(roma_tiny_folder)


def test_the_script_makes_what_was_trained(
    script: SimpleNamespace, roma_tiny_folder: Path, roma_tiny: LoadedRoma, tmp_path: Path
):
    script.main(tmp_path)

    files = {file.name for file in tmp_path.iterdir()}
    shipped = {file.name for file in roma_tiny_folder.iterdir()}
    assert shipped == files | {'README.md', 'triggers.json'}
    for name in files - {'model.safetensors'}:
        assert (tmp_path / name).read_bytes() == (roma_tiny_folder / name).read_bytes(), name
    untrained = load_roma(tmp_path).model.state_dict()
    trained = roma_tiny.model.state_dict()
    assert {k: v.shape for k, v in untrained.items()} == {k: v.shape for k, v in trained.items()}


def test_the_card_states_the_weights(roma_tiny_folder: Path, roma_tiny: LoadedRoma):
    card = (roma_tiny_folder / 'README.md').read_text(encoding='utf-8')
    digest = sha256((roma_tiny_folder / 'model.safetensors').read_bytes()).hexdigest()

    assert digest in card
    count = sum(p.numel() for p in roma_tiny.model.parameters())
    assert f'{count:,}' in card


def test_is_small_enough_to_ship(roma_tiny_folder: Path):
    size = sum(file.stat().st_size for file in roma_tiny_folder.iterdir())

    assert size < 12 * 2**20


def test_units_have_the_stated_length(roma_tiny: LoadedRoma, make_unit: Callable):
    height, width = roma_tiny.processor.target_size(480, 640)
    unit = make_unit(height=480, width=640)

    assert height // 28 * (width // 28) == 20
    assert num_unit_tokens(roma_tiny.processor(unit)) == 49


@torch.inference_mode()
def test_tells_when_something_happens(roma_tiny: LoadedRoma):
    """Events on plain backgrounds, without sound: what needs no package but OpenCV."""
    protocol = Protocol(roma_tiny.tokenizer)
    samples = []
    for seed in range(12):
        stream = make_stream(seed, split='validation', plain=True, audible=False)
        supervision = supervise_tabletop(replace(stream, narrate=True, questions=()))
        features = [roma_tiny.processor(stream.unit(i)) for i in range(stream.duration_s)]
        samples.append(make_sample(features, replace(supervision, watches=()), protocol))
    batch = collate(samples, protocol)

    logits = forward_batch(roma_tiny.model, batch).speak_logits.numpy().astype(float)

    labels = batch.speak_labels.numpy() > 0
    assert 0.2 < labels.mean() < 0.6
    assert best_f1(logits, labels) > 0.8


@torch.inference_mode()
def test_both_towers_tell_units_apart(script: SimpleNamespace, roma_tiny: LoadedRoma):
    units = list(script.synthetic_units(2))
    first, second = (roma_tiny.model.encode(roma_tiny.processor(unit)) for unit in units)

    changed = (first - second).abs().amax(dim=1)
    assert (changed[2:22] > 0.1).all()
    assert (changed[22:47] > 0.1).all()
    assert torch.equal(first[[0, 1, -2, -1]], second[[0, 1, -2, -1]])
