from types import SimpleNamespace

import torch

from roma_ros.training.anchor_probe import AnchorProbe
from roma_ros.training.tabletop.language import COLORS, SHAPES
from roma_ros.training.tabletop.sounds import SOUNDS
from roma_ros.training.towers import IGNORE, TowerTargets

NAMES = (*SHAPES, *COLORS)
KNOWN = (*NAMES, *SOUNDS)


def make_targets():
    """Two units of two cells: a red ball in the first's last frame; a bell in the second."""
    cells = torch.zeros(2, 2, 2, len(NAMES), dtype=torch.int8)
    cells[0, 0, 0, NAMES.index('blue')] = 1  # in the first frame alone: gone
    for name in ('red', 'ball'):
        cells[0, 1, 1, NAMES.index(name)] = 1
    cells[1, 1, 1, NAMES.index('cone')] = IGNORE
    sounds = torch.zeros(2, 3, len(SOUNDS), dtype=torch.int8)
    sounds[1, 2, SOUNDS.index('bell')] = 1
    return TowerTargets(
        cells.flatten(2), torch.zeros(2), torch.zeros(2, 3, dtype=torch.int64), sounds
    )


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
        ('you hear a siren', 0),
    )
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss = probe(torch.eye(4), batch, make_targets())
        loss.backward()
        optimizer.step()
    assert loss < 0.3
    assert said(probe, 1) == (['ball', 'red'], ['ball', 'red'])
    assert said(probe, 2) == (['blue', 'bell'], ['bell'])
    assert said(probe, 3) == (['siren'], ['ball', 'red'])


def test_what_is_half_in_view_teaches_nothing():
    probe = AnchorProbe(4)
    probe(torch.eye(4)[:1], make_batch(('you see a red ball', 1)), make_targets()).backward()
    there = probe.linear.bias.grad[len(KNOWN) :]
    assert there[NAMES.index('cone')] == 0.0
    assert (there[[NAMES.index('red'), NAMES.index('box')]] != 0.0).all()


def test_no_alert_is_no_loss_and_no_nan():
    loss = AnchorProbe(4)(torch.eye(4)[:2], make_batch(('', 0), ('', 1)), make_targets())
    assert loss.item() == 0.0
