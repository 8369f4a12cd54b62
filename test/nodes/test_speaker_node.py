"""The loudspeaker on a real device of ALSA without hardware."""

import fcntl
import itertools
import os
import sys
import threading

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pyaudio', reason='PyAudio is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from roma_ros.msg import AudioChunk, Utterance
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

pytestmark = pytest.mark.ros

ALSA_WITHOUT = 'pcm.!default { type null }\nctl.!default { type null }\n'
ALSA_CONFIG = (
    ALSA_WITHOUT
    + """
pcm.robot_speaker {
  type file
  slave.pcm { type null }
  file "%s"
  format raw
  hint { show on description "a loudspeaker" }
}
"""
)
#: One second of a constant sound for each word, as its number.
VOICE = """
import sys, wave
words = sys.stdin.read().split()
with wave.open(sys.stdout.buffer, 'wb') as sound:
    sound.setparams((1, 2, 16000, 0, 'NONE', ''))
    sound.writeframesraw(b''.join(int(w).to_bytes(2, 'little') * 16000 for w in words))
"""
LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Loudspeaker:
    """Hears what is played, at the pace of a sound card: its pipe holds an eighth of a second."""

    def __init__(self, pipe):
        os.mkfifo(pipe)
        self.descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.descriptor, 1031, 4096)  # F_SETPIPE_SZ
        self.heard = bytearray()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while not self.stopping.wait(0.02):
            try:
                self.heard += os.read(self.descriptor, 640 * 4)  # up to four times as fast
            except BlockingIOError:
                continue

    @property
    def words(self):
        """Return the numbers heard, each with how long it was heard [s]."""
        samples = np.frombuffer(bytes(self.heard[: len(self.heard) // 2 * 2]), dtype='<i2')
        return {int(n): (samples == n).sum() / 16000 for n in np.unique(samples) if n}


@pytest.fixture
def loudspeaker(tmp_path):
    loudspeaker = Loudspeaker(tmp_path / 'sound')
    yield loudspeaker
    loudspeaker.stopping.set()
    loudspeaker.thread.join()
    os.close(loudspeaker.descriptor)


@pytest.fixture
def start_speaker(start_node, tmp_path, loudspeaker):
    def start(config=ALSA_CONFIG, **parameters):
        file = tmp_path / 'asound.conf'
        file.write_text(config.replace('%s', str(tmp_path / 'sound')))
        voice = tmp_path / 'voice.py'
        voice.write_text(VOICE)
        return start_node(
            'speaker_node',
            environment={'ALSA_CONFIG_PATH': str(file)},
            device='robot_',
            voice_command=f"['{sys.executable}', '{voice}']",
            **parameters,
        )

    return start


@pytest.fixture
def robot(ros_node, wait_until):
    """Says utterances, and follows whether they are spoken."""

    class Robot:
        def __init__(self):
            self.speaking = []  # since what was waited for last
            self.reports = []
            self.publisher = ros_node.create_publisher(Utterance, 'utterance', 10)
            self.barge_in = ros_node.create_publisher(Bool, 'barge_in', 10)
            ros_node.create_subscription(
                Bool, 'is_speaking', lambda m: self.speaking.append(m.data), LATCHED
            )
            ros_node.create_subscription(
                DiagnosticArray, '/diagnostics', lambda m: self.reports.extend(m.status), 100
            )

        def say(self, number, kind, text):
            wait_until(lambda: self.publisher.get_subscription_count(), 'the speaker')
            self.publisher.publish(Utterance(id=number, kind=kind, text=text))

        def wait_until_it(self, speaks):
            """Wait for the next word of it, though it may be over by now."""
            wait_until(lambda: speaks in self.speaking, f'speaks: {speaks}')
            del self.speaking[: self.speaking.index(speaks) + 1]

    return Robot()


def test_speaks_and_tells_while_it_does(start_speaker, robot, loudspeaker, wait_until):
    process = start_speaker()
    robot.wait_until_it(False)
    robot.say(1, Utterance.KIND_ANSWER, '7')
    robot.say(1, Utterance.KIND_ANSWER, '8')
    robot.wait_until_it(True)
    wait_until(lambda: loudspeaker.words == {7: 1.0, 8: 1.0}, 'both words')
    robot.wait_until_it(False)
    assert process.stop() == 0
    assert 'Traceback' not in process.output


def test_an_alert_cuts_off_a_narration(start_speaker, robot, loudspeaker, wait_until):
    start_speaker()
    robot.say(1, Utterance.KIND_NARRATION, '5 ' * 120)
    robot.wait_until_it(True)
    robot.say(2, Utterance.KIND_ALERT, '9')
    wait_until(lambda: loudspeaker.words.get(9) == 1.0, 'the alert')
    assert loudspeaker.words[5] < 110
    robot.wait_until_it(False)


def test_barge_in_and_stop_mean_be_quiet(start_speaker, robot, loudspeaker, call, wait_until):
    start_speaker()
    robot.say(1, Utterance.KIND_ALERT, '5 ' * 240)
    robot.wait_until_it(True)
    wait_until(lambda: robot.barge_in.get_subscription_count(), 'the subscription')
    robot.barge_in.publish(Bool(data=True))
    robot.wait_until_it(False)
    robot.say(2, Utterance.KIND_ALERT, '6 ' * 240)
    robot.wait_until_it(True)
    assert call(Trigger, 'speaker/stop').success
    robot.wait_until_it(False)
    assert all(heard_s < 200 for heard_s in loudspeaker.words.values())


def test_a_missing_device_is_named_and_found_later(start_speaker, robot, tmp_path, wait_until):
    start_speaker(config=ALSA_WITHOUT, retry_max_s=0.5)
    wait_until(lambda: any('no output device' in r.message for r in robot.reports), 'the reason')
    (tmp_path / 'asound.conf').write_text(ALSA_CONFIG % (tmp_path / 'sound'))
    wait_until(lambda: robot.reports[-1].level == b'\x00', 'the recovery')


def test_a_voice_that_is_not_there_ends_the_node(start_node):
    process = start_node('speaker_node', prelude='import sys; sys.modules["hibari"] = None')
    assert process.join() == 1
    assert 'pip install hibari-tts' in process.output


def test_what_is_played_is_told_sample_by_sample(
    start_speaker, robot, loudspeaker, ros_node, wait_until
):
    process = start_speaker()
    robot.wait_until_it(False)
    told = []
    ros_node.create_subscription(AudioChunk, 'audio_reference', told.append, 1000)
    for number in itertools.count(1):  # it tells who listens, from when it knows of them
        robot.say(number, Utterance.KIND_ANSWER, '7')
        robot.wait_until_it(True)
        robot.wait_until_it(False)
        if told:
            break
    # What else there is of this one comes before the next.
    robot.say(number + 1, Utterance.KIND_ANSWER, '8')
    wait_until(lambda: told[-1].data[0] == 8, 'the next word')
    while told[0].data[0] == 7:
        del told[0]
    robot.wait_until_it(True)
    robot.wait_until_it(False)
    wait_until(lambda: sum(len(c.data) for c in told) >= 2 * 16_000, 'the whole word')
    samples = np.concatenate([np.frombuffer(bytes(c.data), '<i2') for c in told])
    assert set(samples) == {8}
    assert {(c.sample_rate, c.channels) for c in told} == {(16_000, 1)}
    numbers = [c.first_sample for c in told]
    assert np.diff(numbers) == pytest.approx(320)
    stamps = [c.header.stamp.sec * 10**9 + c.header.stamp.nanosec for c in told]
    assert set(np.diff(stamps)) == {20_000_000}
    assert process.stop() == 0
