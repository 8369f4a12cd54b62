"""Which tokens may see which."""

import torch


def causal_mask(num_new: int, length: int, *, device: torch.device | str = 'cpu') -> torch.Tensor:
    """
    Make the mask of new tokens at the end of a sequence.

    :param num_new: new tokens T.
    :param length: all tokens S, the new ones included.
    :param device: where.
    :return: bool ``[1, 1, T, S]``, true where a token may look.
    """
    rows = torch.arange(length - num_new, length, device=device)[:, None]
    return (torch.arange(length, device=device) <= rows)[None, None]
