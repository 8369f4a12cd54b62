import os
import subprocess
import sys

import pytest

from roma_ros.bench.process_meter import ProcessMeter

#: Takes 40 MiB, and 0.2 s of CPU time, when it is told to.
WORKER = """
import sys, time
print(flush=True)
sys.stdin.readline()
block = bytearray(40 * 2**20)
while time.process_time() < 0.2:
    pass
print(flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def worker():
    with subprocess.Popen(
        [sys.executable, '-c', WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        yield process
        process.kill()


def work(process):
    process.stdin.write('\n')
    process.stdin.flush()
    process.stdout.readline()


def test_memory_and_time_that_a_process_takes_show(worker):
    meter = ProcessMeter({'worker': worker.pid, 'test': os.getpid()})
    meter.sample()
    work(worker)
    meter.sample()
    figures = meter.figures()['worker']
    assert figures['own_mib_last'] - figures['own_mib_first'] > 35
    assert figures['own_mib_per_hour'] > 0
    assert figures['resident_mib_max'] >= figures['own_mib_max'] > 40
    elapsed_s = figures['series']['time_s'][-1]
    assert figures['cpu_share'] * elapsed_s > 0.1


def test_a_process_that_has_ended_keeps_its_figures(worker):
    meter = ProcessMeter({'worker': worker.pid})
    meter.sample()
    meter.sample()
    worker.kill()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # not collected yet
    meter.sample()
    worker.wait()
    meter.sample()
    assert len(meter.figures()['worker']['series']['time_s']) == 2
