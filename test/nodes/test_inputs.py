"""Inputs as drivers send them, at the node roma."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from geometry_msgs.msg import Point
from rclpy.qos import QoSProfile, ReliabilityPolicy
from roma_ros.msg import AudioChunk, SpeakScore, Utterance
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool

from roma_ros.nodes.conversions import fill_audio_chunk, fill_image, ns_to_time
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


def test_quiet_holds_narrations_back_and_no_answers(run_roma, observer, sensors, ask, wait_until):
    run_roma(instructions="['narrate[0.001]']", max_segments=1, answer_threshold=0.999)

    def narrations():
        return [u.id for u in observer.utterances if u.kind == Utterance.KIND_NARRATION]

    wait_until(narrations, 'a narration')
    assert observer.call(SetBool, 'quiet', data=True).success

    def is_held_back():
        told = observer.diagnostic('inference').values
        return any(v.key == 'utterances_held_back' and int(v.value) > 1 for v in told)

    wait_until(is_held_back, 'narrations that are held back')
    number = ask('what do you see?').result()[1].utterance_id
    wait_until(lambda: any(u.id == number for u in observer.utterances), 'the answer')
    assert max(narrations()) < number - 1  # those between were not told
    assert observer.call(SetBool, 'quiet', data=False).success
    wait_until(lambda: max(narrations()) > number, 'a narration')


def test_other_cameras_stand_beside_the_main_one(ros_node, sensors, wait_until):
    units = []
    parameters = RomaParameters(extra_image_topics=('rear/image',), image_rotation_deg=180)
    inputs = Inputs(ros_node, parameters, on_unit=units.append)
    red = Image()
    fill_image(red, np.full((60, 80, 3), (255, 0, 0), np.uint8))
    rear = ros_node.create_publisher(Image, 'rear/image', 5)
    ros_node.create_timer(0.1, lambda: rear.publish(red))

    def beside():
        """Return the newest picture's column beside the main camera's 120 by 160."""
        if not units or not len(units[-1].frames):
            return None
        assert units[-1].frames.shape[1:] == (120, 160 + 80, 3)
        return units[-1].frames[-1][:, 160:]

    wait_until(lambda: beside() is not None and (beside()[:60] == (255, 0, 0)).all(), 'the rear')
    assert not beside()[60:].any()  # it keeps its shape
    ros_node.executor.create_task(inputs.close)


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
