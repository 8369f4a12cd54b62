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


def silence_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    silence: int,
    turn: int,
    positive_weight: float = 3.0,
) -> torch.Tensor:
    """
    Cross entropy of the language model's next token where it decides itself when to speak.

    :param logits: ``[M, V]``, of the lm head.
    :param labels: ``[M]``, 1: speak.
    :param silence: the token that means: not now.
    :param turn: the token that ends the operator's turn, so that an answer begins.
    :param positive_weight: as of :func:`speak_loss`.
    :return: the mean; 0 without a label.
    """
    if not len(labels):
        return logits.sum()
    targets = torch.where(labels > 0, turn, silence)
    losses = cross_entropy(logits.float(), targets, reduction='none')
    return (losses * torch.where(labels > 0, positive_weight, 1.0)).mean()


def speaking_logits(logits: torch.Tensor, *, silence: int) -> torch.Tensor:
    """
    Return the log odds that a language model does not keep silent.

    :param logits: ``[M, V]``, of the lm head.
    :param silence: the token that means: not now.
    :return: float32 ``[M]``; its sigmoid is 1 - P(silence).
    """
    others = logits.float().clone()
    others[:, silence] = -torch.inf
    return others.logsumexp(dim=-1) - logits[:, silence].float()


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
