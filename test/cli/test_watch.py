"""``roma watch`` in a pseudo-terminal, beside the real node over real DDS."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import pytest

PATIENCE_S = 60.0
#: Watches that may be started until one sees what is there: a participant that joins while others
#: do may never hear of all that they publish (Fast DDS 3.2), and the next one does.
WATCHES = 3
CODE = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
ESCAPE = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')


class Watch:
    """A `roma watch` on a terminal of 100 columns and 30 rows."""

    def __init__(self, environment, *arguments):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0))
        environment = {k: v for k, v in environment.items() if k not in ('COLUMNS', 'LINES')}
        self.process = subprocess.Popen(
            [sys.executable, '-c', CODE, 'watch', *arguments],
            cwd=tempfile.gettempdir(),
            env={**environment, 'TERM': 'xterm', 'PYTHONUTF8': '1'},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # for Ctrl-C
        )
        os.close(theirs)
        self.written = ''

    def wait_for(self, *patterns):
        """Wait until one whole picture has all the patterns, and return it."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            assert self._read(), f'it ended:\n{self.written}'
            pictures = self.written.split('\x1b[H')
            for picture in pictures[-2:-1]:
                text = ESCAPE.sub('', picture).replace('\r', '')
                if all(re.search(pattern, text) for pattern in patterns):
                    return text
        raise AssertionError(f'{patterns} did not appear in:\n{pictures[-2:]}')

    def press(self, key):
        os.write(self._ours, key)

    def join(self):
        """Read to the end and return the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE_S)

    def close(self):
        if self._ours is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        os.close(self._ours)
        self._ours = None

    def _read(self):
        if not select.select([self._ours], [], [], PATIENCE_S)[0]:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.written += data.decode('utf-8', 'replace')
        return bool(data)


@pytest.fixture
def watch(robot_environment):
    """Start watches that end with the test."""
    started = []

    def start(*arguments, **environment):
        started.append(Watch({**robot_environment, **environment}, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def see(watch):
    """Start a watch and wait for a picture with all the patterns; return both."""

    def see(*patterns, arguments=()):
        for number in range(1, WATCHES + 1):
            shown = watch(*arguments)
            try:
                return shown, shown.wait_for(*patterns)
            except AssertionError:
                if number == WATCHES:
                    raise
                shown.close()

    return see


@pytest.mark.ros
def test_a_running_node_is_seen_and_q_quits(robot, see):
    shown, picture = see(
        r'roma /roma  active',
        r'roma-tiny by (torch|onnxruntime) on cpu',
        r'units \d+  dropped \d+  queue \d of 4',
        r'latency [1-9]\d* ms, median',
        r'instruction-1  narrate',
        r'instruction-2  a bell rings',
        r'[▁▂▃▄▅▆▇█]+ [█░│]{12} 0\.\d\d of 0\.45',
        r'0\.\d\d of 1\.00',
        r'transcript\s+\d+ s  narration \S',
        r'ok     roma: camera: ',
        r'q quits',
    )
    assert len(picture.splitlines()) <= 30
    assert max(map(len, picture.splitlines())) <= 100
    shown.press(b'q')
    assert shown.join() == 0
    assert shown.written.endswith('\x1b[?1049l')
    assert 'Traceback' not in shown.written


@pytest.mark.ros
@pytest.mark.parametrize('end', [b'\x03', signal.SIGTERM, signal.SIGHUP])
def test_no_node_is_told_and_every_end_is_clean(watch, domain_id, end):
    # A domain that nobody else is in: those of the tests are up to 100.
    shown = watch('--node', 'robot/roma', ROS_DOMAIN_ID=str(101 + domain_id))
    shown.wait_for('no node /robot/roma here', 'start it: roma run')
    if isinstance(end, bytes):
        shown.press(end)
    else:
        os.kill(shown.process.pid, end)
    assert shown.join() == 0
    assert shown.written.endswith('\x1b[?1049l')
    assert 'Traceback' not in shown.written


@pytest.mark.ros
def test_another_name_is_found(robot, see):
    see(
        'no node /elsewhere here',
        'roma watch --node /roma',
        arguments=('--node', '/elsewhere'),
    )


def test_without_a_terminal_it_says_what_to_use_instead(roma):
    done = roma('watch')
    assert done.returncode == 1
    assert 'ros2 topic echo /roma/speak_score' in done.stderr
    assert '\x1b' not in done.stdout


@pytest.mark.parametrize('name', ['ro ma', '', 'a/', '/1', 'x$'])
def test_what_is_no_name_is_refused(roma, name):
    done = roma('watch', '--node', name)
    assert done.returncode == 2
    assert 'is no name of a node' in done.stderr
