"""Graphs that were exported on this machine because an engine wanted them."""

from collections.abc import Callable
import hashlib
from importlib.metadata import PackageNotFoundError, version
import json
from pathlib import Path

import torch

from .. import __version__
from ..model.identity import model_identity
from ..model.store import roma_home
from .exported import is_exported, MANIFEST_NAME
from .made_once import make_once, remove_stale


def stored_graphs(
    model: Path,
    *,
    dtype: torch.dtype,
    quantize: str = '',
    on_progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """
    Return a model's graphs; export them where this machine has none that fit.

    They lie in ``$ROMA_HOME/graphs`` (else below ``~/.local/share/roma_ros``). Those of weights,
    or of a version of this package, that are no more are removed. Any number of processes may
    call this at the same time: one exports, the others wait.

    :param model: folder of the checkpoint.
    :param dtype: of the graphs.
    :param quantize: how weights are rounded, as in ``export_model``; empty: they are not.
    :param on_progress: takes what is being done, in words; what it raises ends it.
    :return: a folder of graphs.
    :raises ImportError: when onnx or onnxruntime is not installed.
    """
    name = quantize or str(dtype).removeprefix('torch.')
    place = hashlib.sha256(bytes(model.resolve())).hexdigest()[:8]
    resolved = model.resolve()
    folder = roma_home() / 'graphs' / f'{resolved.name}-{place}' / f'{name}-{_key(model)}'
    if not is_exported(folder):
        make_once(
            folder,
            lambda new: _export(model, new, dtype, quantize, on_progress),
            marker=MANIFEST_NAME,
            what=f'graphs of {model.name} in {name}',
            on_progress=on_progress,
        )
        remove_stale(folder, f'{name}-*')
    return folder


def _export(
    model: Path,
    folder: Path,
    dtype: torch.dtype,
    quantize: str,
    on_progress: Callable[[str], None],
) -> None:
    from .export import export_model

    export_model(model, folder, dtype=dtype, quantize=quantize, on_progress=on_progress)


def _key(model: Path) -> str:
    """
    Return a name for the weights and for all that makes graphs of them.

    :raises ImportError: when onnx is not installed.
    """
    try:
        onnx_version = version('onnx')
    except PackageNotFoundError as error:
        raise ImportError(
            'making graphs of a checkpoint needs onnx: pip install onnx onnxruntime'
        ) from error
    writers = [Path(__file__).with_name('export.py')]
    writers += sorted(Path(__file__).with_name('graphs').glob('*.py'))
    parts = [
        model_identity(model),
        __version__,
        onnx_version,
        [hashlib.sha256(file.read_bytes()).hexdigest() for file in writers],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
