"""
Loading and saving a network: safetensors only, one copy in memory, every odd key named.

Layouts that load: the published ROMA (a sharded Qwen2.5-Omni with ``thinker.gate_*``), a plain
Qwen2.5-Omni, a thinker alone (the same keys without ``thinker.``), and what ``save_roma`` writes,
which is the published layout with talker and token2wav left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
import json
import os
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
from tokenizers import Tokenizer
import torch

from .config import read_config, RomaConfig, TokenIds, write_config
from .processor import UnitProcessor
from .speak_head import released_keys, SpeakHead
from .store import find_checkpoint, VOICE_PREFIXES
from .thinker import RomaModel

_INDEX_NAME = 'model.safetensors.index.json'
_SINGLE_NAME = 'model.safetensors'
_TOKENIZER_NAME = 'tokenizer.json'
#: Tables that the modules compute themselves; some writers store them all the same.
_COMPUTED_SUFFIXES = ('.inv_freq', 'positional_embedding.positional_embedding')
#: Names on disk to names in the module, the published names last. (Transformers 5 can write the
#: names of its own modules, too.)
_RENAMES = (
    ('model.language_model.', 'model.language_model.'),
    ('model.visual.', 'model.visual.'),
    ('model.audio_tower.', 'model.audio_tower.'),
    ('model.', 'model.language_model.'),
    ('visual.', 'model.visual.'),
    ('audio_tower.', 'model.audio_tower.'),
    ('lm_head.', 'lm_head.'),
)
#: Most names of one sort that an error lists.
_MAX_NAMES = 5


@dataclass(frozen=True, eq=False)
class LoadedRoma:
    """
    What a checkpoint folder holds.

    :param model: the network, in evaluation mode.
    :param tokenizer: of the checkpoint.
    :param processor: makes the features that this network was trained with.
    :param config: all sizes and token ids.
    """

    model: RomaModel
    tokenizer: Tokenizer
    processor: UnitProcessor
    config: RomaConfig


def load_roma(
    path_or_repo_id: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = 'cpu',
    init_speak_head: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> LoadedRoma:
    """
    Load a network from a checkpoint on this machine.

    The network is built without memory and each tensor is put in its place as it is read, so that
    the weights exist once. The talker is never read.

    :param path_or_repo_id: folder with ``config.json``, ``tokenizer.json`` and safetensors, or
        ``owner/name`` of a checkpoint that ``roma fetch`` has stored.
    :param dtype: number format of the weights in memory.
    :param device: where they go.
    :param init_speak_head: make a new speak head, to be trained, where the checkpoint has none.
    :param on_progress: takes what is being done, in words; what it raises ends the loading.
    :return: the network and what goes with it.
    :raises FileNotFoundError: when the folder or one of its files is not there.
    :raises ValueError: when keys are missing, surplus or of another shape; all are named. Also
        when a file is damaged, or a speak head is missing.
    """
    folder = find_checkpoint(path_or_repo_id)
    tokenizer = _read_tokenizer(folder)
    config = read_config(folder, TokenIds.lookup(tokenizer.token_to_id))
    files = _files_by_key(folder)
    plain_names = _plain_names(files)
    files = {key: files[key] for key in plain_names.values()}
    _check_files(files, folder)
    config = _fit_speak_head(config, plain_names)
    has_head = any(name.startswith('gate_head') for name in plain_names)
    if not has_head and not init_speak_head:
        raise ValueError(
            'the checkpoint has no speak head (thinker.gate_*), so it cannot decide when to '
            'speak; load a ROMA checkpoint, or ask for a new head to be trained '
            f'(init_speak_head): {folder}'
        )

    with torch.device('meta'):
        model = RomaModel(config)
    targets = _module_keys(config, plain_names)
    expected = {
        name: list(tensor.shape)
        for name, tensor in model.state_dict().items()
        if (has_head or not name.startswith('speak_head.')) and not _is_tied(config, name)
    }
    _check_keys(config, files, targets, expected, folder)
    shards = sorted(set(files.values()))
    for number, file in enumerate(shards, start=1):
        on_progress(f'{file}, {number} of {len(shards)}')
        with _open_shard(folder / file, device) as shard:
            tensors = {
                targets[key]: shard.get_tensor(key).to(dtype)
                for key in shard.keys()  # noqa: SIM118 - a safetensors file is no mapping
                if key in targets
            }
        model.load_state_dict(tensors, strict=False, assign=True)
    model.thinker.tie_weights()
    if not has_head:
        model.speak_head = SpeakHead(config.speak_head).to(device=device, dtype=dtype)
    _compute_tables(model, device)
    return LoadedRoma(model.eval(), tokenizer, UnitProcessor(config.processor), config)


def save_roma(
    model: RomaModel,
    path: str | Path,
    *,
    tokenizer: Tokenizer,
    weights: Mapping[str, torch.Tensor] | None = None,
    max_shard_bytes: int = 5_000_000_000,
) -> None:
    """
    Write a checkpoint folder in the published layout, without talker and token2wav.

    :param model: the network; weights are stored in the number format that they have.
    :param path: the folder; made where it is missing; a checkpoint in it is replaced.
    :param tokenizer: of the network.
    :param weights: all that its ``state_dict`` holds, where they are not those of the model.
    :param max_shard_bytes: a new file begins where the next tensor would pass this size.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, torch.Tensor]] = [{}]
    size = total = 0
    tensors = {
        _disk_name(model.config, name): tensor.contiguous()
        for name, tensor in (weights or model.state_dict()).items()
        if not _is_tied(model.config, name)
    }
    for name, tensor in sorted(tensors.items()):
        if size and size + tensor.nbytes > max_shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
        total += tensor.nbytes
    count = len(shards)
    names = [f'model-{i + 1:05d}-of-{count:05d}.safetensors' for i in range(count)]
    if count == 1:
        names = [_SINGLE_NAME]
    for name, shard in zip(names, shards, strict=True):
        # Written beside and moved into place: the loaded weights may be mapped from the old file.
        temporary = folder / f'.{name}.part'
        save_file(shard, temporary, metadata={'format': 'pt'})
        temporary.chmod(0o644)
        os.replace(temporary, folder / name)
    if count > 1:
        weight_map = {
            key: name for name, shard in zip(names, shards, strict=True) for key in shard
        }
        index = {'metadata': {'total_size': total}, 'weight_map': weight_map}
        (folder / _INDEX_NAME).write_text(json.dumps(index, indent=2), encoding='utf-8')
    else:
        (folder / _INDEX_NAME).unlink(missing_ok=True)
    for stale in {file.name for file in folder.glob('model*.safetensors')} - set(names):
        (folder / stale).unlink()
    tokenizer.save(str(folder / _TOKENIZER_NAME))
    write_config(model.config, folder)


def _read_tokenizer(folder: Path) -> Tokenizer:
    file = folder / _TOKENIZER_NAME
    if not file.is_file():
        raise FileNotFoundError(f'no tokenizer.json: a checkpoint folder must hold one: {folder}')
    return Tokenizer.from_file(str(file))


def _files_by_key(folder: Path) -> dict[str, str]:
    """Map every key on disk to the name of its safetensors file."""
    index = folder / _INDEX_NAME
    if index.is_file():
        return dict(json.loads(index.read_text(encoding='utf-8'))['weight_map'])
    if not (folder / _SINGLE_NAME).is_file():
        raise FileNotFoundError(
            f'neither {_SINGLE_NAME} nor {_INDEX_NAME}; only safetensors are read: {folder}'
        )
    with _open_shard(folder / _SINGLE_NAME) as shard:
        return dict.fromkeys(shard.keys(), _SINGLE_NAME)


@contextmanager
def _open_shard(file: Path, device: torch.device | str = 'cpu') -> Iterator[Any]:
    try:
        shard = safe_open(file, framework='pt', device=str(device))
    except SafetensorError as error:
        raise ValueError(
            f'{file.name} is damaged or incomplete ({error}); get it again: {file.parent}'
        ) from error
    with shard:
        yield shard


def _check_files(files: Mapping[str, str], folder: Path) -> None:
    absent = sorted({name for name in files.values() if not (folder / name).is_file()})
    if absent:
        raise FileNotFoundError(
            f'{_INDEX_NAME} names {", ".join(absent)}, which is not there: {folder}'
        )


def _plain_names(keys: Iterable[str]) -> dict[str, str]:
    """
    Map names without ``thinker.`` to keys on disk; leave out voice and computed tables.

    Names that follow no known layout keep their full key, and are reported as surplus later.
    """
    keys = list(keys)
    full_model = any(key.startswith('thinker.') for key in keys)
    names = {}
    for key in keys:
        if key.startswith(VOICE_PREFIXES) or key.endswith(_COMPUTED_SUFFIXES):
            continue
        # In a full model only what is under thinker. belongs to the thinker.
        name = key.removeprefix('thinker.')
        names[key if full_model and name == key else name] = key
    if 'gate_head_pro_fc1.weight' in names:
        # The release's class has both heads; where the newer is, the older is not used.
        names = {name: key for name, key in names.items() if not name.startswith('gate_head.')}
    return names


def _fit_speak_head(config: RomaConfig, plain_names: Mapping[str, str]) -> RomaConfig:
    """Choose the older, linear head where only that is stored."""
    if 'gate_head.weight' in plain_names:
        return replace(config, speak_head=replace(config.speak_head, intermediate_size=0))
    return config


def _module_keys(config: RomaConfig, plain_names: Mapping[str, str]) -> dict[str, str]:
    """Map keys on disk to keys of ``RomaModel``; unknown ones are left out."""
    head = {disk: f'speak_head.{own}' for own, disk in released_keys(config.speak_head).items()}
    targets = {}
    for name, key in plain_names.items():
        if name in head:
            targets[key] = head[name]
            continue
        for old, new in _RENAMES:
            if name.startswith(old):
                targets[key] = f'thinker.{new}{name.removeprefix(old)}'
                break
    return targets


def _check_keys(
    config: RomaConfig,
    files: Mapping[str, str],
    targets: Mapping[str, str],
    expected: Mapping[str, list[int]],
    folder: Path,
) -> None:
    """Raise one error that names, as they are on disk, all keys that do not fit."""
    shapes: dict[str, list[int]] = {}
    for file in sorted(set(files.values())):
        with _open_shard(folder / file) as shard:
            stored = set(shard.keys())
            for key in files:
                if files[key] == file and key in stored:
                    shapes[key] = shard.get_slice(key).get_shape()
    present = {targets[key]: shape for key, shape in shapes.items() if key in targets}
    missing = [_disk_name(config, name) for name in expected if name not in present]
    surplus = [key for key in files if targets.get(key) not in expected]
    misshaped = [
        f'{_disk_name(config, name)} is {present[name]}, expected {shape}'
        for name, shape in expected.items()
        if name in present and present[name] != shape
    ]
    problems = [
        f'{len(names)} {sort}: {", ".join(sorted(names)[:_MAX_NAMES])}'
        + (', ...' if len(names) > _MAX_NAMES else '')
        for sort, names in (
            ('missing', missing),
            ('surplus', surplus),
            ('of another shape', misshaped),
        )
        if names
    ]
    if problems:
        raise ValueError(f'weights do not fit config.json: {"; ".join(problems)}: {folder}')


def _is_tied(config: RomaConfig, name: str) -> bool:
    """Say whether a weight of ``RomaModel`` is only another name of the embeddings."""
    return config.thinker.tie_word_embeddings and name == 'thinker.lm_head.weight'


def _compute_tables(model: RomaModel, device: torch.device | str) -> None:
    """
    Make the modules that only hold computed tables anew, since meta tensors hold no values.

    Tables stay in float32 whatever the weights are: rotary angles lose their meaning in bfloat16.
    """
    for name, module in list(model.named_modules()):
        buffers = list(module.buffers(recurse=False))
        if not any(buffer.is_meta for buffer in buffers):
            continue
        with torch.device(device):
            if hasattr(module, 'max_timescale'):
                fresh = type(module)(module.length, module.channels, module.max_timescale)
            else:
                fresh = type(module)(module.config)
        parent, _, leaf = name.rpartition('.')
        setattr(model.get_submodule(parent), leaf, fresh)


def _disk_name(config: RomaConfig, name: str) -> str:
    """Return the published name of a weight of ``RomaModel``."""
    if name.startswith('speak_head.'):
        return f'thinker.{released_keys(config.speak_head)[name.removeprefix("speak_head.")]}'
    plain = name.removeprefix('thinker.')
    for disk, module in reversed(_RENAMES):  # the published names first
        if plain.startswith(module):
            return f'thinker.{disk}{plain.removeprefix(module)}'
    raise AssertionError(f'no published name for {name}')
