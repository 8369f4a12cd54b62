"""State of a run on disk: weights as any checkpoint, the rest as safetensors and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
import json
import os
from pathlib import Path
import shutil

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
import torch

from ..model.checkpoint import load_roma, save_roma
from .adapters import without_adapters
from .objective import Objective
from .sharding import cut_like, gather

_STATE_NAME = 'trainer.json'
_TENSORS_NAME = 'trainer.safetensors'
#: In the names of added matrices.
_ADAPTER = '.lora_'
_MOMENTS = ('exp_avg', 'exp_avg_sq', 'step')
#: What is thrown away in the end.
_PROBES = ('probes', 'anchor_probe')
#: Checkpoints kept; older ones are deleted.
_MAX_KEPT = 2


@dataclass(frozen=True)
class Progress:
    """
    How far a run is.

    :param phase: name of the phase.
    :param step: steps of the phase that are done.
    :param total_steps: steps of the run that are done.
    :param streams: streams seen.
    """

    phase: str
    step: int
    total_steps: int
    streams: int


def save_checkpoint(
    folder: Path,
    progress: Progress,
    *,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    names: Mapping[str, torch.nn.Parameter],
    tokenizer: Tokenizer,
    write: bool,
) -> None:
    """
    Write a checkpoint, whole or not at all, and delete the oldest.

    Every process calls it, since weights may lie in parts on all of them.

    :param folder: of the run.
    :param progress: how far it is.
    :param objective: weights of network and probes.
    :param optimizer: AdamW.
    :param names: the trained parameters by name, in the optimizer's order.
    :param tokenizer: of the network.
    :param write: whether this process is the one that writes.
    """
    with without_adapters(objective.model):
        weights = gather(objective.model.state_dict(), keep=write)
    tensors = {
        f'{probe}.{k}': v
        for probe in _PROBES
        for k, v in getattr(objective, probe).state_dict().items()
    }
    for name, parameter in names.items():
        if _ADAPTER in name:
            tensors[name] = parameter.detach()
        state = optimizer.state.get(parameter, {})
        for moment in _MOMENTS:
            if moment in state:
                tensors[f'{moment}.{name}'] = torch.as_tensor(state[moment])
    tensors = {name: t.contiguous() for name, t in gather(tensors, keep=write).items()}
    if not write:
        return
    target = folder / f'checkpoint-{progress.total_steps:06d}'
    part = folder / f'.{target.name}.part'
    shutil.rmtree(part, ignore_errors=True)
    save_roma(objective.model, part, tokenizer=tokenizer, weights=weights)
    save_file(tensors, part / _TENSORS_NAME)
    state_text = json.dumps(vars(progress), indent=1)
    (part / _STATE_NAME).write_text(state_text + '\n', encoding='utf-8')
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    for old in _checkpoints(folder)[:-_MAX_KEPT]:
        shutil.rmtree(old)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint of a run, if there is one."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def read_progress(checkpoint: Path) -> Progress:
    """Return how far a checkpoint is."""
    return Progress(**json.loads((checkpoint / _STATE_NAME).read_text(encoding='utf-8')))


def load_weights(checkpoint: Path, objective: Objective) -> None:
    """Put a checkpoint's weights, of network and probes, into place."""
    loaded = load_roma(checkpoint).model.state_dict()
    objective.model.load_state_dict(loaded)
    tensors = load_file(checkpoint / _TENSORS_NAME)
    for probe in _PROBES:
        getattr(objective, probe).load_state_dict(
            {
                k.removeprefix(f'{probe}.'): v
                for k, v in tensors.items()
                if k.startswith(f'{probe}.')
            }
        )


def load_optimizer(
    checkpoint: Path,
    optimizer: torch.optim.Optimizer,
    names: Mapping[str, torch.nn.Parameter],
) -> None:
    """Put the optimizer's moments into place, and added matrices, which are no network's own."""
    tensors = load_file(checkpoint / _TENSORS_NAME)
    for name, parameter in names.items():
        if _ADAPTER in name:
            with torch.no_grad():
                parameter.copy_(cut_like(tensors[name], parameter))
        state = {m: tensors[f'{m}.{name}'] for m in _MOMENTS if f'{m}.{name}' in tensors}
        if state:
            moments = {k: cut_like(v, parameter) for k, v in state.items() if k != 'step'}
            optimizer.state[parameter] = {'step': state['step'], **moments}


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob('checkpoint-*'))
