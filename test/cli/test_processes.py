import os
import sys
import time

import pytest

from roma_ros.cli import processes as module
from roma_ros.cli.processes import ProcessError, Processes

# Says that it is ready, then waits for SIGINT, as a node does.
PATIENT = """
import signal, sys, time
def stop(number, frame):
    print('stopping', flush=True)
    sys.exit({code})
signal.signal(signal.SIGINT, {handler})
print('ready', flush=True)
while True:
    time.sleep(0.05)
"""


def python(code):
    return [sys.executable, '-c', code]


def patient(*, handler='stop', code=0):
    return python(PATIENT.format(handler=handler, code=code))


@pytest.fixture
def processes(tmp_path):
    with Processes(tmp_path / 'log', os.environ) as children:
        children.log = tmp_path / 'log'
        yield children


def wait_ready(processes, name):
    deadline = time.monotonic() + 100
    while 'ready' not in (processes.log / f'{name}.log').read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_process_is_stopped_by_sigint_and_logged(processes):
    processes.start('child', patient())
    wait_ready(processes, 'child')
    assert processes.poll('child') is None
    processes.check()
    processes.stop('child')
    assert (processes.log / 'child.log').read_text() == 'ready\nstopping\n'


def test_failure_shows_the_end_of_the_log(processes):
    processes.start('child', python("print('line\\n' * 100 + 'the reason'); raise SystemExit(3)"))
    deadline = time.monotonic() + 100
    while processes.poll('child') is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(ProcessError, match=r'child ended with exit code 3.*child\.log') as caught:
        processes.check()
    lines = str(caught.value).splitlines()
    assert lines[-1].strip() == '| the reason'
    assert len(lines) < 30


def test_bad_exit_code_after_sigint_is_a_failure(processes):
    processes.start('child', patient(code=4))
    wait_ready(processes, 'child')
    with pytest.raises(ProcessError, match='exit code 4'):
        processes.stop('child')


def test_process_that_does_not_stop_is_killed(processes, monkeypatch):
    monkeypatch.setattr(module, '_STOP_TIMEOUT_S', 0.2)
    processes.start('child', patient(handler='signal.SIG_IGN'))
    wait_ready(processes, 'child')
    with pytest.raises(ProcessError, match='did not stop within'):
        processes.stop('child')


def test_all_end_with_the_block_in_reverse_order(tmp_path):
    with Processes(tmp_path, os.environ) as processes:
        processes.log = tmp_path
        for name in ('first', 'second'):
            processes.start(name, patient())
            wait_ready(processes, name)
    first, second = (tmp_path / f'{name}.log' for name in ('first', 'second'))
    assert first.read_text() == second.read_text() == 'ready\nstopping\n'
    assert second.stat().st_mtime_ns <= first.stat().st_mtime_ns


def test_children_do_not_get_the_terminals_ctrl_c(processes):
    processes.start('child', python('import os; print(os.getpgrp() == os.getpid())'))
    deadline = time.monotonic() + 100
    while processes.poll('child') is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (processes.log / 'child.log').read_text() == 'True\n'


def test_environment_is_the_one_given(tmp_path):
    with Processes(tmp_path, {**os.environ, 'ROMA_TEST': 'seen'}) as processes:
        processes.log = tmp_path
        processes.start('child', python("import os; print(os.environ['ROMA_TEST'], 'ready')"))
        wait_ready(processes, 'child')
        assert 'seen' in (tmp_path / 'child.log').read_text()


def test_missing_program_is_named(processes):
    with pytest.raises(ProcessError, match=r'child cannot be started: .*nowhere'):
        processes.start('child', ['/nowhere/at/all'])
