"""The node in its own process, over real DDS, fed with a synthetic camera and microphone."""

import signal
import threading
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile
from roma_ros.action import Ask
from roma_ros.msg import AudioChunk, Highlight, SpeakScore, Status, Utterance
from roma_ros.srv import AddInstruction, ListInstructions, RemoveInstruction
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from roma_ros.nodes.conversions import fill_audio_chunk, fill_image, time_to_ns

pytestmark = pytest.mark.ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Sensors:
    """Publishes 10 frames and 50 chunks a second, stamped with their capture time."""

    def __init__(self, node) -> None:
        self.camera, self.microphone = True, True
        self._node = node
        self._image = node.create_publisher(Image, 'image', 5)
        self._audio = node.create_publisher(AudioChunk, 'audio', 100)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rng = np.random.default_rng(0)
        frame = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
        image, chunk = Image(), AudioChunk()
        image.header.frame_id = 'camera'
        fill_image(image, frame)
        begin_s, start_ns = time.monotonic(), self._node.get_clock().now().nanoseconds
        tick = 0
        while not self._stop.wait(max(0.0, begin_s + (tick + 1) * 0.02 - time.monotonic())):
            stamp_ns = start_ns + tick * 20_000_000
            if self.microphone:
                samples = rng.standard_normal(320).astype(np.float32) * 0.1
                fill_audio_chunk(chunk, samples, rate_hz=16000, first_sample=tick * 320)
                chunk.header.stamp = rclpy.time.Time(nanoseconds=stamp_ns).to_msg()
                self._audio.publish(chunk)
            if self.camera and tick % 5 == 0:
                image.header.stamp = rclpy.time.Time(nanoseconds=stamp_ns).to_msg()
                self._image.publish(image)
            tick += 1


class Observer:
    """Collects what the node publishes, and calls its services."""

    def __init__(self, node, wait_until) -> None:
        self.scores, self.utterances, self.highlights = [], [], []
        self.statuses, self.diagnostics = [], []
        self._node, self._wait_until = node, wait_until
        for kind, topic, qos, messages in (
            (SpeakScore, 'roma/speak_score', qos_profile_sensor_data, self.scores),
            (Utterance, 'roma/utterance', 10, self.utterances),
            (Highlight, 'roma/highlight', 10, self.highlights),
            (Status, 'roma/status', LATCHED, self.statuses),
            (DiagnosticArray, '/diagnostics', 10, self.diagnostics),
        ):
            node.create_subscription(kind, topic, messages.append, qos)

    def call(self, service, name: str, **fields):
        client = self._node.create_client(service, f'roma/{name}')
        assert client.wait_for_service(40), name
        future = client.call_async(service.Request(**fields))
        self._wait_until(future.done, f'the answer of {name}')
        self._node.destroy_client(client)
        return future.result()

    def transition(self, transition_id: int) -> bool:
        return self.call(
            ChangeState, 'change_state', transition=Transition(id=transition_id)
        ).success

    def lifecycle_state(self) -> int:
        return self.call(GetState, 'get_state').current_state.id

    def wait_for_state(self, state: int) -> Status:
        self._wait_until(
            lambda: self.statuses and self.statuses[-1].state == state, f'status {state}'
        )
        return self.statuses[-1]

    def wait_for_units(self, count: int) -> list[SpeakScore]:
        begin = len(self.scores)
        self._wait_until(lambda: len(self.scores) >= begin + count, f'{count} scores')
        return self.scores[begin:]

    def diagnostic(self, name: str):
        for array in reversed(self.diagnostics):
            for status in array.status:
                if status.name == f'roma: {name}':
                    return status
        return None


@pytest.fixture
def observer(ros_node, wait_until):
    return Observer(ros_node, wait_until)


@pytest.fixture
def sensors(ros_node):
    sensors = Sensors(ros_node)
    yield sensors
    sensors.stop()


@pytest.fixture
def start_roma(start_node):
    def start(**parameters):
        return start_node('roma_node', threads=1, **parameters)

    return start


def test_units_come_scored_in_order_with_their_stamps(start_roma, observer, sensors):
    process = start_roma()
    scores = observer.wait_for_units(4)
    assert [s.unit_index for s in scores] == [scores[0].unit_index + i for i in range(4)]
    for score in scores:
        assert score.header.stamp == score.unit_end
        assert time_to_ns(score.unit_end) - time_to_ns(score.unit_start) == 1_000_000_000
        assert 0 < score.probability < 1
        assert score.threshold == pytest.approx(0.975)
        assert score.compute_ms > 0
        assert score.latency_ms > 0
    assert scores[-1].unit_flags == 0
    assert scores[-1].header.frame_id == 'camera'
    status = observer.wait_for_state(Status.STATE_ACTIVE)
    assert (status.engine, status.model.endswith('roma-tiny')) == ('torch', True)
    assert [i.id for i in status.instructions] == ['instruction-1']
    assert process.stop(signal.SIGTERM) == 0


def test_an_alert_speaks_and_makes_a_highlight(start_roma, observer, sensors, wait_until):
    start_roma(instructions="['alert[0.001]: noise']", answer_threshold=0.999)
    wait_until(lambda: observer.utterances, 'an utterance')
    wait_until(lambda: len(observer.highlights) >= 2, 'two reports of a highlight')
    utterance, highlights = observer.utterances[0], observer.highlights
    assert (utterance.kind, utterance.text) == (Utterance.KIND_ALERT, 'noise')
    assert (utterance.id, utterance.sequence, utterance.final) == (1, 0, True)
    assert utterance.header.stamp == utterance.unit_end
    start_ns, end_ns = time_to_ns(utterance.unit_start), time_to_ns(utterance.unit_end)
    stamps = [time_to_ns(h.stamp) for h in utterance.image_headers]
    assert len(stamps) == 2
    assert all(start_ns <= stamp < end_ns for stamp in stamps)
    assert [h.state for h in highlights[:2]] == [Highlight.STATE_BEGIN, Highlight.STATE_UPDATE]
    assert {h.id for h in highlights} == {1}
    assert highlights[0].instruction == 'noise'


def test_the_lifecycle_is_the_callers_where_autostart_is_off(start_roma, observer, sensors):
    process = start_roma(autostart=False)
    assert observer.wait_for_state(Status.STATE_UNCONFIGURED).detail == ''
    assert observer.transition(Transition.TRANSITION_CONFIGURE)
    observer.wait_for_state(Status.STATE_INACTIVE)
    assert observer.transition(Transition.TRANSITION_ACTIVATE)
    observer.wait_for_units(2)
    assert observer.transition(Transition.TRANSITION_DEACTIVATE)
    observer.wait_for_state(Status.STATE_INACTIVE)
    assert observer.transition(Transition.TRANSITION_ACTIVATE)
    assert observer.wait_for_units(2)[0].unit_index <= 1  # a new stream
    assert observer.transition(Transition.TRANSITION_DEACTIVATE)
    assert observer.transition(Transition.TRANSITION_CLEANUP)
    observer.wait_for_state(Status.STATE_UNCONFIGURED)
    assert observer.lifecycle_state() == State.PRIMARY_STATE_UNCONFIGURED
    assert process.stop(signal.SIGINT) == 0
    assert 'Traceback' not in process.output


def test_a_missing_model_fails_the_transition_with_the_reason(start_roma, observer, tmp_path):
    process = start_roma(autostart=False, model=tmp_path / 'nowhere')
    assert not observer.transition(Transition.TRANSITION_CONFIGURE)
    assert 'nowhere' in observer.wait_for_state(Status.STATE_UNCONFIGURED).detail
    assert observer.lifecycle_state() == State.PRIMARY_STATE_UNCONFIGURED
    process.wait_for('cannot configure')
    assert process.stop() == 0


def test_dead_sensors_are_named_and_never_stop_the_stream(
    start_roma, observer, sensors, wait_until
):
    start_roma()
    observer.wait_for_units(2)
    sensors.camera = False
    wait_until(
        lambda: observer.scores[-1].unit_flags & SpeakScore.UNIT_NO_VIDEO, 'a unit without video'
    )
    wait_until(lambda: observer.diagnostic('camera').level == b'\x02', 'the camera error')
    assert 'nothing on /image' in observer.diagnostic('camera').message
    assert observer.diagnostic('microphone').level == b'\x00'
    sensors.microphone, sensors.camera = False, True
    wait_until(
        lambda: observer.scores[-1].unit_flags & SpeakScore.UNIT_NO_AUDIO, 'a unit without audio'
    )
    indices = [s.unit_index for s in observer.scores]
    assert indices == list(range(indices[0], indices[0] + len(indices)))


def test_a_corrupt_image_is_named_and_the_next_is_used(
    start_roma, observer, sensors, ros_node, wait_until
):
    process = start_roma()
    observer.wait_for_units(1)
    publisher = ros_node.create_publisher(Image, 'image', 5)
    broken = Image(height=120, width=160, encoding='rgb8', step=480, data=b'\0' * 100)
    wait_until(lambda: publisher.get_subscription_count() == 1, 'the subscription')

    def rejected() -> bool:
        # Nearest to a grid time, so that it is chosen before the good ones around it.
        unit_end_ns = time_to_ns(observer.scores[-1].unit_end)
        broken.header.stamp = rclpy.time.Time(nanoseconds=unit_end_ns + 1_000_000_000).to_msg()
        publisher.publish(broken)
        return observer.statuses[-1].frames_rejected > 0

    wait_until(rejected, 'a rejected image')
    process.wait_for('rejected a message: frame: ')
    assert observer.wait_for_units(2)[-1].unit_flags & SpeakScore.UNIT_NO_VIDEO == 0


def test_instructions_come_and_go(start_roma, observer, sensors, wait_until):
    start_roma()
    observer.wait_for_units(1)
    added = observer.call(
        AddInstruction, 'add_instruction', kind=2, text='a bell rings', threshold=0.25
    )
    assert (added.success, added.id) == (True, 'instruction-2')
    listed = observer.call(ListInstructions, 'list_instructions').instructions
    assert [(i.id, i.kind, i.text) for i in listed] == [
        ('instruction-1', 1, ''),
        ('instruction-2', 2, 'a bell rings'),
    ]
    wait_until(lambda: observer.scores[-1].instruction_id == 'instruction-2', 'its scores')
    assert observer.scores[-1].threshold == pytest.approx(0.25)
    refused = observer.call(AddInstruction, 'add_instruction', kind=9, text='x')
    assert (refused.success, '9' in refused.message) == (False, True)
    refused = observer.call(RemoveInstruction, 'remove_instruction', id='no')
    assert "no instruction is named 'no'" in refused.message
    assert observer.call(RemoveInstruction, 'remove_instruction', id='instruction-2').success
    assert len(observer.call(ListInstructions, 'list_instructions').instructions) == 1
    assert observer.call(Trigger, 'reset').success


def ask(node, observer, wait_until, question: str):
    client = ActionClient(node, Ask, 'roma/ask')
    assert client.wait_for_server(40)
    feedback = []
    sent = client.send_goal_async(
        Ask.Goal(question=question), lambda m: feedback.append(m.feedback)
    )
    wait_until(sent.done, 'the goal')
    return sent.result(), feedback, client


def test_a_question_is_answered_segment_by_segment(
    start_roma, observer, sensors, ros_node, wait_until
):
    start_roma(max_segments=2)
    observer.wait_for_units(1)
    goal, feedback, client = ask(ros_node, observer, wait_until, 'what do you see?')
    done = goal.get_result_async()
    wait_until(done.done, 'the answer')
    assert done.result().status == GoalStatus.STATUS_SUCCEEDED
    result = done.result().result
    assert [f.sequence for f in feedback] == list(range(len(feedback)))
    assert result.answer == ''.join(f.text for f in feedback)
    assert result.utterance_id > 0
    spoken = [u for u in observer.utterances if u.id == result.utterance_id]
    assert {u.kind for u in spoken} == {Utterance.KIND_ANSWER}
    assert spoken[-1].final
    goal, _, client_2 = ask(ros_node, observer, wait_until, '')
    refused = goal.get_result_async()
    wait_until(refused.done, 'the refusal')
    assert refused.result().status == GoalStatus.STATUS_ABORTED
    assert refused.result().result.message == 'the question is empty'
    for each in (client, client_2):
        each.destroy()


def test_cancel_means_be_quiet(start_roma, observer, sensors, ros_node, wait_until):
    start_roma(max_segments=100)
    observer.wait_for_units(1)
    goal, feedback, client = ask(ros_node, observer, wait_until, 'what do you see?')
    wait_until(lambda: feedback, 'the first segment')
    done = goal.get_result_async()
    wait_until(goal.cancel_goal_async().done, 'the cancellation')
    wait_until(done.done, 'the result')
    assert done.result().status == GoalStatus.STATUS_CANCELED
    wait_until(lambda: observer.utterances[-1].final, 'the end of the utterance')
    client.destroy()


def test_a_question_on_the_topic_is_answered(start_roma, observer, sensors, ros_node, wait_until):
    process = start_roma()
    publisher = ros_node.create_publisher(String, 'question', 10)
    wait_until(lambda: publisher.get_subscription_count() == 1, 'the subscription')
    publisher.publish(String(data='x' * 501))
    process.wait_for('refused a question')
    publisher.publish(String(data='what do you see?'))
    wait_until(lambda: observer.utterances, 'an answer')
    assert observer.utterances[0].instruction_id == 'question-1'
