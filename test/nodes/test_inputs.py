"""Inputs as drivers send them, at the node roma."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from geometry_msgs.msg import Point
from rclpy.qos import QoSProfile, ReliabilityPolicy
from roma_ros.msg import AudioChunk, SpeakScore
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Bool, String

from roma_ros.nodes.conversions import fill_audio_chunk, ns_to_time
from roma_ros.nodes.inputs import Inputs
from roma_ros.nodes.parameter_tables import RomaParameters

pytestmark = pytest.mark.ros


def test_images_are_taken_in_the_type_that_they_have(run_roma, observer, ros_node, wait_until):
    cv2 = pytest.importorskip('cv2', reason='OpenCV is not installed')
    run_roma()  # expects raw images
    jpeg = cv2.imencode('.jpg', np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    publisher = ros_node.create_publisher(CompressedImage, 'image', 5)
    message = CompressedImage(format='jpeg', data=jpeg)

    def publish():
        message.header.stamp = ros_node.get_clock().now().to_msg()
        publisher.publish(message)

    ros_node.create_timer(0.1, publish)
    wait_until(
        lambda: (
            observer.scores and not (observer.scores[-1].unit_flags & SpeakScore.UNIT_NO_VIDEO)
        ),
        'a unit with video',
    )


def test_a_topic_of_another_type_is_named(run_roma, observer, ros_node):
    run_roma()
    ros_node.create_publisher(Point, 'image', 1)
    found = observer.wait_for_diagnostic('camera', b'\x02', 'geometry_msgs/msg/Point')
    assert 'expected one of sensor_msgs/msg/Image' in found.message


def test_stamps_of_the_future_are_named(run_roma, observer, sensors):
    sensors.offset_ns = 3_000_000_000
    run_roma()
    observer.wait_for_diagnostic('microphone', b'\x01', 'ahead of this clock')
    observer.wait_for_diagnostic('camera', b'\x01', 'ahead of this clock')


def test_best_effort_publishers_are_heard(run_roma, observer, ros_node, wait_until):
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = ros_node.create_publisher(AudioChunk, 'audio', qos)
    chunk = AudioChunk(sample_rate=16000, channels=1, sample_format=AudioChunk.FORMAT_S16)

    def publish():
        chunk.header.stamp = ros_node.get_clock().now().to_msg()
        chunk.data = bytes(3200)
        publisher.publish(chunk)

    ros_node.create_timer(0.1, publish)
    run_roma()
    wait_until(
        lambda: observer.statuses and observer.statuses[-1].audio_samples_received > 0, 'audio'
    )


def test_quiet_is_a_service(run_roma, observer, sensors):
    from std_srvs.srv import SetBool

    run_roma()
    observer.wait_for_units(1)
    assert observer.call(SetBool, 'quiet', data=True).success


def test_who_joins_late_gets_a_summary(run_roma, observer, sensors, ros_node, wait_until):
    from roma_ros.msg import Summary
    from streams import LATCHED

    run_roma(instructions="['alert[0.001]: noise']", alert_window_units=1)
    wait_until(lambda: observer.utterances and observer.highlights, 'an alert')
    summaries = []
    ros_node.create_subscription(Summary, 'roma/summary', summaries.append, LATCHED)
    wait_until(
        lambda: summaries and summaries[-1].utterances and summaries[-1].highlights, 'the summary'
    )
    assert summaries[-1].utterances[0].text == 'noise'
    assert summaries[-1].highlights[0].instruction == 'noise'


def test_alerts_come_no_more_often_than_is_wished(run_roma, observer, sensors, wait_until):
    run_roma(
        instructions="['alert[0.001]: noise']",
        alert_window_units=1,
        alert_interval_s=1000.0,
        answer_threshold=0.999,
    )
    wait_until(lambda: observer.utterances, 'an alert')
    observer.wait_for_units(6)
    assert [u.text for u in observer.utterances if u.kind == u.KIND_ALERT] == ['noise']


def test_a_question_of_spaces_is_none(run_roma, observer, sensors, ros_node, wait_until):
    run_roma(instructions="['']", answer_threshold=0.999)
    publisher = ros_node.create_publisher(String, 'question', 10)
    wait_until(publisher.get_subscription_count, 'the subscription')
    publisher.publish(String(data='  '))
    publisher.publish(String(data='what do you see?'))
    wait_until(lambda: observer.utterances, 'an answer')
    assert observer.utterances[0].instruction_id == 'question-1'


@pytest.mark.parametrize('subtract', [False, True])
def test_while_the_robot_speaks_audio_is_masked_or_what_it_says_is_subtracted(
    ros_node, sensors, wait_until, subtract
):
    units = []
    parameters = RomaParameters(subtract_voice=subtract, patience_s=10.0)
    inputs = Inputs(ros_node, parameters, on_unit=units.append)
    wait_until(lambda: units and units[-1].audio.any(), 'sound')
    reference = ros_node.create_publisher(AudioChunk, 'audio_reference', 100)
    speaking = ros_node.create_publisher(Bool, 'is_speaking', 10)
    wait_until(speaking.get_subscription_count, 'the subscription')
    chunk = AudioChunk()

    def play():
        """Tell of a pause between words: nothing of it can be heard."""
        fill_audio_chunk(chunk, np.zeros((3200, 1), np.float32), rate_hz=16_000)
        now_ns = ros_node.get_clock().now().nanoseconds
        chunk.header.stamp = ns_to_time(now_ns)
        reference.publish(chunk)

    ros_node.create_timer(0.2, play)
    speaking.publish(Bool(data=True))
    begin_ns = ros_node.get_clock().now().nanoseconds

    def find():
        """Return what was heard when it was known that the robot speaks, and what it says."""
        return [
            unit.audio
            for unit in units[:]
            if unit.start_ns > begin_ns + 2_000_000_000 and not unit.audio_gaps_ns
        ]

    wait_until(lambda: len(find()) > 1 and find()[-1].any() == subtract, 'what is left of it')
    ros_node.executor.create_task(inputs.close)
