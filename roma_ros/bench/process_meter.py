"""CPU time and memory of other processes, as Linux tells them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
import time
from typing import Any

import numpy as np

_TICKS_S = os.sysconf('SC_CLK_TCK')


@dataclass
class _Series:
    times_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    own_mib: list[float] = field(default_factory=list)


class ProcessMeter:
    """
    Samples processes, and tells what each took.

    *Resident* is all memory that a process has in RAM, shared memory of DDS and mapped files
    included; *own* is what it alone allocated (``RssAnon``), in which a leak shows.

    :param pids: of the processes, by the names under which they are told of.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._series = {name: _Series() for name in pids}

    def sample(self) -> None:
        """Read all processes; one that has ended is left out."""
        now_s = time.monotonic()
        for name, pid in self._pids.items():
            try:
                cpu_s, (resident_mib, own_mib) = _cpu_s(pid), _memory_mib(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            series = self._series[name]
            series.times_s.append(now_s)
            series.cpu_s.append(cpu_s)
            series.resident_mib.append(resident_mib)
            series.own_mib.append(own_mib)

    def figures(self) -> dict[str, dict[str, Any]]:
        """
        Return what each process took, as JSON holds it.

        Growth is told from the end of the first sixth on, in which caches fill.
        """
        return {name: _figures(series) for name, series in self._series.items()}


def _figures(series: _Series) -> dict[str, Any]:
    begin = len(series.times_s) // 6
    times_s = np.array(series.times_s[begin:])
    own = np.array(series.own_mib[begin:])
    elapsed_s = series.times_s[-1] - series.times_s[0]
    hours = (times_s - times_s[0]) / 3600
    return {
        'cpu_share': round((series.cpu_s[-1] - series.cpu_s[0]) / elapsed_s, 4),
        'resident_mib': round(series.resident_mib[-1], 1),
        'resident_mib_max': round(max(series.resident_mib), 1),
        'own_mib_first': round(float(own[0]), 1),
        'own_mib_last': round(float(own[-1]), 1),
        'own_mib_max': round(float(own.max()), 1),
        'own_mib_per_hour': round(float(np.polyfit(hours, own, 1)[0]), 2),
        'series': {
            'time_s': [round(t - series.times_s[0], 1) for t in series.times_s],
            'resident_mib': [round(value, 1) for value in series.resident_mib],
            'own_mib': [round(value, 1) for value in series.own_mib],
        },
    }


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process and all its threads [s]."""
    text = Path(f'/proc/{pid}/stat').read_text(encoding='ascii', errors='replace')
    fields = text.rpartition(')')[2].split()  # a name may hold anything
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


def _memory_mib(pid: int) -> tuple[float, float]:
    """Return resident memory, and what of it is the process's own [MiB]."""
    text = Path(f'/proc/{pid}/status').read_text(encoding='utf-8', errors='replace')
    kib = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(':') for line in text.splitlines())
        if name in ('VmRSS', 'RssAnon')
    }
    if len(kib) != 2:  # it has ended, and waits for its parent
        raise ProcessLookupError(pid)
    return kib['VmRSS'] / 1024, kib['RssAnon'] / 1024
