"""``roma sync-check`` on a film and a bag with a known offset, and live on one that is played."""

from pathlib import Path
import re
import sys

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / 'evaluation'))  # for claps.py
from claps import clap_times, pictures, RATE_HZ, sound

FPS = 30
RESULT = re.compile(
    r'the (?P<which>\w+) is stamped (?P<by_ms>\d+) ms later than the \w+, ± (?P<fuzzy_ms>\d+) ms\n'
    r'\((?P<claps>\d+) claps, each ± \d+ ms; \d+ left out\)\n(?P<advice>.+)\n'
)


def write_film(path, claps_s, *, image_late_s):
    """Write the claps as a film whose pictures are stamped late, each by so much."""
    av = pytest.importorskip('av', reason='PyAV is not installed')
    samples = np.round(sound(claps_s)[1].T * 32767).astype(np.int16)
    with av.open(str(path), 'w') as container:
        video = container.add_stream('mjpeg', rate=FPS)
        images = list(pictures(claps_s, fps=FPS))
        height, width = images[0][1].shape[:2]
        video.width, video.height, video.pix_fmt = width, height, 'yuvj420p'
        audio = container.add_stream('pcm_s16le', rate=RATE_HZ, layout='mono')
        for index, (_, image) in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts = index + round(image_late_s * FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
        frame.sample_rate, frame.pts = RATE_HZ, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


def write_bag(path, claps_s, *, audio_late_s):
    """Write the claps as a bag of raw images and chunks of 20 ms."""
    rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
    from rosbags.typesys import get_types_from_msg, get_typestore, Stores

    store = get_typestore(Stores.ROS2_KILTED)
    definition = (Path(__file__).parents[2] / 'msg' / 'AudioChunk.msg').read_text()
    store.register(get_types_from_msg(definition, 'roma_ros/msg/AudioChunk'))
    types = store.types

    def header(stamp_ns):
        stamp = types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
        return types['std_msgs/msg/Header'](stamp, '')

    messages = []
    for stamp_ns, image in pictures(claps_s, fps=FPS):
        height, width = image.shape[:2]
        messages.append(
            (
                stamp_ns,
                'sensor_msgs/msg/Image',
                (height, width, 'rgb8', 0, 3 * width, image.reshape(-1)),
            )
        )
    begin_ns, samples = sound(claps_s, late_s=audio_late_s)
    pcm = np.round(samples[:, 0] * 32767).astype('<i2')
    for first in range(0, len(pcm) - 960, 960):
        data = pcm[first : first + 960].view(np.uint8)
        messages.append(
            (
                begin_ns + first * 10**9 // RATE_HZ,
                'roma_ros/msg/AudioChunk',
                (RATE_HZ, 1, 2, first, data),
            )
        )
    with rosbag2.Writer(path, version=9) as writer:
        connections = {
            name: writer.add_connection(topic, name, typestore=store)
            for topic, name in (
                ('/image', 'sensor_msgs/msg/Image'),
                ('/audio', 'roma_ros/msg/AudioChunk'),
            )
        }
        for stamp_ns, name, values in sorted(messages, key=lambda m: m[0]):
            message = types[name](header(stamp_ns), *values)
            writer.write(connections[name], stamp_ns, store.serialize_cdr(message, name))
    return path


def read_result(done):
    assert done.returncode == 0, done.stderr
    result = RESULT.search(done.stdout)
    assert result, done.stdout
    return result


@pytest.fixture(scope='module')
def late_film(tmp_path_factory):
    """Return a film of thirteen claps whose pictures are 0.1 s late."""
    path = tmp_path_factory.mktemp('claps') / 'claps.mkv'
    return write_film(path, clap_times(13), image_late_s=0.1)


def test_a_late_camera_is_measured_in_a_film(roma, late_film):
    result = read_result(roma('sync-check', late_film))
    assert result['which'] == 'camera'
    assert float(result['by_ms']) == pytest.approx(100, abs=10)
    assert int(result['claps']) >= 11
    name, value = result['advice'].split(': ')
    assert name == 'image_offset_s'
    assert float(value) == pytest.approx(-0.1, abs=0.01)


def test_the_advice_is_a_parameter_of_the_node(roma, late_film):
    from roma_ros.nodes.parameter_tables import RomaParameters

    name, value = read_result(roma('sync-check', late_film))['advice'].split(': ')
    assert getattr(RomaParameters(**{name: float(value)}), name) == float(value)
    assert hasattr(RomaParameters(), 'audio_offset_s')


def test_sensors_that_agree_are_left_alone(roma, tmp_path):
    film = write_film(tmp_path / 'claps.mkv', clap_times(8), image_late_s=0.0)
    assert read_result(roma('sync-check', film))['advice'].startswith('that is well: leave')


def test_a_late_microphone_is_measured_in_a_bag(roma, tmp_path):
    path = write_bag(tmp_path / 'claps', clap_times(8), audio_late_s=0.12)
    result = read_result(roma('sync-check', path))
    assert result['which'] == 'microphone'
    assert float(result['by_ms']) == pytest.approx(120, abs=10)
    assert result['advice'].startswith('audio_offset_s: -0.1')


@pytest.mark.parametrize('seconds', ['4', '0'])
def test_too_few_claps_are_refused(roma, late_film, seconds):
    done = roma('sync-check', late_film, '--seconds', seconds)
    assert done.returncode == 1
    assert 'at least 5 are needed' in done.stderr
    assert 'Clap near the camera' in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ('name', 'words'), [('none.mkv', 'no media file'), ('none.mcap', 'no bag')]
)
def test_what_is_not_there_is_told(roma, tmp_path, name, words):
    done = roma('sync-check', tmp_path / name)
    assert done.returncode == 1
    assert words in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.ros
def test_live_topics_are_measured(roma, robot_environment, late_film):
    from robot import start_node

    # Topics of its own: the robot of the other tests may be running.
    topics = ('/claps/image', '/claps/audio')
    player = start_node(
        'playback_node',
        robot_environment,
        remap={'image': topics[0], 'audio': topics[1]},
        source=late_film,
        wait_for_subscribers=1,
    )
    done = roma(
        'sync-check',
        *('--image-topic', topics[0], '--audio-topic', topics[1].lstrip('/')),
        *('--seconds', '150'),  # it ends by itself, after twelve claps
        timeout=250,
        **robot_environment,
    )
    player.stop()
    result = read_result(done)
    assert result['which'] == 'camera'
    assert float(result['by_ms']) == pytest.approx(100, abs=10)
    assert 'clap your hands before the camera' in done.stdout
    assert 'claps heard' in done.stdout


@pytest.mark.ros
def test_topics_that_nobody_publishes_are_named(roma, robot_environment):
    done = roma(
        'sync-check', '--image-topic', '/nowhere', '--audio-topic', '/no', **robot_environment
    )
    assert done.returncode == 1
    assert 'nobody publishes /nowhere and /no' in done.stderr
