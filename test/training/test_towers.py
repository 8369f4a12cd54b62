from dataclasses import replace

import torch

from roma_ros.training.tabletop.labels import Sound, VisibleObject
from roma_ros.training.tabletop.language import COLORS, SHAPES, WORDS
from roma_ros.training.tabletop.sounds import SOUNDS
from roma_ros.training.towers import (
    IGNORE,
    tower_loss,
    tower_targets,
    TowerLogits,
    TowerProbes,
    TowerScores,
    TowerTargets,
)

NAMES = (*SHAPES, *COLORS)


def cells_of(targets: TowerTargets, unit: int, frame: int, name: str) -> list[list[int]]:
    columns = targets.cells[unit].view(4, 5, 2, len(NAMES))[:, :, frame, NAMES.index(name)]
    return columns.tolist()


def test_cells_tell_what_covers_them(make_stream):
    def objects_at(time_s: float) -> tuple[VisibleObject, ...]:
        if time_s < 0.5:
            return ()
        # All of the upper left cell, a fifth of the one below it.
        return (VisibleObject(0, 'ball', 'red', 'big', (0.0, 0.0, 0.2, 0.3), 1.0),)

    targets = tower_targets(make_stream(duration_s=2, objects_at=objects_at), (4, 5))

    assert targets.cells.shape == (2, 20, 2 * len(NAMES))
    assert not any(map(any, cells_of(targets, 0, 0, 'red')))
    for unit, frame in ((0, 1), (1, 0), (1, 1)):
        for name in ('red', 'ball'):
            cells = cells_of(targets, unit, frame, name)
            assert cells[0] == [1, 0, 0, 0, 0]
            assert cells[1] == [IGNORE, 0, 0, 0, 0]
            assert not any(map(any, cells[2:]))
        assert not any(map(any, cells_of(targets, unit, frame, 'blue')))
    assert targets.counts.tolist() == [1, 1]
    # Left, left, middle, right, right, in each row.
    assert targets.places.tolist() == [[0, 0, 1, 2, 2] * 4] * 2


def test_a_small_thing_is_shown_where_it_lies(make_stream):
    small = VisibleObject(0, 'cone', 'blue', 'small', (0.62, 0.55, 0.68, 0.62), 1.0)
    hidden = VisibleObject(1, 'star', 'red', 'big', (0.0, 0.0, 0.4, 0.5), 0.1)
    stream = make_stream(duration_s=1, objects_at=lambda t: (small, hidden))

    targets = tower_targets(stream, (4, 5))

    assert cells_of(targets, 0, 0, 'cone')[2] == [0, 0, 0, 1, 0]
    assert not any(1 in row for row in cells_of(targets, 0, 0, 'star'))
    assert targets.counts.tolist() == [1]


def test_audio_tokens_tell_words_and_sounds(make_stream, speech):
    asked = speech('what is red', 1.6, start_s=1.0)
    stream = make_stream(duration_s=2, speech=(asked,), sounds=(Sound('bell', 0.5, 1.02),))

    targets = tower_targets(stream, (4, 5))

    words = [WORDS.index(w) + 1 for w in ('what', 'is', 'red')]
    assert targets.words[0].tolist() == [0] * 25
    assert targets.words[1].tolist() == [w for w in words for _ in range(5)] + [0] * 10
    bell = targets.sounds[:, :, SOUNDS.index('bell')].flatten()
    assert bell.nonzero().flatten().tolist() == list(range(12, 25))
    assert targets.sounds.sum() == 13


def test_the_loss_is_low_where_the_truth_is_said(make_stream, speech):
    stream = make_stream(duration_s=2, speech=(speech('what is red', 1.6),))
    targets = tower_targets(stream, (4, 5))
    right = TowerLogits(
        targets.cells.float() * 40 - 20,
        torch.nn.functional.one_hot(targets.counts, 4).float() * 40,
        torch.nn.functional.one_hot(targets.places, 3).float() * 40,
        torch.nn.functional.one_hot(targets.words, len(WORDS) + 1).float() * 40,
        targets.sounds.float() * 40 - 20,
    )
    wrong = TowerLogits(-right.cells, -right.counts, -right.places, -right.words, -right.sounds)
    good, bad = TowerScores(), TowerScores()
    good.add(right, targets)
    bad.add(wrong, targets)

    assert set(good.result().values()) == {1.0}
    assert set(bad.result().values()) == {0.0}
    low, high = tower_loss(right, targets), tower_loss(wrong, targets)
    assert all(float(low[name]) < 1e-3 < 1 < float(high[name]) for name in low)


def test_what_is_unclear_teaches_nothing(make_stream):
    targets = tower_targets(make_stream(duration_s=1), (4, 5))
    unclear = replace(targets, cells=torch.full_like(targets.cells, IGNORE))
    probes = TowerProbes(8)

    losses = tower_loss(probes(torch.randn(1, 20, 8), torch.randn(1, 25, 8)), unclear)

    losses['cells'].backward()
    assert losses['cells'] == 0
    assert probes.cells.weight.grad is not None
    assert not probes.cells.weight.grad.any()


def test_units_of_streams_are_joined(make_stream):
    parts = [tower_targets(make_stream(duration_s=n), (4, 5)) for n in (1, 2)]

    joined = TowerTargets.join(parts)

    assert joined.cells.shape[0] == len(joined.counts) == 3
    assert torch.equal(joined.words[1:], parts[1].words)
