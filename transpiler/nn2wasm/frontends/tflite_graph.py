"""What a TensorFlow Lite model becomes: an ONNX graph, quantizers around each operation.

What is quantized is DequantizeLinear, the operation on real numbers, QuantizeLinear; behind the
front end that is one operation on integers. Images stay as they are, channels last: a Transpose
before and one after each operation of ONNX that wants channels first, which cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.frontends.tflite_file import TfliteOp, TfliteTensor
from nn2wasm.ir.tensor import Array

OPSET = 21
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
NONE, RELU, RELU_N1_TO_1, RELU6, TANH = range(5)


class TfliteGraph:
    """An ONNX graph under construction.

    Values are names of ONNX tensors. `stored` is a tensor as the file has it, integers if it is
    quantized; `real` is what these stand for.
    """

    def __init__(self) -> None:
        self.proto = onnx.GraphProto()
        self._stored: dict[TfliteTensor, str] = {}
        self._real: dict[TfliteTensor, str] = {}
        self._count: dict[str, int] = {}
        self._op: TfliteOp | None = None

    def begin(self, op: TfliteOp) -> None:
        """All that follows belongs to this node of the file."""
        self._op = op

    def fresh(self, stem: str) -> str:
        count = self._count.get(stem, 0)
        self._count[stem] = count + 1
        return stem if not count else self.fresh(f"{stem}:{count}")

    # -- errors --------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return self._op.label if self._op is not None else "the model"

    def unsupported(self, what: str) -> UnsupportedFeature:
        return UnsupportedFeature(f"{self._label}: {what}")

    def invalid(self, what: str) -> InvalidModel:
        return InvalidModel(f"{self._label}: {what}")

    # -- values --------------------------------------------------------------------------------

    def port(self, tensor: TfliteTensor, *, output: bool) -> None:
        """Declares an input or output of the model, of the tensor's own type."""
        code = onnx.helper.np_dtype_to_tensor_dtype(tensor.dtype)
        if not output:
            name = self._stored[tensor] = self.fresh(tensor.name)
            value = onnx.helper.make_tensor_value_info(name, code, tensor.shape)
            self.proto.input.append(value)
            return
        source = self.stored(tensor)
        name = self.fresh(tensor.name if tensor.name not in self._count else f"{tensor.name}:out")
        self.proto.node.add(op_type="Identity", input=[source], output=[name], name=name)
        self.proto.output.append(onnx.helper.make_tensor_value_info(name, code, tensor.shape))

    def constant(self, values: Any, stem: str = "constant") -> str:
        name = self.fresh(stem)
        self.proto.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def stored(self, tensor: TfliteTensor) -> str:
        known = self._stored.get(tensor)
        if known is None:
            if tensor.data is None:
                raise self.invalid(f"the tensor {tensor.name!r} is read before it is written")
            known = self._stored[tensor] = self.constant(tensor.data, tensor.name)
        return known

    def real(self, tensor: TfliteTensor) -> str:
        """Float32 of a quantized tensor or of halves; others are what they are."""
        known = self._real.get(tensor)
        if known is None:
            if tensor.scale is not None and tensor.dtype.kind in "iu":
                known = self._dequantized(self.stored(tensor), tensor, tensor.axis)
            elif tensor.dtype == np.float16:
                known = self.node("Cast", [self.stored(tensor)], to=onnx.TensorProto.FLOAT)
            else:
                known = self.stored(tensor)
            self._real[tensor] = known
        return known

    def weights(self, tensor: TfliteTensor, perm: Sequence[int], shape: Sequence[int]) -> str:
        """Real weights with their axes permuted, then another shape; the axis of channels is that
        which it becomes.
        """
        if tensor.data is None:
            name = self.node("Transpose", [self.real(tensor)], perm=perm)
            return self.reshaped(name, shape)
        values = np.ascontiguousarray(tensor.data.transpose(perm).reshape(shape))
        if tensor.scale is None or tensor.dtype.kind not in "iu":
            return self.constant(values.astype(np.float32), tensor.name)
        sizes = [i for i, size in enumerate(shape) if size == tensor.scale.size]
        return self._dequantized(
            self.constant(values, tensor.name), tensor, sizes[0] if sizes else 0
        )

    def bias(self, tensor: TfliteTensor | None, x: TfliteTensor, w: TfliteTensor) -> list[str]:
        """The bias as an operand, none where there is none."""
        if tensor is None:
            return []
        if tensor.data is None or tensor.dtype.kind not in "iu":
            return [self.real(tensor)]
        if x.scale is None or w.scale is None:
            raise self.unsupported("an integer bias of a layer that is not quantized")
        values = tensor.data
        if values.size and not -(2**31) <= int(values.min()) <= int(values.max()) < 2**31:
            raise self.unsupported("a bias of more than 32 bits")
        scale = (x.scale * w.scale).astype(np.float32)
        scale = np.broadcast_to(scale, values.shape) if scale.size > 1 else scale
        stored = self.constant(values.astype(np.int32), tensor.name)
        operands = [stored, self.constant(_plain(scale), f"{tensor.name}_scale")]
        return [self.node("DequantizeLinear", operands, axis=0)]

    def give(self, tensor: TfliteTensor, name: str) -> None:
        """The real numbers of an output are these."""
        self._stored[tensor] = self._quantized(tensor, name)

    def give_first(self, tensor: TfliteTensor, name: str) -> None:
        """The same, with channels first."""
        quantized = self._quantized(tensor, name)
        self._stored[tensor] = self.node("Transpose", [quantized], perm=TO_LAST)

    def first(self, tensor: TfliteTensor) -> str:
        """Real numbers with channels first."""
        moved = self.node("Transpose", [self.stored(tensor)], perm=TO_FIRST)
        if tensor.scale is not None and tensor.dtype.kind in "iu":
            return self._dequantized(moved, tensor, tensor.axis)
        if tensor.dtype == np.float16:
            return self.node("Cast", [moved], to=onnx.TensorProto.FLOAT)
        return moved

    def give_stored(self, tensor: TfliteTensor, name: str) -> None:
        """The output as it is stored is this."""
        self._stored[tensor] = name

    def known(self, tensor: TfliteTensor | None, what: str) -> Array:
        """The values of a constant."""
        if tensor is None or tensor.data is None:
            raise self.unsupported(f"its {what} is computed at run time")
        return tensor.data

    # -- nodes ---------------------------------------------------------------------------------

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node's only output."""
        return self.nodes(kind, inputs, 1, **attributes)[0]

    def nodes(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        outputs = [self.fresh(f"{self._label}/{kind}") for _ in range(count)]
        self.proto.node.append(
            onnx.helper.make_node(kind, list(inputs), outputs, name=outputs[0], **attributes)
        )
        return outputs

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", [name, self.constant(np.asarray(shape, np.int64), "shape")])

    def activated(self, name: str, activation: int) -> str:
        """The activation that is fused to an operation."""
        match activation:
            case 0:
                return name
            case 1:
                return self.node("Relu", [name])
            case 2 | 3:
                low, high = (-1.0, 1.0) if activation == RELU_N1_TO_1 else (0.0, 6.0)
                bounds = [self.constant(np.float32(bound), "bound") for bound in (low, high)]
                return self.node("Clip", [name, *bounds])
            case 4:
                return self.node("Tanh", [name])
        raise self.unsupported(f"the fused activation number {activation}")

    def _quantized(self, tensor: TfliteTensor, name: str) -> str:
        if tensor.scale is None or tensor.dtype.kind not in "iu":
            return name
        return self.node("QuantizeLinear", [name, *self._parameters(tensor)], axis=tensor.axis)

    def _dequantized(self, stored: str, tensor: TfliteTensor, axis: int) -> str:
        operands = [stored, *self._parameters(tensor)]
        return self.node("DequantizeLinear", operands, axis=axis)

    def _parameters(self, tensor: TfliteTensor) -> list[str]:
        assert tensor.scale is not None
        assert tensor.zero_point is not None
        zero = tensor.zero_point.astype(tensor.dtype)
        return [
            self.constant(_plain(tensor.scale), f"{tensor.name}_scale"),
            self.constant(_plain(zero), f"{tensor.name}_zero_point"),
        ]


def _plain(values: Array) -> Array:
    """One number as a scalar."""
    return values.reshape(()) if prod(values.shape) == 1 else values
