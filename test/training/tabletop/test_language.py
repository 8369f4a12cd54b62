from itertools import combinations

from roma_ros.training.tabletop.language import (
    COLORS,
    joints_of,
    SHAPES,
    SOUND_ANSWERS,
    SOUND_CONDITIONS,
    things_of,
    WORDS,
)
from roma_ros.training.tabletop.sounds import SOUNDS

SPLITS = ('train', 'validation', 'test')


def test_words_are_few_and_each_is_there_once():
    assert len(set(WORDS)) == len(WORDS) <= 80


def test_all_that_is_spoken_is_made_of_the_words(streams, test_streams):
    said = {w for s in [*streams, *test_streams] for line in s.speech for w in line.text.split()}
    assert said <= set(WORDS)
    assert len(said) > 0.9 * len(WORDS)


def test_each_sound_has_words():
    assert set(SOUND_ANSWERS) == set(SOUND_CONDITIONS) == set(SOUNDS)


def test_training_holds_back_pairs_and_other_splits_have_their_own():
    for pairs_of in (things_of, joints_of):
        train = set(pairs_of('train'))
        own = [set(pairs_of(split)) - train for split in SPLITS[1:]]
        assert all(own)
        assert all(not a & b for a, b in combinations(own, 2))
        assert all(train <= set(pairs_of(split)) for split in SPLITS)


def test_what_is_held_back_is_known_apart():
    train = things_of('train')
    assert {shape for shape, _ in train} == set(SHAPES)
    assert {color for _, color in train} == set(COLORS)


def test_held_out_things_are_in_the_test_only(streams, test_streams):
    def shown(some):
        pairs = {(o.shape, o.color) for s in some for o in s.objects_at(0.0)}
        return pairs | {(e.shape, e.color) for s in some for e in s.events}

    def named(some):
        texts = [a.text for s in some for a in s.alerts]
        return {(s, c) for s in SHAPES for c in COLORS if any(f'{c} {s}' in t for t in texts)}

    held_out = set(things_of('test')) - set(things_of('train'))
    assert not (shown(streams) | named(streams)) & held_out
    assert shown(test_streams) & held_out
    assert named(test_streams) & held_out
