"""Weights in fewer bits for the torch engines, by torchao."""

from typing import Any

import torch
from torch import nn

from ..model.thinker import RomaModel
from .fused_decoder import FusedDecoder

#: By name, as ``--quantize`` takes it.
TORCH_QUANTIZATIONS = ('int8', 'int4')
# Inputs of a linear layer that share a scale in 4 bits; in 8 bits all of an output do.
_GROUP = 32
# What the kernel for CPUs wants a number of outputs to be a multiple of.
_ROWS = 16


def quantize_model(model: RomaModel, decoder: FusedDecoder, name: str) -> None:
    """
    Store the weights of linear layers in fewer bits, in place.

    The speak head, embeddings, norms and convolutions stay as they are, and so do layers whose
    inputs are no multiple of 32, or whose outputs are none of 16. The model gives up its own
    decoder layers: their weights are those of ``decoder``.

    :param model: the network, in evaluation mode.
    :param decoder: over its weights.
    :param name: int8, rounded for each output; or int4, for each 32 inputs of one.
    :raises ImportError: when torchao is not installed, or lacks what is wanted.
    :raises ValueError: when the name is not known, or its kernel takes no such numbers.
    """
    if name not in TORCH_QUANTIZATIONS:
        raise ValueError(f'quantize is {name!r}, expected int8, int4 or nothing')
    if name == 'int4' and model.device.type != 'cpu' and model.dtype != torch.bfloat16:
        raise ValueError(
            f'int4 on a GPU wants bfloat16, and dtype is {str(model.dtype).removeprefix("torch.")}'
        )
    try:
        # Transformers imports torchao wherever it is installed, so here it costs nothing.
        from torchao.quantization import quantize_

        config = _config(name, model.device)
    except ImportError as error:
        raise ImportError(
            f"quantize={name!r} needs torchao 0.18: pip install 'torchao>=0.18' ({error})"
        ) from error
    model.decoder.layers = nn.ModuleList()
    for part in (decoder, model.thinker):
        quantize_(part, config, _fits)


def _config(name: str, device: torch.device) -> Any:
    # Inductor's settings are the whole process's, so they are left alone.
    if name == 'int8':
        from torchao.quantization import Int8WeightOnlyConfig

        return Int8WeightOnlyConfig(set_inductor_config=False)
    if device.type == 'cpu':
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

        return PrototypeInt4WeightOnlyConfig(group_size=_GROUP, set_inductor_config=False)
    from torchao.quantization import Int4WeightOnlyConfig

    return Int4WeightOnlyConfig(
        group_size=_GROUP,
        int4_packing_format='tile_packed_to_4d',
        set_inductor_config=False,
    )


def _fits(module: nn.Module, name: str) -> bool:
    if not isinstance(module, nn.Linear):
        return False
    return module.in_features % _GROUP == 0 and module.out_features % _ROWS == 0
