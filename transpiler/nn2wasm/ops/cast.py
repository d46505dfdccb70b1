"""Conversion between element types: y[i] = (type)x[i].

    to a truth value   x != 0
    float to integer   toward zero; outside the type's range its nearest end, NaN gives 0
    integer narrowed   the low bits

ONNX Cast-6.., CastLike. float16 and bfloat16 are float32 here (the reader makes them so).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp

# onnx.TensorProto.DataType
ONNX_DTYPES = {
    1: DType.F32, 2: DType.U8, 3: DType.S8, 4: DType.U16, 5: DType.S16, 6: DType.S32, 7: DType.S64,
    9: DType.BOOL, 10: DType.F32, 11: DType.F64, 12: DType.U32, 13: DType.U64, 16: DType.F32,
}  # fmt: skip
STRING = 8
NAMES = (
    "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16",
    "DOUBLE", "UINT32", "UINT64",
)  # fmt: skip
"""The same types as Cast names them before opset 6, from code 1 on."""


def _named(node: OnnxNode) -> int:
    """The code of the type that Cast names before opset 6, 0 where there is no such name."""
    name = node.attr_str("to", "").upper()
    return NAMES.index(name) + 1 if name in NAMES else 0


@dataclass(frozen=True)
class Cast(KernelOp):
    """The same elements as `dtype`."""

    onnx_types = ("Cast", "CastLike")
    elementwise = True
    reads_strings = True
    reads_doubles = True
    kernels = (Kernel(symbol="nn_cast__scalar", template="cast/any__scalar.c.j2", dtype="any"),)

    dtype: DType

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if node.op_type == "CastLike":
            dtype = node.input(1).dtype
        else:
            code = node.attr_int("to", 0) if node.opset >= 6 else _named(node)
            if x.holds_strings or code == STRING:
                _cast_strings(node, x, code)
                return
            if code not in ONNX_DTYPES:
                raise node.unsupported(f"the element type of code {code}")
            dtype = ONNX_DTYPES[code]
        if dtype is x.dtype:
            node.alias(x)
            return
        result = node.add(cls(dtype), [x])
        if dtype.is_float:
            result.labels = x.labels
        node.alias(result)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(self.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        if x.dtype.kind != "f" or self.dtype.is_float or self.dtype is DType.BOOL:
            return [x.astype(self.dtype.numpy)]
        low, high = float(self.dtype.minimum), float(self.dtype.maximum)
        inside = np.asarray(np.where((x > low) & (x < high), x, 0).astype(self.dtype.numpy))
        inside[x >= high] = self.dtype.maximum
        inside[x <= low] = self.dtype.minimum
        return [inside]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        context = {
            "count": x.element_count,
            "x_type": x.dtype.c_name,
            "y_type": y.dtype.c_name,
            "expression": _expression(x.dtype, y.dtype),
            "x_name": x.dtype.value,
            "y_name": y.dtype.value,
        }
        lead = stream_lead(x.element_count, x.dtype.bytes, y.dtype.bytes)
        return Lowering(context=context, lead={0: lead})


def as_single(node: OnnxNode, tensor: Tensor) -> Tensor:
    """A float64 tensor in float32: what it was made of, where that is float32."""
    producer = node.producer(tensor)
    if producer is not None and isinstance(producer.op, Cast):
        source = producer.input(0)
        if source.dtype is DType.F32:
            return source
    return node.add(Cast(DType.F32), [tensor], suffix="single")


def _cast_strings(node: OnnxNode, x: Tensor, code: int) -> None:
    """Strings stay what they are; no number becomes one, nor the other way round."""
    if not x.holds_strings or code != STRING:
        raise node.unsupported("numbers to strings, or strings to numbers")
    node.alias(x)


def _expression(source: DType, target: DType) -> str:
    """C expression of `v` converted."""
    name = target.c_name
    if target is DType.BOOL:
        return "v != 0.0f" if source.is_float else "v != 0"
    if not source.is_float or target.is_float:
        return f"({name})v"
    # every bound is a power of two, which a float holds; the largest number itself may not be one
    macro = name.removesuffix("_t").upper()
    above = f"{float(target.maximum + 1):.1f}f"
    if target.minimum == 0:
        return f"v >= {above} ? {macro}_MAX : v > -1.0f ? ({name})v : 0"
    low = f"{float(target.minimum):.1f}f"
    return f"v >= {above} ? {macro}_MAX : v >= {low} ? ({name})v : v < 0.0f ? {macro}_MIN : 0"
