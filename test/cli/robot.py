"""A robot for the verbs that look at one: the real node, fed by a real playback, as processes."""

from pathlib import Path
import queue
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest

#: How long a process may take to start, or something to be seen [s]; a limit, never a wait.
PATIENCE_S = 120.0
#: It narrates now and then, and no more: a busy machine has enough to do.
_INSTRUCTIONS = "['narrate[0.45]', 'alert[0.999]: a bell rings']"


class Process:
    """A process of ours; its output is kept."""

    def __init__(self, command, environment):
        self._process = subprocess.Popen(
            command,
            cwd=tempfile.gettempdir(),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid
        self._lines = queue.Queue()
        self.output = ''
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, words):
        """Wait until a line holds the words, and return it."""
        while words not in self.output:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f'{words!r} did not appear in:\n{self.output}'
            self.output += line
        return next(line for line in self.output.splitlines() if words in line)

    def stop(self):
        """Interrupt it, and return the exit code."""
        self._process.terminate()
        return self.join()

    def join(self):
        """Wait for its end, and return the exit code."""
        return self._process.wait(PATIENCE_S)

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


def start_node(name, environment, *, remap=None, **parameters):
    """Start one of our nodes."""
    arguments = []
    for key, value in parameters.items():
        arguments += ['-p', f'{key}:={value}']
    for old, new in (remap or {}).items():
        arguments += ['-r', f'{old}:={new}']
    code = f'import sys\nfrom roma_ros.nodes.{name} import main\nsys.exit(main())'
    return Process([sys.executable, '-c', code, '--ros-args', *arguments], environment)


def make_clip(path, *, seconds=4, rate_hz=16_000):
    """Write a film of a moving square, with sound."""
    av = pytest.importorskip('av', reason='PyAV is not installed')
    with av.open(str(path), 'w') as container:
        video = container.add_stream('mjpeg', rate=10)
        video.width, video.height, video.pix_fmt = 160, 120, 'yuvj420p'
        audio = container.add_stream('pcm_s16le', rate=rate_hz, layout='mono')
        for index in range(10 * seconds):
            picture = np.full((120, 160, 3), 60, np.uint8)
            picture[40:80, 4 * (index % 30) :][:, :40] = (250, 30, 30)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        noise = np.random.default_rng(0).normal(0, 2000, (1, rate_hz * seconds))
        frame = av.AudioFrame.from_ndarray(noise.astype(np.int16), format='s16', layout='mono')
        frame.sample_rate = rate_hz
        container.mux(audio.encode(frame))
        container.mux(video.encode())
        container.mux(audio.encode())
    return Path(path)


def start_robot(folder, environment):
    """Start the node and its senses; return the processes by name."""
    clip = make_clip(folder / 'clip.avi')
    processes = {
        'roma': start_node(
            'roma_node',
            environment,
            threads=1,
            instructions=_INSTRUCTIONS,
            max_segments=1,
        ),
        'playback': start_node('playback_node', environment, source=clip, loop='true'),
    }
    try:
        processes['roma'].wait_for('loaded')
    except BaseException:
        for process in processes.values():
            process.stop()
        raise
    return processes
