from dataclasses import replace
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
import torch

from roma_ros.model.checkpoint import load_roma, save_roma
from roma_ros.training.curriculum import Phase, TrainConfig
from roma_ros.training.trainer import Trainer


@pytest.fixture
def config(small_roma, tokenizer, tmp_path) -> TrainConfig:
    """Return a plan of all three phases, a few steps each, for a network far too small."""
    save_roma(small_roma, tmp_path / 'begin', tokenizer=tokenizer)
    common = {'streams': 1, 'duration_s': 8, 'learning_rate': 1e-3, 'warmup_steps': 1}
    return TrainConfig(
        model=str(tmp_path / 'begin'),
        fresh=True,
        workers=0,
        validate_every=2,
        validation_streams=1,
        checkpoint_every=2,
        phases=(
            Phase(name='towers', objective='towers', steps=2, **common),
            Phase(name='answers', objective='answers', steps=2, tower_weight=0.3, **common),
            Phase(name='speak', objective='speak', steps=3, accumulate=2, **common),
        ),
    )


class _StoppedError(Exception):
    pass


def test_interrupted_and_resumed_equals_uninterrupted(config: TrainConfig, tmp_path: Path):
    whole = Trainer(config, tmp_path / 'whole').run()
    calls = 0

    def stop_in_the_third_phase(line: str) -> None:
        nonlocal calls
        calls += 'speak 2 validation' in line
        if calls:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        Trainer(config, tmp_path / 'parts', report=stop_in_the_third_phase).run()
    # Stopped before the checkpoint of step 2: it goes on from the end of the second phase.
    assert not (tmp_path / 'parts' / 'model').exists()
    parts = Trainer(config, tmp_path / 'parts').run(resume=True)

    expected, found = (load_file(f / 'model.safetensors') for f in (whole, parts))
    begun = load_file(tmp_path / 'begin' / 'model.safetensors')
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    assert not torch.equal(
        begun['thinker.model.embed_tokens.weight'], found['thinker.model.embed_tokens.weight']
    )
    load_roma(parts)


def test_resumes_within_a_phase(config: TrainConfig, tmp_path: Path):
    plan = replace(config, phases=(replace(config.phases[2], steps=4),))
    whole = Trainer(plan, tmp_path / 'whole').run()

    def stop(line: str) -> None:
        if line.startswith('speak 4 validation'):
            raise _StoppedError

    with pytest.raises(_StoppedError):
        Trainer(plan, tmp_path / 'parts', report=stop).run()
    parts = Trainer(plan, tmp_path / 'parts').run(resume=True)

    for name, tensor in load_file(whole / 'model.safetensors').items():
        assert torch.equal(tensor, load_file(parts / 'model.safetensors')[name]), name


def test_leaves_curves_and_never_overwrites_a_run(config: TrainConfig, tmp_path: Path):
    plan = replace(config, phases=config.phases[2:])
    lines: list[str] = []
    Trainer(plan, tmp_path / 'run', report=lines.append).run()

    log = [json.loads(s) for s in (tmp_path / 'run' / 'log.jsonl').read_text().splitlines()]
    assert [entry['step'] for entry in log] == [2, 3, 3]
    assert log[1]['train/when'] > 0
    assert any(name.startswith('validation/ap/') for name in log[0])
    assert list((tmp_path / 'run' / 'curves').iterdir())
    assert any(line.startswith('speak 3/3') and 'streams/s' in line for line in lines)
    with pytest.raises(ValueError, match='--resume'):
        Trainer(plan, tmp_path / 'run').run()


@pytest.mark.parametrize(
    ('part', 'changed'),
    [
        ('head', {'gate'}),
        ('decoder', {'gate', 'model', 'lm_head'}),
        ('all', {'gate', 'model', 'lm_head', 'visual', 'audio_tower'}),
    ],
)
def test_trains_the_part_that_is_asked_for(
    config: TrainConfig, tmp_path: Path, part: str, changed: set[str]
):
    phase = replace(config.phases[2], train=part, steps=1, accumulate=1)
    plan = replace(config, fresh=False, phases=(phase,))

    model = Trainer(plan, tmp_path / 'run').run()

    before = load_file(tmp_path / 'begin' / 'model.safetensors')
    after = load_file(model / 'model.safetensors')
    found = {
        name.split('.')[1].split('_')[0].replace('lm', 'lm_head').replace('audio', 'audio_tower')
        for name, tensor in after.items()
        if not torch.equal(tensor, before[name])
    }
    assert found == {c for c in changed if any(n.startswith(f'thinker.{c}') for n in after)}
