from collections import Counter
from itertools import pairwise
import math

import pytest

from roma_ros.training.tabletop.language import COLORS, SHAPES, SOUND_ANSWERS
from roma_ros.training.tabletop.questions import TOPICS

NUMBERS = ('zero', 'one', 'two', 'three')


def true_answer(stream, question):
    """Answer from the last frame and the sounds of the unit in which the question was asked."""
    unit = math.ceil(question.time_s) - 1
    shown = [o for o in stream.objects_at(unit + 0.5) if o.visible > 0.5]
    words = question.text.split()
    if question.topic == 'count':
        return NUMBERS[len(shown)]
    if question.topic == 'sound':
        return SOUND_ANSWERS[[s for s in stream.sounds if s.start_s < unit + 1][-1].name]
    if question.topic == 'left':
        gone = [e for e in stream.events if e.verb == 'leaves' and e.time_s <= unit + 0.5]
        return f'the {gone[-1].color} {gone[-1].shape}'
    named = [
        o for o in shown if {o.shape, o.color} >= {w for w in words if w in SHAPES or w in COLORS}
    ]
    assert len(named) == 1, 'it is not clear which thing is meant'
    thing = named[0]
    if question.topic == 'where':
        return ('left', 'middle', 'right')[int(3 * (thing.box[0] + thing.box[2]) / 2)]
    return thing.color if question.topic == 'color' else f'a {thing.shape}'


@pytest.mark.parametrize('topic', TOPICS)
def test_answers_are_true(streams, topic):
    asked = [(s, q) for s in streams for q in s.questions if q.topic == topic]
    assert len(asked) > 50
    for stream, question in asked:
        assert question.answer == true_answer(stream, question), (stream.seed, question)


def test_what_is_asked_rests(streams):
    for stream in streams:
        for question in stream.questions:
            unit = math.ceil(question.time_s) - 1
            if question.topic == 'where':
                boxes = [
                    {o.thing: o.box for o in stream.objects_at(t)}
                    for t in (unit, unit + 0.5, unit + 0.999)
                ]
                thing = next(
                    o.thing
                    for o in stream.objects_at(unit + 0.5)
                    if {o.shape, o.color} <= set(question.text.split())
                )
                assert boxes[0][thing] == boxes[1][thing] == boxes[2][thing]
            if question.topic == 'sound':
                assert not any(s.start_s < unit + 1 and s.end_s > unit for s in stream.sounds)


def test_no_constant_answer_does_well(streams):
    questions = [q for s in streams for q in s.questions]
    assert 2 <= len(questions) / len(streams) <= 4
    assert Counter(q.answer for q in questions).most_common(1)[0][1] <= 0.15 * len(questions)
    most = {'color': 0.3, 'count': 0.38, 'where': 0.43, 'sound': 0.28, 'left': 0.15, 'shape': 0.3}
    for topic in TOPICS:
        answers = Counter(q.answer for q in questions if q.topic == topic)
        assert answers.most_common(1)[0][1] <= most[topic] * answers.total(), topic
        assert 0.11 < answers.total() / len(questions) < 0.23, topic


def test_typed_and_spoken_are_both_common(streams):
    questions = [q for s in streams for q in s.questions]
    assert 0.35 < sum(q.speech is not None for q in questions) / len(questions) < 0.6
    for question in questions:
        if question.speech is not None:
            assert question.speech.text == question.text
            assert question.speech.end_s == question.time_s


def test_answers_do_not_collide(streams):
    """No other answer, narration or spoken alert falls into the unit of an answer."""
    for stream in streams:
        units = [math.ceil(q.time_s) - 1 for q in stream.questions]
        assert units == sorted(units)
        assert all(b - a >= 2 for a, b in pairwise(units))
        taken = set()
        if stream.narrate:
            taken |= {math.ceil(e.time_s) - 1 for e in stream.events}
        for alert in stream.alerts:
            if alert.speech:
                taken |= {
                    u
                    for u in range(stream.duration_s)
                    if any(a <= u + 1 <= b for a, b in alert.windows)
                }
        assert not taken & set(units)
