from itertools import pairwise

import numpy as np

from roma_ros.training.cards import make_cards
from roma_ros.training.tabletop.language import COLORS, SHAPES, things_of, WORDS
from roma_ros.training.towers import IGNORE, tower_targets


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
    assert {pair for pair in pairs if all(pair)} <= set(things_of('train'))
    assert {word for s in one.speech for word, _, _ in s.words} <= set(WORDS)
    other = make_cards(8, split='train', duration_s=4)
    assert not np.array_equal(one.audio, other.audio)


def test_some_things_have_a_shape_and_no_color():
    deck = make_cards(5, split='train', duration_s=12)

    grid = (4, 5)
    cells = tower_targets(deck, grid).cells.view(12, *grid, 2, -1)[:, :, :, 1]
    nameless = named = 0
    for unit in range(12):
        shown = [o for o in deck.objects_at(unit + 0.5) if o.visible > 0.9]
        beside = [o.color for o in shown if o.color]
        for thing in shown:
            left, top, right, bottom = thing.box
            cell = cells[unit, int((top + bottom) / 2 * 4), int((left + right) / 2 * 5)]
            if cell[SHAPES.index(thing.shape)] != 1:
                continue
            if thing.color:
                assert cell[len(SHAPES) + COLORS.index(thing.color)] == 1
                named += 1
                continue
            nameless += 1
            for place, color in enumerate(COLORS, len(SHAPES)):
                assert cell[place] == IGNORE or color in beside
    assert nameless > 5
    assert named > 5
