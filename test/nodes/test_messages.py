import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from builtin_interfaces.msg import Time

from roma_ros import msg
from roma_ros.nodes.messages import make_highlight, make_scores, make_utterance
from roma_ros.policy.highlights import Highlight, HighlightState
from roma_ros.policy.instructions import InstructionKind, parse_instruction
from roma_ros.runtime.results import Score, Segment, StepResult
from roma_ros.units.unit import MultimodalUnit, UnitFlag

START_NS = 1_700_000_000_250_000_000
ALERT = parse_instruction('alert: a bell rings', id='a')
UNIT = MultimodalUnit(
    index=7,
    start_ns=START_NS,
    end_ns=START_NS + 1_000_000_000,
    frames=np.zeros((2, 4, 4, 3), np.uint8),
    frame_stamps_ns=(START_NS + 5, START_NS + 500_000_000),
    audio=np.zeros(16000, np.float32),
    flags=UnitFlag.LATE | UnitFlag.REPEATED_FRAME,
)
END = Time(sec=1_700_000_001, nanosec=250_000_000)


def test_scores_carry_the_unit_and_the_figures():
    result = StepResult(
        unit=UNIT,
        scores=(Score(instruction=ALERT, probability=0.75, threshold=0.5, triggered=True),),
        segments=(),
        said=(),
        highlights=(),
        process_ms=1.0,
        encode_ms=2.0,
        step_ms=3.0,
        decode_ms=100.0,
    )
    (score,) = make_scores(result, 'camera', 123.0)
    assert (score.header.stamp, score.header.frame_id) == (END, 'camera')
    assert score.unit_start == Time(sec=1_700_000_000, nanosec=250_000_000)
    assert score.unit_end == END
    assert (score.unit_index, score.kind, score.instruction_id) == (7, 2, 'a')
    assert (score.probability, score.threshold, score.triggered) == (0.75, 0.5, True)
    assert (score.compute_ms, score.latency_ms) == (6.0, 123.0)
    assert score.unit_flags == score.UNIT_LATE | score.UNIT_REPEATED_FRAME


def test_an_utterance_can_be_joined_with_its_images():
    segment = Segment(
        utterance_id=3,
        sequence=1,
        final=True,
        kind=InstructionKind.NARRATION,
        instruction_id='n',
        text='A bell.',
        probability=0.5,
    )
    utterance = make_utterance(UNIT, segment, 'camera', 80.0)
    assert utterance.header.stamp == END
    assert [(h.stamp.nanosec, h.frame_id) for h in utterance.image_headers] == [
        (250_000_005, 'camera'),
        (750_000_000, 'camera'),
    ]
    assert (utterance.id, utterance.sequence, utterance.final) == (3, 1, True)
    assert (utterance.kind, utterance.text) == (utterance.KIND_NARRATION, 'A bell.')
    assert (utterance.speak_probability, utterance.latency_ms) == (0.5, 80.0)


def test_a_highlight_carries_its_interval():
    highlight = Highlight(
        number=2,
        state=HighlightState.END,
        start_ns=START_NS - 2_000_000_000,
        end_ns=START_NS,
        score=0.875,
    )
    message = make_highlight(UNIT, ALERT, highlight, 'camera')
    assert (message.id, message.state, message.score) == (2, message.STATE_END, 0.875)
    assert (message.start.sec, message.end.sec) == (1_699_999_998, 1_700_000_000)
    assert (message.instruction_id, message.instruction) == ('a', 'a bell rings')


@pytest.mark.parametrize('name', ['Utterance', 'Instruction'])
def test_kinds_are_the_messages_constants(name):
    message = getattr(msg, name)
    assert {kind.name: int(kind) for kind in InstructionKind} == {
        'NARRATION': message.KIND_NARRATION,
        'ALERT': message.KIND_ALERT,
        'ANSWER': message.KIND_ANSWER,
    }


def test_states_and_flags_are_the_messages_constants():
    for state in HighlightState:
        assert getattr(msg.Highlight, f'STATE_{state.name}') == state
    for flag in UnitFlag:
        assert getattr(msg.SpeakScore, f'UNIT_{flag.name}') == flag
