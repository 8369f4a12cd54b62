"""Writes one ONNX graph, node by node; weights go straight to a file beside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, TensorProto
import torch
from torch import nn

from .quantization import Quantization, quantize

OPSET = 24
#: Numbers in a graph, by torch's name of them.
TENSOR_TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
    torch.int64: TensorProto.INT64,
    torch.bool: TensorProto.BOOL,
}
# So that a weight can be mapped into memory by itself.
_ALIGNMENT = 4096

Shape = Sequence[int | str]


class GraphBuilder:
    """
    One graph under construction; use it in a ``with`` block and :meth:`save` it there.

    :param path: of the ``.onnx`` file; weights go to ``path`` + ``.data`` as they are added, so
        that they are in memory once.
    :param dtype: of weights and activations.
    :param quantization: of the weights of linear layers; None: those are of ``dtype``, too.
    """

    def __init__(
        self, path: Path, *, dtype: torch.dtype, quantization: Quantization | None = None
    ) -> None:
        self.dtype = dtype
        self._path = path
        self._quantization = quantization
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[str, bytes, tuple[int, ...]], str] = {}
        self._scope = ''
        self._count = 0
        self._data_path = path.with_name(path.name + '.data')
        self._data: BinaryIO

    def __enter__(self) -> 'GraphBuilder':
        self._data = self._data_path.open('wb')
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put the nodes of a ``with`` block under a name."""
        outer = self._scope
        self._scope = f'{outer}{name}.'
        yield
        self._scope = outer

    def input(self, name: str, shape: Shape, dtype: torch.dtype | None = None) -> str:
        """Declare an input; dimensions that are names are free."""
        kind = TENSOR_TYPES[dtype or self.dtype]
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, shape: Shape, dtype: torch.dtype | None = None) -> None:
        """Declare an output: the value that a node was told to give this name."""
        kind = TENSOR_TYPES[dtype or self.dtype]
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def op(self, kind: str, *inputs: str, output: str = '', **attributes: Any) -> str:
        """
        Add a node with one output.

        :param kind: the operator.
        :param inputs: names of values.
        :param output: name of the value that it makes; empty: one is made up.
        :param attributes: of the operator.
        :return: name of the value.
        """
        name = self._node_name(kind)
        output = output or f'{name}:0'
        self._nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def split(self, x: str, sizes: Sequence[int]) -> tuple[str, ...]:
        """Cut a value into parts of these sizes along its last axis."""
        name = self._node_name('Split')
        outputs = tuple(f'{name}:{index}' for index in range(len(sizes)))
        inputs = [x, self.constant(list(sizes))]
        self._nodes.append(helper.make_node('Split', inputs, outputs, name=name, axis=-1))
        return outputs

    def cast(self, x: str, dtype: torch.dtype, *, output: str = '') -> str:
        """Turn numbers into those of another type."""
        return self.op('Cast', x, to=TENSOR_TYPES[dtype], output=output)

    def constant(self, values: npt.ArrayLike, dtype: torch.dtype | None = None) -> str:
        """
        Add a small constant, kept in the graph itself.

        :param values: Python integers or an int64 array are int64; else of ``dtype``.
        :param dtype: of numbers that are not whole; None: the graph's.
        """
        array = np.asarray(values)
        if array.dtype != np.int64:
            array = array.astype(np.float32)
        target = torch.int64 if array.dtype == np.int64 else dtype or self.dtype
        key = (str(target), array.tobytes(), array.shape)
        if key not in self._constants:
            self._constants[key] = name = f'constant_{len(self._constants)}'
            tensor = helper.make_tensor(
                name, TENSOR_TYPES[target], array.shape, array.ravel().tolist()
            )
            self._initializers.append(tensor)
        return self._constants[key]

    def weight(self, name: str, tensor: torch.Tensor) -> str:
        """Add a weight, in the graph's dtype."""
        values = tensor.detach().to(self.dtype).contiguous()
        # NumPy has no bfloat16; the bytes are what counts.
        raw = values.view(torch.int16) if self.dtype == torch.bfloat16 else values
        return self._store(name, TENSOR_TYPES[self.dtype], tensor.shape, raw.numpy())

    def linear(
        self,
        x: str,
        name: str,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        *,
        output: str = '',
    ) -> str:
        """
        Add a linear layer, weight-only quantized where the builder quantizes and blocks fit.

        :param x: ``[..., K]``.
        :param name: of the layer.
        :param weight: ``[N, K]``, as torch keeps it.
        :param bias: ``[N]``, or None.
        :param output: name of the result; empty: one is made up.
        :return: ``[..., N]``.
        """
        matrix = weight.detach().t()  # [K, N]
        quantization = self._quantization
        if quantization is None or (quantization.block and len(matrix) % quantization.block):
            product = 'MatMul', x, self.weight(f'{name}.weight', matrix)
        elif quantization.activations:
            product = self._product_of_integers(x, name, matrix, quantization)
        else:
            product = 'MatMul', x, self._dequantized(name, matrix, quantization)
        if bias is None:
            return self.op(*product, output=output)
        stored_bias = self.weight(f'{name}.bias', bias)
        return self.op('Add', self.op(*product), stored_bias, output=output)

    def _dequantized(self, name: str, matrix: torch.Tensor, quantization: Quantization) -> str:
        """Return a matrix that is stored in whole numbers."""
        values, scales = quantize(matrix, quantization, scale_dtype=self.dtype)
        return self.op(
            'DequantizeLinear',
            self._store(f'{name}.weight', quantization.tensor_type, matrix.shape, values),
            self.weight(f'{name}.scale', scales),
            axis=0,
            block_size=quantization.block,
        )

    def _product_of_integers(
        self, x: str, name: str, matrix: torch.Tensor, quantization: Quantization
    ) -> tuple[str, str, str]:
        """Round x to 8 bits; return the operator, and its inputs, that ends the product."""
        values, scales = quantize(matrix, quantization, scale_dtype=self.dtype)
        stored = self._store(f'{name}.weight', quantization.tensor_type, matrix.shape, values)
        rounded, scale, zero = self._rounded(x)
        product = self.cast(self.op('MatMulInteger', rounded, stored, zero), self.dtype)
        return 'Mul', product, self.op('Mul', scale, self.weight(f'{name}.scale', scales))

    def _rounded(self, x: str) -> tuple[str, ...]:
        """Return a value in 8 bits, its scale and its zero."""
        name = self._node_name('DynamicQuantizeLinear')
        outputs = tuple(f'{name}:{index}' for index in range(3))
        self._nodes.append(helper.make_node('DynamicQuantizeLinear', [x], outputs, name=name))
        return outputs

    def rms_norm(self, x: str, name: str, weight: torch.Tensor, epsilon: float) -> str:
        """Add an RMS norm over the last axis, in float32 within."""
        scale = self.weight(f'{name}.weight', weight)
        return self.op('RMSNormalization', x, scale, axis=-1, epsilon=epsilon)

    def swiglu(self, x: str, name: str, mlp: Any) -> str:
        """
        Add transformers' gated MLP, gate and up in one product.

        :param mlp: has ``gate_proj``, ``up_proj`` and ``down_proj``; the activation is SiLU.
        """
        size = mlp.gate_proj.weight.shape[0]
        both = self.linear(x, *joined(f'{name}.gate_up', mlp.gate_proj, mlp.up_proj))
        gate, up = self.split(both, [size, size])
        active = self.op('Mul', self.op('Mul', gate, self.op('Sigmoid', gate)), up)
        return self.linear(active, f'{name}.down', mlp.down_proj.weight, mlp.down_proj.bias)

    def heads(self, x: str, num_heads: int, head_dim: int) -> str:
        """Turn ``[n, H * D]`` into ``[1, H, n, D]``."""
        apart = self.op('Reshape', x, self.constant([1, -1, num_heads, head_dim]))
        return self.op('Transpose', apart, perm=[0, 2, 1, 3])

    def side_by_side(self, x: str, width: int) -> str:
        """Turn ``[1, H, n, D]`` into ``[n, H * D]``."""
        tokens = self.op('Transpose', x, perm=[0, 2, 1, 3])
        return self.op('Reshape', tokens, self.constant([-1, width]))

    def save(self) -> None:
        """Write the graph."""
        graph = helper.make_graph(
            self._nodes, self._path.stem, self._inputs, self._outputs, self._initializers
        )
        opset = helper.make_opsetid('', OPSET)
        model = helper.make_model(
            graph,
            opset_imports=[opset],
            ir_version=helper.find_min_ir_version_for([opset]),
            producer_name='roma_ros',
        )
        self._data.flush()
        onnx.save_model(model, self._path)

    def _node_name(self, kind: str) -> str:
        self._count += 1
        return f'{self._scope}{kind}_{self._count}'

    def _store(
        self, name: str, tensor_type: int, shape: Sequence[int], values: npt.NDArray
    ) -> str:
        """Write a tensor's bytes to the file beside the graph."""
        self._data.seek(-self._data.tell() % _ALIGNMENT, 1)
        tensor = TensorProto(
            name=name,
            data_type=tensor_type,
            dims=shape,
            data_location=TensorProto.EXTERNAL,
        )
        entries = {
            'location': self._data_path.name,
            'offset': self._data.tell(),
            'length': values.nbytes,
        }
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        self._data.write(np.ascontiguousarray(values).data)
        self._initializers.append(tensor)
        return name


def joined(name: str, *layers: nn.Linear) -> tuple[str, torch.Tensor, torch.Tensor | None]:
    """Return linear layers over one input as one: its name, weight and bias."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
    return name, weight, torch.cat(biases) if biases else None
