"""Weights that lie in parts on many processes (FSDP): made whole to be written, cut when read."""

from collections.abc import Mapping

import torch
from torch.distributed.tensor import distribute_tensor, DTensor


def gather(tensors: Mapping[str, torch.Tensor], *, keep: bool) -> dict[str, torch.Tensor]:
    """
    Make tensors whole, one after another.

    Where they lie in parts, every process has to call it, with the same names in the same order.

    :param tensors: by name.
    :param keep: whether this process wants them.
    :return: the whole tensors, those that lay in parts on the CPU; none without ``keep``.
    """
    found = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, DTensor):
            whole = tensor.full_tensor()
            if keep:
                found[name] = whole.cpu()
        elif keep:
            found[name] = tensor
    return found


def cut_like(whole: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Lay a tensor where a parameter lies, in parts if that lies in parts."""
    if not isinstance(parameter, DTensor):
        return whole.to(parameter.device)
    mesh = parameter.device_mesh
    return distribute_tensor(whole.to(mesh.device_type), mesh, parameter.placements)
