from dataclasses import replace

import numpy as np
import pytest

from roma_ros.evaluation.play import play, StandingAlert, TypedQuestion
from roma_ros.evaluation.words import MAIN
from roma_ros.policy.instructions import Instruction, InstructionKind
from roma_ros.policy.triggers import TriggerConfig
from roma_ros.runtime.factory import load_runtime
from roma_ros.runtime.session import SessionConfig, StreamSession
from roma_ros.units.unit import MultimodalUnit, UNIT_NS

ALWAYS = TriggerConfig(threshold=1e-12, hysteresis=None)
NEVER = TriggerConfig(threshold=1 - 1e-12)


@pytest.fixture(scope='module')
def runtime():
    return load_runtime(threads=1)


@pytest.fixture
def make_session(runtime):
    def make(*, alert=NEVER, main=NEVER, instructions=()):
        triggers = {kind: main for kind in InstructionKind} | {InstructionKind.ALERT: alert}
        return StreamSession(
            runtime.engine,
            runtime.processor,
            runtime.protocol,
            instructions=instructions,
            config=SessionConfig(triggers=triggers),
        )

    return make


def make_units(count):
    for index in range(count):
        yield MultimodalUnit(
            index=index,
            start_ns=index * UNIT_NS,
            end_ns=(index + 1) * UNIT_NS,
            frames=np.full((2, 56, 84, 3), 40 * index, np.uint8),
            frame_stamps_ns=(index * UNIT_NS, index * UNIT_NS + UNIT_NS // 2),
            audio=np.zeros(16_000, np.float32),
        )


def test_a_unit_is_read_when_the_one_before_is_done(make_session):
    session = make_session()
    log = []
    step = session.step

    def logged_step(unit):
        result = step(unit)
        log.append(f'done {unit.index}')
        return result

    session.step = logged_step

    def units():
        for unit in make_units(3):
            log.append(f'read {unit.index}')
            yield unit

    play(session, units())
    assert log == ['read 0', 'done 0', 'read 1', 'done 1', 'read 2', 'done 2']


@pytest.mark.parametrize(
    ('time_s', 'answered_s'), [(0.0, 1.0), (1.4, 2.0), (2.0, 2.0), (2.01, 3.0)]
)
def test_a_question_is_answered_at_the_end_of_its_second(make_session, time_s, answered_s):
    played = play(
        make_session(), make_units(4), questions=[TypedQuestion(text='what', time_s=time_s)]
    )
    assert [u.time_s for u in played.utterances] == [answered_s]
    assert played.utterances[0].instruction_id == played.questions[0]
    assert played.answer(0) == played.utterances[0].text.strip()


def test_two_questions_have_answers_of_their_own(make_session):
    asked = [TypedQuestion(text=text, time_s=0.5) for text in ('what', 'where')]
    played = play(make_session(), make_units(4), questions=asked)
    assert len(set(played.questions)) == 2
    assert [u.instruction_id for u in played.utterances] == played.questions


def test_an_alert_stands_from_its_time_on(make_session):
    late = StandingAlert(
        instruction=Instruction(id='late', kind=InstructionKind.ALERT, text='x'), time_s=1.5
    )
    early = Instruction(id='early', kind=InstructionKind.ALERT, text='y')
    session = make_session(alert=ALWAYS, instructions=[early])
    played = play(session, make_units(4), alerts=[late])
    assert len(played.probabilities['early']) == len(played.probabilities[MAIN]) == 4
    assert np.isnan(played.probabilities['late']).tolist() == [True, False, False, False]
    assert played.fired == {MAIN: [], 'early': [1.0, 2.0, 3.0, 4.0], 'late': [2.0, 3.0, 4.0]}
    assert played.num_units == 4
    assert played.compute_s > 0


def test_segments_of_one_utterance_are_joined(make_session, runtime, monkeypatch):
    monkeypatch.setattr(runtime.protocol, 'stop_ids', frozenset())  # it goes on and on
    session = make_session(main=TriggerConfig(threshold=1e-12))  # fires once, then stays high
    played = play(session, make_units(5))
    assert len(played.utterances) == 1
    assert played.utterances[0].time_s == 1.0
    assert played.utterances[0].instruction_id == MAIN
    assert played.fired[MAIN] == [1.0]
    pieces = []
    session = make_session(main=TriggerConfig(threshold=1e-12))
    for unit in make_units(5):
        pieces += [s.text for s in session.step(replace(unit)).segments]
    assert played.utterances[0].text == ''.join(pieces)
    assert len(pieces) > 1
