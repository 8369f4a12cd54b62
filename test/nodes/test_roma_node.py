"""The node over real DDS, fed with a synthetic camera and microphone."""

from importlib.util import find_spec
import signal

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from action_msgs.msg import GoalStatus
from roma_ros.msg import Highlight, Instruction, SpeakScore, Status, Utterance
from roma_ros.srv import AddInstruction, ListInstructions, RemoveInstruction
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from streams import BEST_EFFORT

from roma_ros.nodes.conversions import time_to_ns

pytestmark = pytest.mark.ros


def test_units_come_scored_in_order_with_their_stamps(start_roma, observer, sensors, wait_until):
    process = start_roma(patience_s=10.0, instructions="['narrate[0.975]']")
    scores = observer.wait_for_units(4)
    assert [s.unit_index for s in scores] == [scores[0].unit_index + i for i in range(4)]
    for score in scores:
        assert score.header.stamp == score.unit_end
        assert time_to_ns(score.unit_end) - time_to_ns(score.unit_start) == 1_000_000_000
        assert 0 < score.probability < 1
        assert score.threshold == pytest.approx(0.975)
        assert score.compute_ms > 0
        assert score.latency_ms > 0
    wait_until(lambda: observer.scores[-1].unit_flags == 0, 'a unit that lacks nothing')
    assert observer.scores[-1].header.frame_id == 'camera'
    status = observer.wait_for_state(Status.STATE_ACTIVE)
    has_graphs = find_spec('onnx') and find_spec('onnxruntime')
    assert status.engine == ('onnxruntime' if has_graphs else 'torch')
    assert status.model.endswith('roma-tiny')
    assert [i.id for i in status.instructions] == ['instruction-1']
    assert process.stop(signal.SIGTERM) == 0


def test_an_alert_speaks_and_makes_a_highlight(run_roma, observer, sensors, wait_until):
    run_roma(instructions="['']", answer_threshold=0.999, patience_s=10.0)
    wait_until(lambda: observer.scores and observer.scores[-1].unit_flags == 0, 'a whole unit')
    alert = {'kind': Instruction.KIND_ALERT, 'text': 'noise', 'threshold': 0.001}
    assert observer.call(AddInstruction, 'add_instruction', **alert).success
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


def test_dead_sensors_are_named_and_never_stop_the_stream(run_roma, observer, sensors, wait_until):
    run_roma()
    observer.wait_for_units(2)
    sensors.camera = False
    wait_until(
        lambda: observer.scores[-1].unit_flags & SpeakScore.UNIT_NO_VIDEO, 'a unit without video'
    )
    observer.wait_for_diagnostic('camera', b'\x02', 'nothing on /image')
    assert observer.diagnostic('microphone').level != b'\x02'
    sensors.microphone, sensors.camera = False, True
    wait_until(
        lambda: observer.scores[-1].unit_flags & SpeakScore.UNIT_NO_AUDIO, 'a unit without audio'
    )
    indices = [s.unit_index for s in observer.scores]
    assert indices == list(range(indices[0], indices[0] + len(indices)))


def test_a_corrupt_image_is_named_and_the_next_is_used(
    run_roma, observer, sensors, ros_node, wait_until
):
    run_roma()
    observer.wait_for_units(1)
    publisher = ros_node.create_publisher(Image, 'image', 5)
    broken = Image(height=120, width=160, encoding='rgb8', step=480, data=b'\0' * 100)
    wait_until(publisher.get_subscription_count, 'the subscription')

    def rejected() -> bool:
        # Nearest to a grid time, so that it is chosen before the good ones around it.
        unit_end_ns = time_to_ns(observer.scores[-1].unit_end)
        broken.header.stamp = rclpy.time.Time(nanoseconds=unit_end_ns + 1_000_000_000).to_msg()
        publisher.publish(broken)
        return observer.statuses and observer.statuses[-1].frames_rejected > 0

    wait_until(rejected, 'a rejected image')
    observer.wait_for_diagnostic('camera', b'\x01', 'could not be decoded')
    begin = len(observer.scores)
    wait_until(
        lambda: any(not s.unit_flags & SpeakScore.UNIT_NO_VIDEO for s in observer.scores[begin:]),
        'a unit with video',
    )


def test_instructions_come_and_go(run_roma, observer, sensors, wait_until):
    run_roma()
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
    wait_until(
        lambda: [s for s in observer.scores if s.instruction_id == 'instruction-2'], 'its scores'
    )
    score = next(s for s in observer.scores if s.instruction_id == 'instruction-2')
    assert score.threshold == pytest.approx(0.25)
    refused = observer.call(AddInstruction, 'add_instruction', kind=9, text='x')
    assert (refused.success, '9' in refused.message) == (False, True)
    refused = observer.call(RemoveInstruction, 'remove_instruction', id='no')
    assert "no instruction is named 'no'" in refused.message
    assert observer.call(RemoveInstruction, 'remove_instruction', id='instruction-2').success
    assert len(observer.call(ListInstructions, 'list_instructions').instructions) == 1
    assert observer.call(Trigger, 'reset').success


def test_a_question_is_answered_segment_by_segment(run_roma, observer, sensors, ask, wait_until):
    run_roma(max_segments=2)
    observer.wait_for_units(1)
    question = ask('what do you see?')
    status, result = question.result()
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert result.utterance_id > 0

    def spoken():
        return [u for u in observer.utterances if u.id == result.utterance_id]

    # The result comes on another way than what leads to it.
    wait_until(lambda: spoken() and spoken()[-1].final, 'the last segment')
    assert {u.kind for u in spoken()} == {Utterance.KIND_ANSWER}
    wait_until(lambda: len(question.feedback) == len(spoken()), 'all segments as feedback')
    assert [f.sequence for f in question.feedback] == list(range(len(question.feedback)))
    assert result.answer == ''.join(f.text for f in question.feedback)
    status, result = ask('').result()
    assert status == GoalStatus.STATUS_ABORTED
    assert result.message == 'the question is empty'


def test_cancel_means_be_quiet(run_roma, observer, sensors, ask, wait_until, talkative):
    run_roma(max_segments=100)
    observer.wait_for_units(1)
    question = ask('what do you see?')
    wait_until(lambda: question.feedback, 'the first segment')
    question.cancel()
    assert question.result()[0] == GoalStatus.STATUS_CANCELED
    wait_until(
        lambda: observer.utterances and observer.utterances[-1].final, 'the end of the utterance'
    )


def test_an_answer_is_told_as_it_is_decoded(
    run_roma, observer, sensors, ask, ros_node, wait_until, talkative
):
    partials = []
    ros_node.create_subscription(Utterance, 'roma/partial_utterance', partials.append, BEST_EFFORT)
    run_roma(instructions="['']", answer_threshold=0.999, max_segments=2)
    observer.wait_for_units(1)
    wait_until(lambda: ros_node.count_publishers('roma/partial_utterance'), 'the publisher')

    number = ask('what do you see?').result()[1].utterance_id

    def of_answer(messages):
        return [m for m in messages if m.id == number]

    wait_until(lambda: [u for u in of_answer(observer.utterances) if u.final], 'the last segment')
    wait_until(lambda: len(of_answer(partials)) > 10, 'the parts of two times 25 tokens')
    for segment in of_answer(observer.utterances):
        texts = [p.text for p in of_answer(partials) if p.sequence == segment.sequence]
        for shorter, longer in zip(texts, [*texts[1:], segment.text], strict=False):
            assert longer.startswith(shorter)
    assert {(p.kind, p.final) for p in of_answer(partials)} == {(Utterance.KIND_ANSWER, False)}
    # Parts, and not whole segments alone.
    assert {p.text for p in of_answer(partials)} - {u.text for u in of_answer(observer.utterances)}


def test_a_question_on_the_topic_is_answered(run_roma, observer, sensors, ros_node, wait_until):
    run_roma(instructions="['']", answer_threshold=0.999)
    publisher = ros_node.create_publisher(String, 'question', 10)
    wait_until(publisher.get_subscription_count, 'the subscription')
    publisher.publish(String(data='x' * 501))
    publisher.publish(String(data='what do you see?'))
    wait_until(lambda: observer.utterances, 'an answer')
    assert observer.utterances[0].instruction_id == 'question-1'
