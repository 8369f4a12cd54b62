"""New weights for a network that learns from nothing."""

import torch
from torch import nn

from ..model.thinker import RomaModel


@torch.no_grad()
def draw_weights(model: RomaModel, *, seed: int) -> None:
    """
    Draw every weight anew: matrices with 1/sqrt(fan-in), what writes into a residual stream less.

    :param model: changed in place.
    :param seed: the same seed draws the same weights.
    """
    generator = torch.Generator().manual_seed(seed)
    depth = 2 * len(model.decoder.layers)
    for name, weight in sorted(model.named_parameters()):
        if name.endswith(('bias', 'layer_logits')):
            weight.zero_()
        elif weight.ndim == 1:
            weight.fill_(1.0)
        else:
            std = weight[0].numel() ** -0.5
            if 'embed_tokens' in name:
                std = weight.shape[1] ** -0.5
            elif name.endswith(('o_proj.weight', 'down_proj.weight')):
                std *= depth**-0.5
            nn.init.normal_(weight, std=std, generator=generator)
    # As rare as it is: at first hardly anything calls for speech.
    nn.init.constant_(model.speak_head.fc2.bias, -2.0)
