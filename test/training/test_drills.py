from dataclasses import replace

import numpy as np
import pytest

from roma_ros.training.cards import make_cards
from roma_ros.training.drills import Drill, drill, NUM_WATCHES
from roma_ros.training.supervision import supervise_tabletop
from roma_ros.training.tabletop.labels import Event, Sound, VisibleObject


def thing(shape: str, color: str, *, visible: float = 1.0, left: float = 0.1) -> VisibleObject:
    return VisibleObject(0, shape, color, 'big', (left, 0.4, left + 0.2, 0.7), visible)


@pytest.fixture
def stream(make_stream):
    """A red ball from 1 s, half hidden in the fourth second; a knock at 2.1 s; it falls at 1.2."""

    def objects_at(time_s: float):
        if time_s < 1.0:
            return ()
        return (thing('ball', 'red', visible=0.5 if 3 <= time_s < 4 else 1.0),)

    return make_stream(
        objects_at=objects_at,
        sounds=(Sound('knock', 2.1, 2.6),),
        events=(Event(1.2, 'falls', 'ball', 'red', 'the red ball falls'),),
    )


EXPECTED = {
    'you see a red ball': (False, True, True, None, True),
    'you see a ball': (False, True, True, None, True),
    'you see something red': (False, True, True, None, True),
    'you see something blue': (False,) * 5,
    'you see a box': (False,) * 5,
    'you see two things': (False, False, False, None, False),
    'someone knocks': (False, False, True, None, False),
    'you hear a bell': (False,) * 5,
    'something falls': (False, True, None, False, False),
    'the red ball falls': (False, True, None, False, False),
    'something leaves': (False,) * 5,
    'someone knocks while you see a ball': (False, False, True, None, False),
    'someone knocks while you see a box': (False,) * 5,
    'you hear a knock while the red ball is in view': (False, False, True, None, False),
}


def test_conditions_are_labelled_by_what_is_so(stream):
    found = {}
    for seed in range(400):
        for watch in Drill(stream, np.random.default_rng(seed)).watches():
            found[watch.text] = watch

    assert set(EXPECTED) <= set(found)
    for text, labels in EXPECTED.items():
        assert found[text].labels == labels, text
    assert {watch.sense for watch in found.values()} == {'sight', 'sound', 'joint'}


def test_adds_conditions_to_those_that_stand_and_repeats_none(stream):
    plain = supervise_tabletop(stream)

    drilled = drill(stream, plain, np.random.default_rng(0))

    texts = [watch.text for watch in drilled.watches]
    assert len(texts) == len(set(texts)) == NUM_WATCHES
    assert drilled.watches[: len(plain.watches)] == plain.watches
    assert plain.turns.items() <= drilled.turns.items()
    asked = drilled.turns.keys() - plain.turns.keys()
    assert len(asked) == 3
    expected = list(plain.labels)
    for unit in asked:
        assert not plain.labels[unit]
        expected[unit] = None
    assert list(drilled.labels) == expected


def test_asks_about_before_where_it_is_over(make_stream):
    events = (
        Event(1.2, 'leaves', 'ball', 'red', 'the red ball leaves'),
        Event(3.2, 'leaves', 'box', 'blue', 'the blue box leaves'),
    )
    stream = make_stream(
        objects_at=lambda _: (), events=events, sounds=(Sound('knock', 2.1, 3.6),), alerts=()
    )
    asked = {}
    for seed in range(200):
        turns = Drill(stream, np.random.default_rng(seed)).turns(5, free=range(1, 5))
        for unit, turn in turns.items():
            asked.setdefault(turn.topic, {}).setdefault(unit, set()).add(turn.text)

    assert asked == {
        'count': {unit: {'zero'} for unit in range(1, 5)},
        'left': {
            1: {'the red ball'},
            2: {'the red ball'},
            3: {'the blue box'},
            4: {'the blue box'},
        },
        'sound': {4: {'a knock'}},
    }


def test_asks_about_the_last_frame_of_cards(make_stream):
    def objects_at(time_s: float):
        return (thing('ball', 'red'), thing('box', 'red', left=0.7)) if time_s % 1 else ()

    stream = make_stream(objects_at=objects_at, events=(), alerts=(), sounds=())
    asked = {}
    for seed in range(30):
        supervision = drill(stream, supervise_tabletop(stream), np.random.default_rng(seed))
        assert len(supervision.turns) == 5
        # Decks are full of spoken questions that nobody answers: silence would be learned.
        assert supervision.labels == (None,) * 5
        for turn in supervision.turns.values():
            asked.setdefault(turn.topic, {})[turn.question] = turn.text

    # Both are red: what is red cannot be asked.
    assert asked == {
        'count': {'how many things do you see': 'two', 'how many things are in view': 'two'},
        'color': {
            'what color is the ball': 'red',
            'tell me the color of the ball': 'red',
            'what color is the box': 'red',
            'tell me the color of the box': 'red',
        },
        'where': {
            'where is the red ball': 'left',
            'where do you see the red ball': 'left',
            'where is the red box': 'right',
            'where do you see the red box': 'right',
        },
    }


def test_nobody_knows_whether_a_colour_without_a_name_is_meant(make_stream):
    stream = make_stream(
        objects_at=lambda t: (thing('ball', '' if t < 2 else 'red'),) if t >= 1 else (),
        events=(),
        alerts=(),
        sounds=(),
    )
    found = {}
    topics = set()
    for seed in range(300):
        maker = Drill(stream, np.random.default_rng(seed))
        found |= {watch.text: watch.labels for watch in maker.watches()}
        topics |= {turn.topic for turn in maker.turns(2, free=[1]).values()}

    assert found['you see a ball'] == (False, True, True, True, True)
    assert found['you see a red ball'] == (False, None, True, True, True)
    assert found['you see something blue'] == (False, None, False, False, False)
    assert found['you see a box'] == (False,) * 5
    assert topics == {'count'}
    assert not any('a  ' in text or 'the  ' in text for text in found)


def test_asks_more_often_what_is_learned_last(make_stream):
    stream = make_stream(objects_at=lambda t: (thing('ball', 'red'),), events=(), sounds=())
    topics = [
        turn.topic
        for seed in range(100)
        for turn in Drill(stream, np.random.default_rng(seed)).turns(4, free=range(5)).values()
    ]

    counts = {topic: topics.count(topic) for topic in set(topics)}
    assert counts.keys() == {'where', 'color', 'shape', 'count'}
    assert counts['where'] > 1.5 * counts['count']


def test_names_no_combination_that_the_split_holds_back():
    cards = make_cards(5, split='train', duration_s=8)
    held_back = {'a yellow box', 'a green ball', 'a red cone', 'a black star', 'a blue ring'}

    texts = {
        watch.text
        for seed in range(40)
        for watch in Drill(replace(cards), np.random.default_rng(seed)).watches()
    }

    assert any(text.startswith('you see a ') for text in texts)
    assert not {f'you see {pair}' for pair in held_back} & texts
