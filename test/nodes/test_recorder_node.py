import itertools
import signal
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mcap', reason='mcap is not installed')
pytest.importorskip('cv2', reason='OpenCV is not installed')

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from roma_ros.msg import AudioChunk, Highlight, Instruction, SpeakScore, Status, Utterance
from sensor_msgs.msg import CompressedImage, Image

from roma_ros.nodes.conversions import fill_audio_chunk, fill_image, ns_to_time, time_to_ns
from roma_ros.nodes.message_definitions import import_message

pytestmark = pytest.mark.ros

WIDTH, HEIGHT = 160, 120
BEGIN_NS = 1_763_800_000_000_000_123


def make_image(number):
    """Make an image whose left half tells its number, and whose right half is red."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2] = 5 * number
    pixels[:, WIDTH // 2 :] = (255, 0, 0)
    message = Image()
    fill_image(message, pixels)
    message.header.stamp = ns_to_time(BEGIN_NS + number * 33_000_000)
    message.header.frame_id = 'camera_optical_frame'
    return message


def make_chunk(number):
    chunk = AudioChunk()
    samples = np.random.default_rng(number).normal(0, 0.1, (320, 1)).astype(np.float32)
    fill_audio_chunk(chunk, samples, rate_hz=16_000, first_sample=320 * number)
    chunk.header.stamp = ns_to_time(BEGIN_NS + number * 20_000_000)
    return chunk


OUTPUTS = {
    'roma/speak_score': SpeakScore(unit_index=7, probability=0.25, instruction_id='alert-1'),
    'roma/utterance': Utterance(id=3, text='Ein Fahrrad, „schnell“.', final=True),
    'roma/highlight': Highlight(id=2, instruction='a cyclist', score=0.5),
    'roma/status': Status(units=9, instructions=[Instruction(id='a', text='b')]),
    '/diagnostics': DiagnosticArray(status=[DiagnosticStatus(name='x', message='y')]),
}
for _number, _message in enumerate(OUTPUTS.values()):
    _message.header.stamp = ns_to_time(BEGIN_NS + _number)


@pytest.fixture
def publishers(ros_node):
    """Publishers of all that the recorder writes; the score's is best effort, as the node's."""
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    result = {
        'image': ros_node.create_publisher(Image, 'image', 50),
        'audio': ros_node.create_publisher(AudioChunk, 'audio', 100),
    }
    for topic, message in OUTPUTS.items():
        qos = best_effort if topic.endswith('score') else 10
        result[topic] = ros_node.create_publisher(type(message), topic, qos)
    return result


@pytest.fixture
def start_recorder(start_node, publishers, wait_until, tmp_path):
    def start(**parameters):
        path = tmp_path / 'stream.mcap'
        node = start_node('recorder_node', path=path, **parameters)
        wait_until(
            lambda: all(p.get_subscription_count() for p in publishers.values()), 'subscriptions'
        )
        return node, path

    return start


def read(path):
    """Return the messages of each topic, deserialized, with their records."""
    topics = {}
    with path.open('rb') as file:
        for schema, channel, message in make_reader(file).iter_messages():
            data = deserialize_message(message.data, import_message(schema.name))
            topics.setdefault(channel.topic, []).append((data, message))
    return topics


def count_in_file(path, topic):
    """Count messages that have reached the disk, as after a crash."""
    channels, count = {}, 0
    with path.open('rb') as file:
        try:
            for record in StreamReader(file).records:
                if isinstance(record, Channel):
                    channels[record.id] = record.topic
                count += isinstance(record, Message) and channels[record.channel_id] == topic
        except (McapError, EOFError):
            pass
    return count


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_what_was_published_is_in_the_file(
    start_recorder, publishers, ros_node, wait_until, number
):
    begin_ns = ros_node.get_clock().now().nanoseconds
    node, path = start_recorder()
    # The best-effort score is heard from the moment that the recorder has noticed.
    node.wait_for('/roma/speak_score is published best effort')
    wait_until(lambda: publishers['roma/speak_score'].get_subscription_count())
    images, chunks = [make_image(n) for n in range(40)], [make_chunk(n) for n in range(80)]
    for image in images:
        publishers['image'].publish(image)
    for chunk in chunks:
        publishers['audio'].publish(chunk)
    for topic, message in OUTPUTS.items():
        publishers[topic].publish(message)
    for publisher in publishers.values():
        publisher.wait_for_all_acked()
    assert node.stop(number) == 0
    end_ns = ros_node.get_clock().now().nanoseconds
    assert 'Traceback' not in node.output
    assert '40 of /image/compressed, 80 of /audio, 1 of /roma/speak_score' in node.output

    topics = read(path)
    assert [data for data, _ in topics['/audio']] == chunks
    for topic, expected in OUTPUTS.items():
        assert [data for data, _ in topics['/' + topic.lstrip('/')]] == [expected]
    assert len(topics['/image/compressed']) == 40
    for original, (data, record) in zip(images, topics['/image/compressed'], strict=True):
        assert isinstance(data, CompressedImage)
        assert data.header == original.header
        assert record.publish_time == time_to_ns(original.header.stamp)
        assert begin_ns < record.log_time < end_ns
        pixels = cv2.imdecode(np.frombuffer(data.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        expected = np.frombuffer(original.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
        np.testing.assert_allclose(
            pixels[::20, 10::20].astype(int), expected[::20, 10::20], atol=9
        )


def test_the_file_opens_without_ros(start_recorder, publishers):
    highlevel = pytest.importorskip('rosbags.highlevel', reason='rosbags is not installed')
    node, path = start_recorder()
    publishers['image'].publish(make_image(3))
    publishers['audio'].publish(make_chunk(5))
    publishers['roma/utterance'].publish(OUTPUTS['roma/utterance'])
    for publisher in publishers.values():
        publisher.wait_for_all_acked()
    assert node.stop() == 0
    texts, firsts = [], []
    with highlevel.AnyReader([path]) as reader:  # the types come from the file alone
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == '/roma/utterance':
                texts.append(message.text)
            if connection.topic == '/audio':
                firsts.append(message.first_sample)
    assert texts == [OUTPUTS['roma/utterance'].text]
    assert firsts == [5 * 320]


def test_a_killed_recorder_leaves_a_file_that_can_be_read(start_recorder, publishers, wait_until):
    node, path = start_recorder()
    numbers = itertools.count()

    def is_on_disk():
        for _ in range(100):
            publishers['audio'].publish(make_chunk(next(numbers)))
            time.sleep(0.001)  # as much as the queues hold, at most
        return count_in_file(path, '/audio') > 1_000

    wait_until(is_on_disk, 'a thousand chunks on the disk')
    assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    assert count_in_file(path, '/audio') > 1_000


def test_images_that_come_too_fast_are_counted_and_sound_is_kept(start_recorder, publishers):
    node, path = start_recorder(queue_capacity=1)
    pixels = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    large = Image()
    fill_image(large, pixels)
    for number in range(30):
        publishers['image'].publish(large)
        publishers['audio'].publish(make_chunk(number))
    for publisher in publishers.values():
        publisher.wait_for_all_acked()
    assert node.stop() == 0
    line = node.wait_for('dropped')
    topics = read(path)
    written = len(topics['/image/compressed'])
    summary = node.wait_for(f'{written} of /image/compressed')
    assert f'dropped {30 - written} images' in summary
    assert written < 30
    assert 'slower than they come' in line
    assert [data.first_sample for data, _ in topics['/audio']] == [320 * n for n in range(30)]


def test_an_image_that_cannot_be_read_is_counted(start_recorder, publishers):
    node, path = start_recorder()
    broken = make_image(1)
    broken.encoding = 'polka_dots'
    publishers['image'].publish(broken)
    publishers['image'].publish(make_image(2))
    publishers['image'].wait_for_all_acked()
    assert node.stop() == 0
    assert 'polka_dots' in node.wait_for('image left out')
    assert '1 unreadable' in node.output
    assert len(read(path)['/image/compressed']) == 1


def test_a_file_that_exists_is_not_touched(start_node, tmp_path):
    path = tmp_path / 'stream.mcap'
    path.write_text('precious')
    node = start_node('recorder_node', path=path)
    assert node.join() == 1
    assert 'exists; remove it or choose another path' in node.output
    assert 'Traceback' not in node.output
    assert path.read_text() == 'precious'


def test_a_topic_that_cannot_be_read_is_told(start_node, tmp_path):
    path = tmp_path / 'stream.mcap'
    node = start_node('recorder_node', path=path, topics="['image']")
    assert node.join() == 1
    assert "cannot read the topic 'image'; write name and type" in node.output
    assert not path.exists()
