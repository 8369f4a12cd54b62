"""Quantization of linear layers: whole numbers, with a scale for each block or each output."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
import torch


@dataclass(frozen=True)
class Quantization:
    """
    How weights are stored.

    :param bits: 8 or 4.
    :param block: inputs of a linear layer that share a scale; 0: all inputs of an output do.
    :param activations: round what goes into a layer to 8 bits, too, with one scale for all of
        it that is found anew at every run; then the product itself is one of whole numbers.
    """

    bits: int
    block: int = 32
    activations: bool = False

    @property
    def tensor_type(self) -> int:
        """Return ONNX's number of the type."""
        return int(TensorProto.INT8 if self.bits == 8 else TensorProto.INT4)

    @property
    def limit(self) -> int:
        """Return the largest whole number used, of either sign."""
        return 2 ** (self.bits - 1) - 1


#: By name, as ``roma export --quantize`` takes it.
QUANTIZATIONS = {
    'int8': Quantization(8),
    'int4': Quantization(4),
    'w8a8': Quantization(8, block=0, activations=True),
}


def quantize(
    matrix: torch.Tensor, quantization: Quantization, *, scale_dtype: torch.dtype
) -> tuple[npt.NDArray[np.int8], torch.Tensor]:
    """
    Round a matrix to whole numbers.

    :param matrix: ``[K, N]``, K a multiple of the block.
    :param scale_dtype: of the scales; the whole numbers make up for their rounding.
    :return: int8 values, ``[K, N]``, for 4 bits packed by two in a flat array, the even ones
        low; and scales, ``[K / block, N]``, or ``[N]`` without blocks.
    """
    rows, columns = matrix.shape
    block = quantization.block or rows
    blocks = matrix.float().reshape(rows // block, block, columns)
    limit = quantization.limit
    scales = (blocks.abs().amax(dim=1) / limit).to(scale_dtype)
    scales[scales == 0] = 1
    values = (blocks / scales[:, None].float()).round().clamp(-limit, limit).to(torch.int8)
    flat = values.reshape(rows, columns)
    if quantization.bits == 4:
        pairs = flat.reshape(-1, 2)
        flat = (pairs[:, 0] & 0xF) | (pairs[:, 1] << 4)
    return flat.numpy(), scales if quantization.block else scales[0]
