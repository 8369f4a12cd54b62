import pytest

pytest.importorskip('torch', reason='torch is not installed')

from roma_ros.nodes.gate import UtteranceGate
from roma_ros.policy.instructions import InstructionKind
from roma_ros.runtime.results import Segment

S = 1_000_000_000
NARRATION, ALERT, ANSWER = InstructionKind


def segment(number, kind=NARRATION, *, sequence=0, final=True, instruction='a'):
    return Segment(
        utterance_id=number,
        sequence=sequence,
        final=final,
        kind=kind,
        instruction_id=instruction,
        text='x',
        probability=0.5,
    )


@pytest.fixture
def gate():
    return UtteranceGate()


def test_passes_all_by_itself(gate):
    assert all(gate.passes(segment(n, kind), n * S) for n, kind in enumerate(InstructionKind))
    assert gate.held_back == 0


def test_quiet_holds_back_narrations_alone(gate):
    gate.quiet = True
    assert [gate.passes(segment(n, kind), S) for n, kind in enumerate(InstructionKind)] == [
        False,
        True,
        True,
    ]
    assert gate.held_back == 1


def test_an_utterance_passes_whole_or_not_at_all(gate):
    assert gate.passes(segment(1, final=False), 0)
    gate.quiet = True
    assert gate.passes(segment(1, sequence=1, final=False), S)
    assert gate.passes(segment(1, sequence=2), 2 * S)
    assert not gate.passes(segment(2, final=False), 3 * S)
    gate.quiet = False
    assert not gate.passes(segment(2, sequence=1), 4 * S)
    assert gate.passes(segment(3), 5 * S)
    assert gate.held_back == 1


def test_limits_the_rate_by_instruction(gate):
    gate.configure({ALERT: 5.0})
    times_s = (0, 3, 5, 9, 10)
    passed = [gate.passes(segment(n, ALERT), t * S) for n, t in enumerate(times_s)]
    assert passed == [True, False, True, False, True]
    assert gate.passes(segment(10, ALERT, instruction='b'), 11 * S)
    assert gate.passes(segment(11, NARRATION, instruction='c'), 11 * S)
    assert gate.passes(segment(12, NARRATION, instruction='c'), 11 * S)


def test_a_clock_that_was_set_back_silences_nothing(gate):
    gate.configure({ALERT: 5.0})
    assert gate.passes(segment(1, ALERT), 1000 * S)
    assert gate.passes(segment(2, ALERT), 10 * S)
    assert not gate.passes(segment(3, ALERT), 11 * S)
