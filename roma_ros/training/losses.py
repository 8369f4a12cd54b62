"""The two losses: when to speak, and what to say (paper §3.2.2)."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def speak_loss(
    logits: torch.Tensor, labels: torch.Tensor, *, positive_weight: float = 3.0
) -> torch.Tensor:
    """
    Binary cross entropy in which units to speak at count more, since they are rare.

    :param logits: ``[M]``, of the speak head.
    :param labels: ``[M]``, 1: speak.
    :param positive_weight: w_pos; 3 in the paper's experiments (§5.1).
    :return: the mean; 0 without a label.
    """
    if not len(labels):
        return logits.sum()
    return binary_cross_entropy_with_logits(
        logits.float(), labels, pos_weight=labels.new_tensor(positive_weight)
    )


def language_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """
    Cross entropy of the words.

    :param logits: ``[N, V]``.
    :param targets: int64 ``[N]``.
    :return: the mean; 0 without a word.
    """
    if not len(targets):
        return logits.sum()
    return cross_entropy(logits.float(), targets)
