"""TensorRT engines that were built on this machine, each for one GPU and one TensorRT."""

from collections.abc import Callable
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from ..model.store import roma_home
from .exported import MANIFEST_NAME, read_embeddings, read_manifest, UnitConfig
from .made_once import make_once, remove_stale
from .session import default_capacity
from .tensorrt_build import (
    build_plan,
    import_tensorrt,
    PLAN_NAMES,
    Profile,
    step_profiles,
    vision_profiles,
)
from .tensorrt_engine import LoadedPlan, TensorRTEngine

#: Written last: what the engines were built for.
PLANS_NAME = 'plans.json'


def stored_plans(
    graphs: Path,
    config: UnitConfig,
    *,
    capacity: int | None = None,
    compact: bool | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """
    Return TensorRT engines of a folder of graphs; build them where there are none that fit.

    They lie in ``$ROMA_HOME/engines`` (else below ``~/.local/share/roma_ros``), by graphs, GPU,
    TensorRT and shapes, since they run with these alone. Building takes minutes for a large model.

    :param graphs: the folder.
    :param config: of the model.
    :param capacity: tokens of the cache; None: that of the graphs, else that of the usual window.
    :param compact: one profile for all lengths: the weights are stored once, and words come
        slower; None: so where two copies would not fit into the GPU's memory.
    :param on_progress: takes what is being done, in words; what it raises ends it.
    :return: a folder of engines.
    :raises ImportError: when TensorRT is not installed.
    :raises RuntimeError: when it does not build the graphs.
    :raises ValueError: when the graphs are in float32, or have another capacity.
    """
    trt = import_tensorrt()
    manifest = read_manifest(graphs)
    if manifest.dtype == 'float32':
        raise ValueError(
            'TensorRT has no attention in float32; export with --dtype bfloat16 or float16: '
            f'{graphs}'
        )
    tokens = capacity or manifest.capacity or default_capacity(config.processor)
    if manifest.capacity not in (None, tokens):
        raise ValueError(
            f'the graphs were exported for a cache of {manifest.capacity} tokens, and one of '
            f'{tokens} is asked for; export them without --capacity: {graphs}'
        )
    profiles = {
        'vision': vision_profiles(config),
        'audio': [],
        'step': step_profiles(manifest, config, tokens, compact=_is_compact(compact, graphs)),
    }
    purpose = {
        'graphs': {name: _digest(graphs / f'{name}.onnx') for name in PLAN_NAMES},
        'manifest': _digest(graphs / MANIFEST_NAME),
        'tensorrt': f'{trt.__name__} {trt.__version__}',
        'gpu': gpu_name(),
        'capacity': tokens,
        'profiles': profiles,
    }
    text = json.dumps(purpose)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    place = hashlib.sha256(bytes(graphs.resolve())).hexdigest()[:8]
    folder = roma_home() / 'engines' / f'{manifest.model["name"]}-{place}' / key
    if not (folder / PLANS_NAME).is_file():
        make_once(
            folder,
            lambda new: _build(trt, graphs, new, purpose, on_progress),
            marker=PLANS_NAME,
            what=f'TensorRT engines of {manifest.model["name"]} for {purpose["gpu"]}',
            on_progress=on_progress,
        )
        remove_stale(folder, '*[0-9a-f]')
    return folder


def load_plans(
    graphs: Path, plans: Path, config: UnitConfig, device: torch.device
) -> TensorRTEngine:
    """
    Load built engines.

    :param graphs: the folder of graphs that they were built from.
    :param plans: of :func:`stored_plans`.
    :param config: of the model.
    :param device: a GPU.
    :return: the engine.
    :raises RuntimeError: when they are not for this GPU or this TensorRT.
    """
    trt = import_tensorrt()
    purpose = json.loads((plans / PLANS_NAME).read_text(encoding='utf-8'))
    with torch.cuda.device(device):
        runners = {
            name: LoadedPlan(trt, plans / f'{name}.plan', purpose['profiles'][name])
            for name in PLAN_NAMES
        }
    manifest = read_manifest(graphs)
    return TensorRTEngine(
        runners,
        read_embeddings(graphs, manifest).to(device),
        manifest,
        config,
        capacity=purpose['capacity'],
    )


def gpu_name() -> str:
    """Return the GPU that engines are built for, with its compute capability."""
    if not torch.cuda.is_available():
        return 'no GPU'
    properties = torch.cuda.get_device_properties(0)
    return f'{properties.name}, SM {properties.major}.{properties.minor}'


def _is_compact(compact: bool | None, graphs: Path) -> bool:
    if compact is not None or not torch.cuda.is_available():
        return bool(compact)
    weights = sum((graphs / f'{name}.onnx.data').stat().st_size for name in PLAN_NAMES)
    return 2 * weights > 0.7 * torch.cuda.get_device_properties(0).total_memory


def _build(
    trt: Any,
    graphs: Path,
    folder: Path,
    purpose: dict[str, Any],
    on_progress: Callable[[str], None],
) -> None:
    layers = {}
    for name in PLAN_NAMES:
        profiles: list[Profile] = purpose['profiles'][name]
        plan = build_plan(
            trt,
            graphs / f'{name}.onnx',
            profiles,
            capacity=purpose['capacity'],
            on_progress=on_progress,
        )
        (folder / f'{name}.plan').write_bytes(plan.data)
        layers[name] = plan.layers
    text = json.dumps(purpose | {'layers': layers}, indent=2)
    (folder / PLANS_NAME).write_text(text + '\n', encoding='utf-8')


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
