from pathlib import Path
import signal
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('av', reason='PyAV is not installed')

import av
from rclpy.qos import QoSProfile, ReliabilityPolicy
from roma_ros.msg import AudioChunk
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from roma_ros.nodes.conversions import fill_audio_chunk, fill_image, ns_to_time, time_to_ns

pytestmark = pytest.mark.ros

SECOND_NS = 10**9
WIDTH, HEIGHT, FPS, RATE_HZ = 64, 48, 30, 16_000
NUM_IMAGES, NUM_SAMPLES = 60, 2 * RATE_HZ


def grey(number):
    return 4 * number


def write_media(path):
    """Write two lossless seconds: image n has the grey 4 n; sample n is n."""
    with av.open(str(path), 'w') as container:
        video = container.add_stream('ffv1', rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, 'bgr0'
        audio = container.add_stream('pcm_s16le', rate=RATE_HZ, layout='mono')
        for number in range(NUM_IMAGES):
            pixels = np.full((HEIGHT, WIDTH, 3), grey(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
            frame.pts = number
            container.mux(video.encode(frame.reformat(format='bgr0')))
        container.mux(video.encode())
        samples = np.arange(NUM_SAMPLES, dtype=np.int16)[None]
        for first in range(0, NUM_SAMPLES, 1_000):
            frame = av.AudioFrame.from_ndarray(
                samples[:, first : first + 1_000], format='s16', layout='mono'
            )
            frame.sample_rate, frame.pts = RATE_HZ, first
            container.mux(audio.encode(frame))
        container.mux(audio.encode())


@pytest.fixture(scope='module')
def media(tmp_path_factory):
    path = tmp_path_factory.mktemp('media') / 'two_seconds.avi'
    write_media(path)
    return path


class Inputs:
    """What arrived on the topics."""

    def __init__(self, node):
        self.images, self.chunks, self.clock, self.compressed = [], [], [], []
        best_effort = QoSProfile(depth=2000, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(Image, 'image', self.images.append, 2000)
        node.create_subscription(CompressedImage, 'image/compressed', self.compressed.append, 2000)
        node.create_subscription(AudioChunk, 'audio', self.chunks.append, 5000)
        node.create_subscription(Clock, '/clock', self.clock.append, best_effort)

    @property
    def levels(self):
        """The grey of each image; its number is a quarter of it."""
        return [int(np.frombuffer(message.data, np.uint8).mean()) for message in self.images]

    @property
    def samples(self):
        return np.concatenate([np.frombuffer(c.data, '<i2') for c in self.chunks])


@pytest.fixture
def inputs(ros_node):
    return Inputs(ros_node)


@pytest.fixture
def check_whole(wait_until):
    """Wait until all has been taken of what arrived, and check it."""

    def check(inputs):
        wait_until(lambda: len(inputs.images) >= NUM_IMAGES, 'all images')
        wait_until(lambda: len(inputs.chunks) >= NUM_SAMPLES // 320, 'all chunks')
        check_order_and_time(inputs)

    return check


def stamps_of(messages):
    return np.array([time_to_ns(message.header.stamp) for message in messages])


def check_order_and_time(inputs):
    """Every image and every sample has arrived once, in order, with its time."""
    assert inputs.levels == [grey(number) for number in range(NUM_IMAGES)]
    np.testing.assert_array_equal(inputs.samples, np.arange(NUM_SAMPLES))
    image_ns, chunk_ns = stamps_of(inputs.images), stamps_of(inputs.chunks)
    first_samples = [chunk.first_sample for chunk in inputs.chunks]
    assert first_samples == list(range(0, NUM_SAMPLES, 320))
    begin_ns = image_ns[0]
    expected_ns = begin_ns + np.arange(NUM_IMAGES) * SECOND_NS // FPS
    assert np.abs(image_ns - expected_ns).max() <= 1
    np.testing.assert_array_equal(
        chunk_ns, begin_ns + np.array(first_samples) * SECOND_NS // RATE_HZ
    )


def test_a_media_file_arrives_whole_in_order_and_on_one_time(
    start_node, ros_node, inputs, check_whole, media
):
    begin_ns = ros_node.get_clock().now().nanoseconds
    node = start_node('playback_node', source=media, wait_for_subscribers=1)
    assert node.join() == 0
    end_ns = ros_node.get_clock().now().nanoseconds
    check_whole(inputs)
    image_ns = stamps_of(inputs.images)
    assert begin_ns < image_ns[0]
    assert image_ns[-1] < end_ns, 'an image was published before its capture time'
    message, chunk = inputs.images[0], inputs.chunks[0]
    assert (message.width, message.height, message.step) == (WIDTH, HEIGHT, 3 * WIDTH)
    assert (message.encoding, message.is_bigendian) == ('rgb8', 0)
    assert message.header.frame_id == 'camera_optical_frame'
    assert (chunk.sample_rate, chunk.channels) == (RATE_HZ, 1)
    assert chunk.sample_format == AudioChunk.FORMAT_S16
    assert chunk.header.frame_id == 'microphone_frame'
    assert f'60 images, 100 audio chunks ({NUM_SAMPLES} samples)' in node.output
    assert inputs.clock == []
    assert 'Traceback' not in node.output


def test_it_waits_for_subscribers(start_node, ros_node, check_whole, wait_until, media):
    node = start_node('playback_node', source=media, wait_for_subscribers=1)
    node.wait_for('waiting for 1 subscribers')
    images = []
    ros_node.create_subscription(Image, 'image', images.append, 200)
    wait_until(lambda: ros_node.count_publishers('image'))
    assert images == []  # there is one for images, but none for audio yet
    inputs = Inputs(ros_node)
    assert node.join() == 0
    check_whole(inputs)


def test_it_does_not_wait_for_ever(start_node, ros_node, media):
    node = start_node(
        'playback_node',
        source=media,
        wait_for_subscribers=2,
        subscribers_timeout_s=0.5,
        rate=20.0,
        publish_clock=True,
    )
    assert node.join() == 0
    assert 'waited 0.5 s for 2 subscribers, begin with 0 of /image, 0 of /audio' in node.output
    assert '60 images' in node.output


def test_clock_is_the_time_of_the_recording(start_node, inputs, check_whole, wait_until, media):
    node = start_node(
        'playback_node', source=media, wait_for_subscribers=1, rate=4.0, publish_clock=True
    )
    assert node.join() == 0
    check_whole(inputs)
    begin_ns = stamps_of(inputs.images)[0]

    def told():
        return np.array([time_to_ns(message.clock) for message in inputs.clock]) - begin_ns

    # Of the recording, not of the wall.
    wait_until(lambda: len(told()) and told()[-1] > 1.9 * SECOND_NS, 'the end')
    assert np.all(np.diff(told()) >= 0)
    assert told()[0] + SECOND_NS // FPS >= 0
    assert told()[-1] <= 2 * SECOND_NS


def test_a_loop_goes_on_without_a_seam(start_node, inputs, wait_until, media):
    node = start_node(
        'playback_node',
        source=media,
        wait_for_subscribers=1,
        loop=True,
        rate=5.0,
        publish_clock=True,
    )
    wait_until(lambda: len(inputs.images) > 2.5 * NUM_IMAGES, 'two rounds')
    assert node.stop() == 0
    assert 'Traceback' not in node.output
    numbers = [level // 4 for level in inputs.levels]
    assert numbers == [i % NUM_IMAGES for i in range(len(numbers))]
    expected_ns = np.arange(len(numbers)) * SECOND_NS / FPS
    np.testing.assert_allclose(
        stamps_of(inputs.images) - stamps_of(inputs.images)[0], expected_ns, atol=2
    )
    firsts = [chunk.first_sample for chunk in inputs.chunks]
    assert firsts == list(range(0, 320 * len(firsts), 320))


def test_images_are_resized_thinned_out_and_compressed(start_node, inputs, wait_until, media):
    node = start_node(
        'playback_node',
        source=media,
        wait_for_subscribers=1,
        image_transport='compressed',
        height=24,
        max_fps=10.0,
        rate=5.0,
        publish_clock=True,
    )
    assert node.join() == 0
    cv2 = pytest.importorskip('cv2', reason='OpenCV is not installed')
    assert inputs.images == []
    wait_until(lambda: len(inputs.chunks) >= NUM_SAMPLES // 320, 'all chunks')
    wait_until(lambda: len(inputs.compressed) >= 20, 'all images')
    assert len(inputs.compressed) in (20, 21)
    for message in inputs.compressed:
        pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels.shape == (HEIGHT // 2, WIDTH // 2, 3)
    np.testing.assert_array_equal(inputs.samples, np.arange(NUM_SAMPLES))


def test_what_is_late_is_counted_and_nothing_is_left_out(start_node, inputs, wait_until, media):
    node = start_node('playback_node', source=media, wait_for_subscribers=1, loop=True)
    wait_until(lambda: len(inputs.images) > 5, 'images')
    node.process.send_signal(signal.SIGSTOP)  # a machine that is busy with something else
    time.sleep(0.7)
    node.process.send_signal(signal.SIGCONT)
    wait_until(lambda: len(inputs.images) > 2 * NUM_IMAGES, 'two rounds')
    node.wait_for('falls behind')
    assert node.stop() == 0
    numbers = [level // 4 for level in inputs.levels]
    assert numbers == [i % NUM_IMAGES for i in range(len(numbers))]
    late = int(node.wait_for('messages late, worst').split(' messages late')[0].split()[-1])
    assert late > 10


def write_bag(path, *, begin_ns):
    """Write a bag with rosbags: ten images and a second of stereo audio with a gap."""
    rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
    from rclpy.serialization import serialize_message
    from rosbags.typesys import get_types_from_msg, get_typestore, Stores

    store = get_typestore(Stores.LATEST)
    definition = (Path(__file__).resolve().parents[2] / 'msg' / 'AudioChunk.msg').read_text()
    store.register(get_types_from_msg(definition, 'roma_ros/msg/AudioChunk'))
    messages = []
    for number in range(10):
        message = Image()
        fill_image(message, np.full((HEIGHT, WIDTH, 3), grey(number), np.uint8))
        message.header.stamp = ns_to_time(begin_ns + number * 100_000_000)
        messages.append(('/cam', 'sensor_msgs/msg/Image', message))
    for number in range(100):
        if 40 <= number < 60:
            continue
        chunk = AudioChunk()
        samples = np.full((160, 2), number / 256, np.float32)
        fill_audio_chunk(chunk, samples, rate_hz=RATE_HZ, first_sample=5_000 + 160 * number)
        chunk.header.stamp = ns_to_time(begin_ns + 3_000_000 + number * 10_000_000)
        messages.append(('/mic', 'roma_ros/msg/AudioChunk', chunk))
    messages.sort(key=lambda entry: time_to_ns(entry[2].header.stamp))
    with rosbag2.Writer(path, version=9) as writer:
        connections = {}
        for topic, name, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=store)
            stamp_ns = time_to_ns(message.header.stamp)
            writer.write(connections[topic], stamp_ns, serialize_message(message))


def test_a_bag_keeps_its_stamps_chunks_and_gaps(start_node, inputs, wait_until, tmp_path):
    begin_ns = 1_700_000_000 * SECOND_NS
    write_bag(tmp_path / 'bag', begin_ns=begin_ns)
    node = start_node(
        'playback_node', source=tmp_path / 'bag', wait_for_subscribers=1, publish_clock=True
    )
    assert node.join() == 0
    wait_until(lambda: len(inputs.images) >= 10 and len(inputs.chunks) >= 80, 'all of it')
    assert inputs.levels == [grey(number) for number in range(10)]
    expected_ns = begin_ns + np.arange(10) * 100_000_000
    np.testing.assert_array_equal(stamps_of(inputs.images), expected_ns)
    numbers = [n for n in range(100) if not 40 <= n < 60]
    assert [c.first_sample for c in inputs.chunks] == [5_000 + 160 * n for n in numbers]
    expected_ns = begin_ns + 3_000_000 + np.array(numbers) * 10_000_000
    np.testing.assert_array_equal(stamps_of(inputs.chunks), expected_ns)
    for number, chunk in zip(numbers, inputs.chunks, strict=True):
        assert chunk.channels == 2
        np.testing.assert_array_equal(np.frombuffer(chunk.data, '<i2'), 128 * number)
    clock_ns = time_to_ns(inputs.clock[-1].clock)
    assert begin_ns + 900_000_000 <= clock_ns <= begin_ns + 1_100_000_000


def test_an_empty_bag_ends_at_once(start_node, tmp_path):
    rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
    from rosbags.typesys import get_typestore, Stores

    with rosbag2.Writer(tmp_path / 'bag', version=9) as writer:
        store = get_typestore(Stores.LATEST)
        writer.add_connection('/image', 'sensor_msgs/msg/Image', typestore=store)
    node = start_node('playback_node', source=tmp_path / 'bag')
    assert node.join() == 0
    assert '0 images, 0 audio chunks' in node.output


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('', 'parameter source is empty'),
        ('missing.mp4', 'no media file'),
        ('missing.mcap', 'no bag'),
        ('text.mp4', 'not a media file'),
    ],
)
def test_a_source_that_cannot_be_played_is_told(start_node, tmp_path, name, reason):
    (tmp_path / 'text.mp4').write_text('not a video')
    source = tmp_path / name if name else "''"
    node = start_node('playback_node', source=source)
    assert node.join() == 1
    assert f'cannot start: {reason}' in node.output
    assert 'Traceback' not in node.output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_stays_at_the_end_until_it_is_told_to_go(start_node, media, number):
    node = start_node(
        'playback_node', source=media, exit_at_end=False, rate=20.0, publish_clock=True
    )
    node.wait_for('60 images')
    assert node.process.poll() is None
    assert node.stop(number) == 0
    assert 'Traceback' not in node.output
