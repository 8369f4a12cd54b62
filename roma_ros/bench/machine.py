"""What a figure was measured on."""

from datetime import datetime
from importlib.metadata import version
import os
from pathlib import Path
import platform
from typing import Any

import torch

from ..runtime.factory import Runtime

_MIB = 2**20


def resident_mib() -> float:
    """Return the memory of this process that is resident [MiB]; Linux alone tells."""
    pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / _MIB


def describe_machine(gpu: str | None = None) -> dict[str, Any]:
    """
    Tell when and on what a benchmark runs.

    :param gpu: the one that is measured, where one is.
    :return: what JSON can hold.
    """
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return {
        'date': datetime.now().astimezone().isoformat(timespec='seconds'),
        'machine': {
            'system': platform.platform(),
            'processor': _processor(),
            'cores': len(os.sched_getaffinity(0)),
            'memory_gib': round(memory / 2**30, 1),
            'gpu': gpu,
            'load_at_begin': round(os.getloadavg()[0], 2),
        },
        'python': platform.python_version(),
    }


def describe(runtime: Runtime) -> dict[str, Any]:
    """
    Tell when, on what and with what a benchmark runs.

    :param runtime: the model that is measured.
    :return: what JSON can hold.
    """
    device = runtime.engine.device
    return {
        **describe_machine(torch.cuda.get_device_name(device) if device.type == 'cuda' else None),
        'torch': version('torch'),
        'transformers': version('transformers'),
        'threads': torch.get_num_threads(),
        'model': runtime.path.name,
        'engine': runtime.engine.name,
        'device': str(device),
    }


def _processor() -> str:
    for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
        name, _, value = line.partition(':')
        if name.strip() == 'model name':
            return value.strip()
    return platform.machine()
