"""Graphs that were exported on this machine because an engine wanted them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import fcntl
import hashlib
from importlib.metadata import version
import json
import logging
import os
from pathlib import Path
import shutil
import tempfile
import time

import torch

from .. import __version__
from ..evaluation.identity import model_identity
from ..model.store import roma_home
from .exported import is_exported

_logger = logging.getLogger(__name__)


def stored_graphs(
    model: Path,
    *,
    dtype: torch.dtype,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """
    Return a model's graphs; export them where this machine has none that fit.

    They lie in ``$ROMA_HOME/graphs`` (else below ``~/.local/share/roma_ros``). Those of weights,
    or of a version of this package, that are no more are removed. Any number of processes may
    call this at the same time: one exports, the others wait.

    :param model: folder of the checkpoint.
    :param dtype: of the graphs.
    :param on_progress: takes what is being done, in words; what it raises ends it.
    :return: a folder of graphs.
    """
    name = str(dtype).removeprefix('torch.')
    place = hashlib.sha256(bytes(model.resolve())).hexdigest()[:8]
    store = roma_home() / 'graphs' / f'{model.resolve().name}-{place}'
    folder = store / f'{name}-{_key(model)}'
    if is_exported(folder):
        return folder
    store.mkdir(parents=True, exist_ok=True)
    with _locked(store / 'lock', on_progress):
        if is_exported(folder):  # by whom this process waited for
            return folder
        from .export import export_model

        _logger.warning('no graphs of %s in %s yet: exporting them, once', model.name, name)
        begin = time.perf_counter()
        for left_behind in store.glob('.part-*'):  # by a process that was killed
            shutil.rmtree(left_behind)
        temporary = Path(tempfile.mkdtemp(prefix='.part-', dir=store))
        try:
            export_model(model, temporary, dtype=dtype, on_progress=on_progress)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for stale in store.glob(f'{name}-*'):
            if stale != folder:
                shutil.rmtree(stale)
        seconds = time.perf_counter() - begin
        _logger.warning('exported the graphs in %.1f s: %s', seconds, folder)
    return folder


def _key(model: Path) -> str:
    """Return a name for the weights and for all that makes graphs of them."""
    writers = [Path(__file__).with_name('export.py')]
    writers += sorted(Path(__file__).with_name('graphs').glob('*.py'))
    parts = [
        model_identity(model),
        __version__,
        version('onnx'),
        [hashlib.sha256(file.read_bytes()).hexdigest() for file in writers],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@contextmanager
def _locked(file: Path, on_progress: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that ends with the process, whatever becomes of it."""
    with file.open('w') as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                on_progress('another process exports the graphs')
                time.sleep(0.2)
        yield
