from types import SimpleNamespace

import torch

from roma_ros.training.anchor_probe import AnchorProbe
from roma_ros.training.tabletop.language import COLORS, SHAPES, VERBS
from roma_ros.training.tabletop.sounds import SOUNDS
from roma_ros.training.towers import IGNORE, TowerTargets

NAMES = (*SHAPES, *COLORS)
KNOWN = (*NAMES, *SOUNDS, *VERBS)


def make_targets():
    """Two units of two cells: a red ball falls into the first's last frame; then a bell rings."""
    cells = torch.zeros(2, 2, 2, len(NAMES), dtype=torch.int8)
    cells[0, 0, 0, NAMES.index('blue')] = 1  # in the first frame alone: gone
    for name in ('red', 'ball'):
        cells[0, 1, 1, NAMES.index(name)] = 1
    cells[1, 1, 1, NAMES.index('cone')] = IGNORE
    sounds = torch.zeros(2, 3, len(SOUNDS), dtype=torch.int8)
    sounds[1, 2, SOUNDS.index('bell')] = 1
    events = torch.zeros(2, len(VERBS), dtype=torch.int8)
    events[0, VERBS.index('falls')] = 1
    words = torch.zeros(2, 3, dtype=torch.int64)
    return TowerTargets(cells.flatten(2), torch.zeros(2), torch.zeros(2, 2), words, sounds, events)


def make_batch(*pairs):
    return SimpleNamespace(
        speak_texts=tuple(text for text, _ in pairs),
        speak_units=torch.tensor([unit for _, unit in pairs]),
    )


def said(probe, index):
    """Return what the probe reads from the state of an anchor: asked for, and there."""
    logits = probe.linear(torch.eye(4)[index])
    names = [name for name, logit in zip(KNOWN * 2, logits.tolist(), strict=True) if logit > 0]
    asked = int((logits[: len(KNOWN)] > 0).sum())
    return names[:asked], names[asked:]


def test_teaches_what_is_asked_for_and_what_the_last_frame_shows():
    torch.manual_seed(0)
    probe = AnchorProbe(4)
    batch = make_batch(
        ('', 0),
        ('you see a red ball', 0),
        ('the bell rings while you see something blue', 1),
        ('the blue box is covered', 0),
    )
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss = probe(torch.eye(4), batch, make_targets())
        loss.backward()
        optimizer.step()
    assert loss < 0.3
    assert said(probe, 0)[1][-3:] == ['ball', 'red', 'falls']
    assert said(probe, 1) == (['ball', 'red'], ['ball', 'red', 'falls'])
    assert said(probe, 2) == (['blue', 'bell'], ['bell'])
    assert said(probe, 3) == (['box', 'blue', 'is covered'], ['ball', 'red', 'falls'])


def test_what_is_half_in_view_teaches_nothing():
    probe = AnchorProbe(4)
    probe(torch.eye(4)[:1], make_batch(('you see a red ball', 1)), make_targets()).backward()
    there = probe.linear.bias.grad[len(KNOWN) :]
    assert there[NAMES.index('cone')] == 0.0
    assert (there[[NAMES.index('red'), NAMES.index('box')]] != 0.0).all()


def test_the_streams_own_anchors_are_asked_nothing():
    probe = AnchorProbe(4)
    probe(torch.eye(4)[:1], make_batch(('', 0)), make_targets()).backward()
    assert not probe.linear.bias.grad[: len(KNOWN)].any()
    assert probe.linear.bias.grad[len(KNOWN) :].all()


def test_no_anchor_is_no_loss_and_no_nan():
    assert AnchorProbe(4)(torch.zeros(0, 4), make_batch(), make_targets()).item() == 0.0
