"""
What an alert's anchor has to know before it can decide: what is asked for, and what is there.

To compare the two is learned once both are at hand; before, a network from nothing does not even
begin to read what is asked for, since reading it alone helps nothing. A linear probe on an early
state of the anchor teaches both; it is thrown away afterwards.
"""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from .batching import Batch
from .tabletop.language import COLORS, SHAPES, SOUND_CONDITIONS
from .tabletop.sounds import SOUNDS
from .towers import IGNORE, TowerTargets

_NAMES = (*SHAPES, *COLORS)
_NUM_KNOWN = len(_NAMES) + len(SOUNDS)


class AnchorProbe(nn.Module):
    """
    Reads what is asked for and what is there: two times shapes, colours and sounds.

    :param width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * _NUM_KNOWN)

    def forward(self, early: torch.Tensor, batch: Batch, towers: TowerTargets) -> torch.Tensor:
        """
        Return the loss.

        :param early: ``[M, C]``, an early state of each anchor.
        :param batch: whose anchors they are.
        :param towers: what the units show and sound like.
        :return: the sum over what is known, the mean over the anchors of alerts; 0 without one.
        """
        rows = [i for i, text in enumerate(batch.speak_texts) if text]
        if not rows:
            return early.sum() * 0.0
        asked = torch.tensor([_asked(batch.speak_texts[i]) for i in rows], device=early.device)
        there = _there(towers)[batch.speak_units[rows].to(early.device)]
        targets = torch.cat([asked, there], dim=1)
        logits = self.linear(early[rows]).float()
        known = (targets != IGNORE).float()
        loss = binary_cross_entropy_with_logits(
            logits, targets.clamp(min=0), weight=known, reduction='sum'
        )
        return loss / len(rows)


def _asked(text: str) -> list[float]:
    words = text.split()
    sounds = [any(c in text for c in SOUND_CONDITIONS[name]) for name in SOUNDS]
    return [float(name in words) for name in _NAMES] + [float(sound) for sound in sounds]


def _there(towers: TowerTargets) -> torch.Tensor:
    """Return of each unit what its last frame shows and what sounds: float ``[U, known]``."""
    cells = towers.cells.unflatten(2, (-1, len(_NAMES)))[:, :, -1].float()
    shown = cells.amax(dim=1)
    # Nothing for sure, but something that is half in view.
    shown = torch.where((shown == 0) & (cells.amin(dim=1) < 0), IGNORE, shown)
    return torch.cat([shown.clamp(min=IGNORE), towers.sounds.amax(dim=1).float()], dim=1)
