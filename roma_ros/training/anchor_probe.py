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
from .tabletop.language import COLORS, SHAPES, SOUND_CONDITIONS, VERBS
from .tabletop.sounds import SOUNDS
from .towers import IGNORE, TowerTargets

_NAMES = (*SHAPES, *COLORS)
_NUM_KNOWN = len(_NAMES) + len(SOUNDS) + len(VERBS)


class AnchorProbe(nn.Module):
    """
    Reads what is asked for and what is there: two times shapes, colours, sounds and events.

    Of the stream's own anchors it reads only what is there: narration asks for nothing.

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
        :return: the sum over what is known, the mean over the anchors; 0 without one.
        """
        if not batch.speak_texts:
            return early.sum() * 0.0
        asked = torch.tensor([_asked(text) for text in batch.speak_texts], device=early.device)
        there = _there(towers)[batch.speak_units.to(early.device)]
        targets = torch.cat([asked, there], dim=1)
        logits = self.linear(early).float()
        known = (targets != IGNORE).float()
        loss = binary_cross_entropy_with_logits(
            logits, targets.clamp(min=0), weight=known, reduction='sum'
        )
        return loss / len(targets)


def _asked(text: str) -> list[float]:
    if not text:
        return [float(IGNORE)] * _NUM_KNOWN
    words = text.split()
    sounds = [any(c in text for c in SOUND_CONDITIONS[name]) for name in SOUNDS]
    # A hit is told of two things, every other event at the end.
    verbs = [text.endswith(f' {verb}') or (verb == 'hits' and verb in words) for verb in VERBS]
    return [float(known) for known in (*(name in words for name in _NAMES), *sounds, *verbs)]


def _there(towers: TowerTargets) -> torch.Tensor:
    """Return what each unit's last frame shows, what sounds, what happens: ``[U, known]``."""
    cells = towers.cells.unflatten(2, (-1, len(_NAMES)))[:, :, -1].float()
    shown = cells.amax(dim=1)
    # Nothing for sure, but something that is half in view.
    shown = torch.where((shown == 0) & (cells.amin(dim=1) < 0), IGNORE, shown)
    sounds = towers.sounds.amax(dim=1).float()
    return torch.cat([shown.clamp(min=IGNORE), sounds, towers.events.float()], dim=1)
