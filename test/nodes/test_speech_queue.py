import time

import pytest

from roma_ros.nodes.speech_queue import Phrase, SpeechQueue
from roma_ros.policy.instructions import InstructionKind

NARRATION, ALERT, ANSWER = InstructionKind


@pytest.fixture
def queue():
    return SpeechQueue(narration_age_s=60.0, capacity=4)


def add(queue, number, kind, text='', *, age_s=0.0):
    queue.add(Phrase(number, kind, text or f'{kind.name} {number}', time.monotonic() - age_s))


def take_all(queue):
    texts = []
    while (phrase := queue.take(0.0)) is not None:
        texts.append(phrase.text)
        queue.done()
    return texts


def test_alerts_come_before_answers_before_narrations(queue):
    add(queue, 1, NARRATION)
    add(queue, 2, ANSWER, 'a')
    add(queue, 2, ANSWER, 'b')
    add(queue, 3, ALERT)
    assert take_all(queue) == ['ALERT 3', 'a', 'b', 'NARRATION 1']
    assert queue.counters['spoken'] == 4


@pytest.mark.parametrize(
    ('first', 'second', 'cuts'),
    [
        (NARRATION, ALERT, True),
        (NARRATION, ANSWER, True),
        (ANSWER, ALERT, True),
        (ALERT, ALERT, False),
        (ANSWER, NARRATION, False),
        (ALERT, ANSWER, False),
    ],
)
def test_what_matters_more_cuts_off_what_is_spoken(queue, first, second, cuts):
    add(queue, 1, first)
    queue.take(0.0)
    add(queue, 2, second)
    assert queue.is_cut_off == cuts
    queue.done()
    add(queue, 1, first, 'the rest')
    expected = ['the rest'] if not cuts else []
    assert sorted(take_all(queue)) == sorted([f'{second.name} 2', *expected])


def test_a_newer_narration_replaces_one_that_waits(queue):
    add(queue, 1, NARRATION)
    add(queue, 2, NARRATION, 'a')
    add(queue, 2, NARRATION, 'b')
    assert take_all(queue) == ['a', 'b']
    assert queue.counters['not spoken'] == 1


def test_an_old_narration_is_not_spoken_and_an_old_answer_is(queue):
    add(queue, 1, NARRATION, age_s=100.0)
    add(queue, 2, ANSWER, age_s=100.0)
    assert take_all(queue) == ['ANSWER 2']


def test_silence_ends_all(queue):
    add(queue, 1, ANSWER, 'a')
    queue.take(0.0)
    add(queue, 1, ANSWER, 'b')
    add(queue, 2, ALERT)
    queue.silence()
    assert queue.is_cut_off
    queue.done()
    add(queue, 1, ANSWER, 'c')
    assert take_all(queue) == []
    add(queue, 3, ANSWER)
    assert take_all(queue) == ['ANSWER 3']


def test_it_is_bounded(queue):
    for number in range(9):
        add(queue, number, ALERT)
    assert len(take_all(queue)) == 4
    assert queue.counters['too many'] == 5
