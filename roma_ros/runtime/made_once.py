"""Folders that are made on this machine once, whatever number of processes want them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import fcntl
import logging
import os
from pathlib import Path
import shutil
import tempfile
import time

_logger = logging.getLogger(__name__)


def make_once(
    folder: Path,
    make: Callable[[Path], None],
    *,
    marker: str,
    what: str,
    on_progress: Callable[[str], None],
) -> None:
    """
    Make a folder where it is missing; one process does, and others wait.

    :param folder: comes into being whole, or not at all.
    :param make: fills a new folder.
    :param marker: a file that every whole folder has.
    :param what: what is being made, for the log.
    :param on_progress: takes words while another process is at work; what it raises ends it.
    """
    store = folder.parent
    store.mkdir(parents=True, exist_ok=True)
    with _locked(store / 'lock', lambda: on_progress(f'another process makes {what}')):
        if (folder / marker).is_file():
            return
        _logger.warning('this machine has no %s yet: making them, once', what)
        begin = time.perf_counter()
        for left_behind in store.glob('.part-*'):  # by a process that was killed
            shutil.rmtree(left_behind)
        temporary = Path(tempfile.mkdtemp(prefix='.part-', dir=store))
        try:
            make(temporary)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _logger.warning('made %s in %.1f s: %s', what, time.perf_counter() - begin, folder)


def remove_stale(folder: Path, pattern: str) -> None:
    """Remove what lies beside a folder under names of a pattern."""
    for stale in folder.parent.glob(pattern):
        if stale != folder:
            shutil.rmtree(stale, ignore_errors=True)


@contextmanager
def _locked(file: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock that ends with the process, whatever becomes of it."""
    with file.open('w') as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                on_wait()
                time.sleep(0.2)
        yield
