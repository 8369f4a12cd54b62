"""Weight-only quantization: whole numbers with one scale for each block of inputs."""

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
    :param block: inputs of a linear layer that share a scale.
    """

    bits: int
    block: int = 32

    @property
    def tensor_type(self) -> int:
        """Return ONNX's number of the type."""
        return int(TensorProto.INT8 if self.bits == 8 else TensorProto.INT4)

    @property
    def limit(self) -> int:
        """Return the largest whole number used, of either sign."""
        return 2 ** (self.bits - 1) - 1


#: By name, as ``roma export --quantize`` takes it.
QUANTIZATIONS = {'int8': Quantization(8), 'int4': Quantization(4)}


def quantize(
    matrix: torch.Tensor, quantization: Quantization, *, scale_dtype: torch.dtype
) -> tuple[npt.NDArray[np.int8], torch.Tensor]:
    """
    Round a matrix to whole numbers.

    :param matrix: ``[K, N]``, K a multiple of the block.
    :param scale_dtype: of the scales; the whole numbers make up for their rounding.
    :return: int8 values, ``[K, N]``, for 4 bits packed by two in a flat array, the even ones
        low; and scales, ``[K / block, N]``.
    """
    rows, columns = matrix.shape
    blocks = matrix.float().reshape(rows // quantization.block, quantization.block, columns)
    limit = quantization.limit
    scales = (blocks.abs().amax(dim=1) / limit).to(scale_dtype)
    scales[scales == 0] = 1
    values = (blocks / scales[:, None].float()).round().clamp(-limit, limit).to(torch.int8)
    flat = values.reshape(rows, columns)
    if quantization.bits == 4:
        pairs = flat.reshape(-1, 2)
        flat = (pairs[:, 0] & 0xF) | (pairs[:, 1] << 4)
    return flat.numpy(), scales
