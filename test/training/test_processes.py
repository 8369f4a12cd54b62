"""Several processes on one machine, over gloo, as torchrun starts them."""

from dataclasses import asdict, replace
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from safetensors.torch import load_file
import torch

from roma_ros.model.checkpoint import save_roma
from roma_ros.training.checkpoints import read_progress
from roma_ros.training.curriculum import Phase, TrainConfig
from roma_ros.training.trainer import check_sharded, Trainer

pytest.importorskip('accelerate', reason='accelerate is not installed')


SHARDED = Path(__file__).parent / 'sharded.py'
FSDP_CONFIG = Path(__file__).parents[2] / 'config' / 'accelerate' / 'fsdp.yaml'


@pytest.fixture
def config(small_roma, tokenizer, tmp_path) -> TrainConfig:
    save_roma(small_roma, tmp_path / 'begin', tokenizer=tokenizer)
    phase = Phase(
        name='speak',
        objective='speak',
        steps=2,
        streams=1,
        duration_s=8,
        learning_rate=1e-3,
        accumulate=2,
    )
    return TrainConfig(
        model=str(tmp_path / 'begin'),
        workers=0,
        validate_every=9,
        validation_streams=1,
        checkpoint_every=9,
        phases=(phase,),
    )


def launch(
    config: TrainConfig,
    folder: Path,
    *,
    processes: int,
    sharded: bool = False,
    resume: bool = False,
) -> None:
    """Run a plan in processes of its own, and wait for all of them."""
    plan = folder.with_suffix('.yaml')
    plan.write_text(json.dumps(asdict(config)))
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', 'torch.distributed.run', '--master_addr', '127.0.0.1']
    command += ['--master_port', str(port), '--nproc_per_node', str(processes)]
    command += [str(SHARDED)] if sharded else ['-m', 'roma_ros.cli.train']
    command += ['--config', str(plan), '--out', str(folder)] + ['--resume'] * resume
    environment = os.environ | {
        'ACCELERATE_USE_CPU': 'true',
        'OMP_NUM_THREADS': '1',
        'GLOO_SOCKET_IFNAME': 'lo',
        'FSDP_CONFIG': str(FSDP_CONFIG),
    }
    with (folder.with_suffix('.log')).open('w') as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            process.wait(timeout=800)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, folder.with_suffix('.log').read_text()[-3000:]


@pytest.mark.timeout(900)
def test_two_processes_learn_what_one_learns_from_as_many_batches(config, tmp_path):
    one = Trainer(config, tmp_path / 'one').run()
    phase = replace(config.phases[0], accumulate=1)
    launch(replace(config, phases=(phase,)), tmp_path / 'two', processes=2)
    assert_same(one, tmp_path / 'two' / 'model', begin=tmp_path / 'begin')


@pytest.mark.timeout(900)
def test_two_processes_encode_streams_and_sentences_for_each_other(config, tmp_path):
    fields = {'train': 'decoder', 'encoded': 3, 'cards': 0.4, 'drill': True, 'spoken': 40}
    phase = replace(config.phases[0], **fields)
    one = Trainer(replace(config, phases=(phase,)), tmp_path / 'one').run()
    phase = replace(phase, accumulate=1)
    launch(replace(config, phases=(phase,)), tmp_path / 'two', processes=2)
    assert_same(one, tmp_path / 'two' / 'model', begin=tmp_path / 'begin')
    log = (tmp_path / 'two.log').read_text()
    assert 'speak: sentences encoded: 40/40' in log
    assert 'speak: streams encoded: 3/3' in log


@pytest.mark.timeout(900)
def test_a_network_in_parts_learns_the_same_and_resumes(config, tmp_path):
    config = replace(config, checkpoint_every=1)
    one = Trainer(config, tmp_path / 'one').run()
    phase = replace(config.phases[0], accumulate=1)
    plan, folder = replace(config, phases=(phase,)), tmp_path / 'parts'
    launch(plan, folder, processes=2, sharded=True)
    assert_same(one, folder / 'model', begin=tmp_path / 'begin')

    names = ('checkpoint-000002/trainer.safetensors', 'model/model.safetensors')
    before = [load_file(folder / name) for name in names]
    shutil.rmtree(folder / 'checkpoint-000002')
    shutil.rmtree(folder / 'model')
    launch(plan, folder, processes=2, sharded=True, resume=True)
    for name, expected in zip(names, before, strict=True):
        found = load_file(folder / name)
        assert expected.keys() == found.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key], tensor, rtol=1e-5, atol=1e-7, msg=key)


@pytest.mark.parametrize('change', [{'train': 'adapters'}, {'train': 'decoder', 'encoded': 8}])
def test_what_a_network_in_parts_cannot_learn_is_said(config, change):
    phases = (replace(config.phases[0], **change),)
    with pytest.raises(ValueError, match="phase 'speak' trains adapters, or encodes"):
        check_sharded(replace(config, phases=phases))


def assert_same(one: Path, two: Path, *, begin: Path) -> None:
    """Make sure that two runs have learned the same."""
    first, second = (model.parent / 'checkpoint-000002' for model in (one, two))
    assert read_progress(first) == read_progress(second)
    expected, found = (load_file(f / 'trainer.safetensors') for f in (first, second))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        largest = float(tensor.abs().max())
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-3 * largest, msg=name)
    before = load_file(begin / 'model.safetensors')
    weights = [load_file(f / 'model.safetensors') for f in (one, two)]
    for name, tensor in weights[0].items():
        # Adam makes whole steps of a gradient that is nothing but rounding: not of all weights.
        difference = (weights[1][name] - tensor).abs()
        assert float(difference.mean()) < 1e-5, name
    assert any(not before[name].equal(tensor) for name, tensor in weights[0].items())
