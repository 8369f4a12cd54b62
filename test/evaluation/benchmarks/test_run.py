"""A benchmark in several processes: the same lines and figures, and nobody else can listen in."""

from importlib.util import find_spec
import os
from pathlib import Path

import pytest

from roma_ros.evaluation.benchmarks.registry import BENCHMARKS
from roma_ros.evaluation.benchmarks.run import run_benchmark
from roma_ros.evaluation.benchmarks.worker import BenchmarkJob
from roma_ros.evaluation.fleet import RayExecutor
from roma_ros.evaluation.runner import run_here
from roma_ros.runtime.factory import default_model

#: 127.0.0.1 as the kernel's tables spell it, alone and within IPv6.
LOOPBACK = {'0100007F', '0000000000000000FFFF00000100007F'}


def listening():
    """Return on what addresses this process and Ray's processes listen."""
    sockets = set()
    for process in Path('/proc').glob('[0-9]*'):
        try:
            is_ours = process.name == str(os.getpid())
            if not is_ours and b'ray' not in (process / 'cmdline').read_bytes():
                continue
            sockets |= {os.readlink(link) for link in (process / 'fd').iterdir()}
        except OSError:
            continue
    found = set()
    for table in ('tcp', 'tcp6'):
        for entry in Path('/proc/net', table).read_text().splitlines()[1:]:
            fields = entry.split()
            if fields[3] == '0A' and f'socket:[{fields[9]}]' in sockets:
                found.add(fields[1].partition(':')[0])
    return found


def test_two_processes_find_what_one_finds(official, tmp_path):
    if find_spec('ray') is None:  # imported later: Ray reads its settings when it is imported
        pytest.skip('Ray is not installed: pip install -r requirements/fleet.txt')
    job = BenchmarkJob(model=str(default_model()), device='cpu', threads=1)
    results, lines, addresses = [], [], set()
    for name, execute in (('one', run_here), ('two', RayExecutor(workers=2))):
        results.append(
            run_benchmark(
                BENCHMARKS['charades-sta'],
                job,
                data=official['charades-sta'],
                folder=tmp_path / name,
                execute=execute,
                on_line=lambda done, total, name=name: addresses.update(
                    listening() if name == 'two' and done == 1 else ()
                ),
            )
        )
        written = (tmp_path / name / 'charades-sta.jsonl').read_text().splitlines()
        lines.append(sorted(line.partition('"compute_s"')[0] for line in written))
    assert results[0]['figures'] == results[1]['figures']
    assert lines[0] == lines[1]
    assert addresses
    assert addresses <= LOOPBACK
