"""The speak head: from the hidden states at a unit's end to the probability of speaking now."""

import torch
from torch import nn

from .config import SpeakHeadConfig


class SpeakHead(nn.Module):
    """
    Softmax mix of the last K hidden states, then a small MLP to one logit.

    The states are those of transformers' ``hidden_states[-K:]``: the last is after the final
    norm, the others are the raw residual stream, as in the release.

    :param config: the shape.
    """

    def __init__(self, config: SpeakHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.layer_logits = nn.Parameter(torch.zeros(config.num_layers_mixed))
        self.fc1: nn.Linear | None = None
        if config.width:
            self.fc1 = nn.Linear(config.hidden_size, config.width)
        self.fc2 = nn.Linear(config.width or config.hidden_size, 1)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """
        Return the logit of speaking.

        :param states: ``[K, ..., C]``, oldest layer first.
        :return: ``[...]``; its sigmoid is the speak probability.
        """
        weights = torch.softmax(self.layer_logits, dim=0)
        mixed = torch.tensordot(weights, states, dims=1)
        if self.fc1 is not None:
            mixed = nn.functional.gelu(self.fc1(mixed))
        return self.fc2(mixed).squeeze(-1)


def released_keys(config: SpeakHeadConfig) -> dict[str, str]:
    """
    Map this module's state-dict keys to those of the published checkpoint.

    :param config: the shape; without a hidden layer, the names are those of the older head.
    :return: our key to the released key, which in a full checkpoint follows ``thinker.``.
    """
    keys = {'layer_logits': 'gate_mixer.logits'}
    for kind in ('weight', 'bias'):
        if config.width:
            keys[f'fc1.{kind}'] = f'gate_head_pro_fc1.{kind}'
            keys[f'fc2.{kind}'] = f'gate_head_pro_fc2.{kind}'
        else:
            keys[f'fc2.{kind}'] = f'gate_head.{kind}'
    return keys
