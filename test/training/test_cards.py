from itertools import pairwise

import numpy as np

from roma_ros.training.cards import make_cards
from roma_ros.training.tabletop.language import things_of, WORDS
from roma_ros.training.towers import tower_targets


def test_every_second_shows_other_things_under_speech():
    cards = make_cards(3, split='train', duration_s=8)
    targets = tower_targets(cards, (4, 5))

    shown = [
        {(o.thing, o.box) for o in cards.objects_at(unit + 0.5) if o.visible > 0.3}
        for unit in range(8)
    ]
    assert all(shown)
    assert all(not a & b for a, b in pairwise(shown))
    assert (targets.words > 0).float().mean() > 0.3
    assert cards.alerts == cards.questions == cards.events == ()
    assert np.abs(cards.audio).max() > 0.05


def test_a_seed_makes_the_same_deck_of_its_split():
    one, two = (make_cards(7, split='train', duration_s=4) for _ in range(2))

    assert (one.seed, one.duration_s) == (7, 4)
    assert np.array_equal(one.audio, two.audio)
    assert np.array_equal(one.frame_at(2.5), two.frame_at(2.5))
    pairs = {(o.shape, o.color) for u in range(4) for o in one.objects_at(u)}
    assert pairs <= set(things_of('train'))
    assert {word for s in one.speech for word, _, _ in s.words} <= set(WORDS)
    other = make_cards(8, split='train', duration_s=4)
    assert not np.array_equal(one.audio, other.audio)
