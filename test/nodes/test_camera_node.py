import signal
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('cv2', reason='OpenCV is not installed')

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import CompressedImage, Image

from roma_ros.nodes.camera_node import capture_stamp_ns

NUM_IMAGES, WIDTH, HEIGHT = 20, 64, 48


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Write a lossless video whose image n has the grey level 10 n, and a red corner."""
    path = tmp_path_factory.mktemp('video') / 'camera.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'FFV1'), 30, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(NUM_IMAGES):
        image = np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)
        image[:8, :8] = (0, 0, 255)
        writer.write(image)
    writer.release()
    return path


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.ros
def test_images_arrive_as_captured_and_a_lost_camera_comes_back(
    start_node, ros_node, wait_until, video
):
    images, reports = [], []
    ros_node.create_subscription(Image, 'image', images.append, 1000)
    ros_node.create_subscription(
        DiagnosticArray, '/diagnostics', lambda message: reports.extend(message.status), 100
    )
    begin_ns = time.time_ns()
    # The video ends after two thirds of a second, like a camera that is unplugged, and begins
    # again.
    node = start_node('camera_node', device=video, frame_id='head_camera_optical_frame')
    wait_until(lambda: len(images) > 2 * NUM_IMAGES, 'the video, twice')
    wait_until(lambda: any(s.level == DiagnosticStatus.ERROR for s in reports), 'an error')
    assert node.stop() == 0
    assert 'Traceback' not in node.output
    levels = []
    for message in images:
        assert (message.width, message.height, message.step) == (WIDTH, HEIGHT, 3 * WIDTH)
        assert (message.encoding, message.is_bigendian) == ('bgr8', 0)
        assert message.header.frame_id == 'head_camera_optical_frame'
        array = np.frombuffer(message.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
        np.testing.assert_allclose(array[2, 2].astype(int), [0, 0, 255], atol=4)
        levels.append(round(int(array[-1, -1, 0]) / 10))
    first = levels[0]
    expected = [(first + i) % NUM_IMAGES for i in range(len(levels))]
    assert levels == expected
    stamps = [stamp_ns(message) for message in images]
    assert begin_ns < stamps[0]
    assert stamps[-1] < time.time_ns()
    assert np.all(np.diff(stamps) > 0)
    error = next(s for s in reports if s.level == DiagnosticStatus.ERROR)
    assert error.name == 'camera: device'
    assert 'lost the camera' in error.message
    assert 'lost the camera' in node.output


@pytest.mark.ros
def test_compressed_images_are_jpeg(start_node, ros_node, wait_until, video):
    images = []
    ros_node.create_subscription(CompressedImage, 'image/compressed', images.append, 1000)
    node = start_node('camera_node', device=video, image_transport='compressed')
    wait_until(lambda: len(images) > 5, 'images')
    assert node.stop(signal.SIGTERM) == 0
    assert 'Traceback' not in node.output
    array = cv2.imdecode(np.frombuffer(images[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert array.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(array[2, 2].astype(int), [0, 0, 255], atol=12)
    assert images[0].format == 'bgr8; jpeg compressed bgr8'


@pytest.mark.ros
def test_a_camera_that_is_not_there_is_waited_for(
    start_node, ros_node, wait_until, tmp_path, video
):
    images = []
    ros_node.create_subscription(Image, 'image', images.append, 1000)
    path = tmp_path / 'later.avi'
    node = start_node('camera_node', device=path, retry_max_s=0.5)
    node.wait_for(f'cannot open the camera {str(path)!r}')
    assert images == []
    path.symlink_to(video)
    wait_until(lambda: images, 'an image')
    assert node.stop() == 0


@pytest.mark.parametrize(
    ('device_ms', 'expected_ns'),
    [
        (4_980.0, 1_000_000_000_000 - 20_000_000),  # V4L2: captured 20 ms ago
        (0.0, 1_000_000_000_000),  # a driver that does not stamp
        (5_001.0, 1_000_000_000_000),  # from the future: another clock
        (3_999.0, 1_000_000_000_000),  # too old to be true
    ],
)
def test_the_driver_s_stamp_counts_when_it_can_be_true(device_ms, expected_ns):
    assert capture_stamp_ns(1_000_000_000_000, 5_000_000_000, device_ms) == expected_ns
