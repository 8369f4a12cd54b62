import os
from pathlib import Path
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pyaudio', reason='PyAudio is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from roma_ros.msg import AudioChunk

pytestmark = pytest.mark.ros

RATE_HZ, CHUNK = 16_000, 320
#: Samples tell their own number: the ramp's period.
PERIOD = 32_000

# A real device of ALSA and PortAudio without hardware: what is written into the pipe is
# captured, at the pace of the writer.
ALSA_WITHOUT = """
pcm.!default { type null }
ctl.!default { type null }
"""
ALSA_CONFIG = (
    ALSA_WITHOUT
    + """
pcm.robot_mic {
  type file
  slave.pcm { type null }
  file /dev/null
  infile "%s"
  format raw
  hint { show on description "a microphone" }
}
"""
)
#: What most tests start it with; the name is found whatever its case.
PARAMETERS = {'device': 'Robot_', 'sample_rate': RATE_HZ}


class Sound:
    """Writes a ramp into the pipe, as a sound card would, 20 ms at a time."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.written_ns = {}  # capture time of each chunk's first sample
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            self._write()  # until the device is closed

    def _write(self):
        with self.pipe.open('wb', buffering=0) as file:
            deadline = time.monotonic()
            number = 0
            while not self.stopping.is_set():
                samples = (np.arange(number, number + CHUNK) % PERIOD).astype('<i2')
                deadline += CHUNK / RATE_HZ
                time.sleep(max(0.0, deadline - time.monotonic()))
                self.written_ns[number] = time.time_ns() - CHUNK * 10**9 // RATE_HZ
                try:
                    file.write(samples.tobytes())
                except BrokenPipeError:
                    return
                number += CHUNK


@pytest.fixture
def sound(tmp_path):
    pipe = tmp_path / 'sound'
    os.mkfifo(pipe)
    sound = Sound(pipe)
    yield sound
    sound.stopping.set()
    if sound.thread.is_alive():  # it may wait for somebody who opens the other end
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
    sound.thread.join(10)


@pytest.fixture
def alsa(tmp_path, sound):
    config = tmp_path / 'asound.conf'
    config.write_text(ALSA_CONFIG % sound.pipe)
    return {'ALSA_CONFIG_PATH': str(config)}


@pytest.fixture
def received(ros_node):
    chunks = []
    ros_node.create_subscription(AudioChunk, 'audio', chunks.append, 1000)
    return chunks


@pytest.fixture
def reports(ros_node):
    statuses = []
    ros_node.create_subscription(
        DiagnosticArray, '/diagnostics', lambda message: statuses.extend(message.status), 100
    )
    return statuses


def stamp_ns(chunk):
    return chunk.header.stamp.sec * 10**9 + chunk.header.stamp.nanosec


def test_every_sample_arrives_with_its_number_and_its_time(
    start_node, alsa, sound, received, reports, wait_until
):
    node = start_node('microphone_node', environment=alsa, **PARAMETERS)
    wait_until(lambda: len(received) >= 150, '150 chunks')
    wait_until(lambda: reports, 'diagnostics')
    assert node.stop() == 0
    assert 'Traceback' not in node.output
    chunks = received[:150]
    for chunk in chunks:
        assert (chunk.sample_rate, chunk.channels) == (RATE_HZ, 1)
        assert chunk.sample_format == AudioChunk.FORMAT_S16
        assert chunk.header.frame_id == 'microphone_frame'
        samples = np.frombuffer(chunk.data, '<i2')
        expected = (chunk.first_sample + np.arange(CHUNK)) % PERIOD
        np.testing.assert_array_equal(samples, expected)
    numbers = [chunk.first_sample for chunk in chunks]
    assert numbers == list(range(numbers[0], numbers[0] + 150 * CHUNK, CHUNK))
    # ALSA takes the pipe's data in pieces of its own, so the number that the writer gave them
    # stands for the time to within a buffer.
    late_ms = [(stamp_ns(c) - sound.written_ns[c.first_sample]) / 1e6 for c in chunks[50:]]
    assert -30 < np.median(late_ms) < 150
    # Stamps are smoother than arrivals: chunks join, unless nothing was prompt for two seconds.
    joints = np.diff([stamp_ns(c) for c in chunks[50:]]) - CHUNK * 10**9 // RATE_HZ
    assert np.mean(np.abs(joints) <= 100_001) > 0.9
    assert reports[-1].name == 'microphone: device'
    assert 'robot_mic (16000 Hz, 1 channels)' in reports[-1].hardware_id
    assert reports[-1].level == DiagnosticStatus.OK


def test_sigterm_ends_it_cleanly(start_node, alsa, received, wait_until):
    import signal

    node = start_node('microphone_node', environment=alsa, **PARAMETERS)
    wait_until(lambda: received, 'a chunk')
    assert node.stop(signal.SIGTERM) == 0
    assert 'Traceback' not in node.output


def test_a_device_that_comes_later_is_found(start_node, alsa, received, reports, wait_until):
    config = Path(alsa['ALSA_CONFIG_PATH'])
    good = config.read_text()
    config.write_text(ALSA_WITHOUT)
    node = start_node('microphone_node', environment=alsa, retry_max_s=0.5, **PARAMETERS)
    node.wait_for("no input device 'Robot_'; there are: 0: 'default'; trying again")
    wait_until(lambda: any(s.level == DiagnosticStatus.ERROR for s in reports), 'an error')
    error = next(s for s in reports if s.level == DiagnosticStatus.ERROR)
    assert 'no input device' in error.message
    assert received == []
    config.write_text(good)
    wait_until(lambda: len(received) > 10, 'audio')
    assert received[0].first_sample == 0
    assert node.stop() == 0


#: PortAudio as it is with a device that is read late once, and is unplugged once.
FAULTS = """
import itertools, pyaudio
read, calls = pyaudio.PyAudio.Stream.read, itertools.count()
def fail_at_times(self, *args, **kwargs):
    number = next(calls)
    if number == 50:
        raise OSError(-9981, 'Input overflowed')
    if number == 150:
        raise OSError(-9999, 'Unanticipated host error')
    return read(self, *args, **kwargs)
pyaudio.PyAudio.Stream.read = fail_at_times
"""


def test_an_overflow_is_counted_and_an_unplugged_device_is_opened_again(
    start_node, alsa, received, reports, wait_until
):
    node = start_node('microphone_node', environment=alsa, prelude=FAULTS, **PARAMETERS)
    node.wait_for('lost robot_mic (16000 Hz, 1 channels): [Errno -9999]')
    wait_until(lambda: any('lost robot_mic' in s.message for s in reports), 'the error')
    told = next(s for s in reports if 'lost robot_mic' in s.message)
    assert told.level == DiagnosticStatus.ERROR
    assert {v.key: v.value for v in told.values}['overflows'] == '1'

    def is_back():
        firsts = [chunk.first_sample for chunk in received]
        return 0 in firsts[1:] and reports[-1].level == DiagnosticStatus.OK

    wait_until(is_back, 'sound that is counted anew')
    assert node.stop() == 0


def test_without_pyaudio_it_says_what_to_install(start_process, tmp_path):
    (tmp_path / 'pyaudio.py').write_text('raise ImportError("no PortAudio")')
    process = start_process(
        sys.executable,
        '-c',
        'import sys; from roma_ros.nodes.microphone_node import main; sys.exit(main())',
        cwd=tmp_path,
    )
    line = process.wait_for('cannot start')
    assert 'no PortAudio' in line
    assert 'pip install PyAudio' in line
    assert process.join() == 1


def test_the_level_is_told(start_node, alsa, ros_node, wait_until):
    from rclpy.qos import qos_profile_sensor_data
    from std_msgs.msg import Float32

    from roma_ros.nodes.microphone_node import level_dbfs

    levels = []
    ros_node.create_subscription(
        Float32, 'microphone/level', lambda m: levels.append(m.data), qos_profile_sensor_data
    )
    start_node('microphone_node', environment=alsa, **PARAMETERS)
    wait_until(lambda: len(levels) > 5, 'levels')
    assert all(-60 < level <= 0 for level in levels)  # the ramp is loud, but for its begin
    square = np.array([16384, -16384] * 50, dtype='<i2')
    assert level_dbfs(square.tobytes()) == pytest.approx(-6.02, abs=0.01)
    assert level_dbfs(bytes(640)) == pytest.approx(-120)
