"""Conversion between element types, y[i] = (type)x[i], as `ops.conversion` says.

ONNX Cast-6.., CastLike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Encoding, Half, Node, Op, Tensor, TensorType
from nn2wasm.ops.conversion import HEADER, ROUNDINGS, Conversion
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import Reshape

# onnx.TensorProto.DataType
ONNX_DTYPES = {
    1: DType.F32, 2: DType.U8, 3: DType.S8, 4: DType.U16, 5: DType.S16, 6: DType.S32, 7: DType.S64,
    9: DType.BOOL, 10: DType.F16, 11: DType.F64, 12: DType.U32, 13: DType.U64, 16: DType.BF16,
    17: DType.F8E4M3FN, 18: DType.F8E4M3FNUZ, 19: DType.F8E5M2, 20: DType.F8E5M2FNUZ,
    21: DType.U8, 22: DType.S8, 23: DType.F4E2M1, 24: DType.F8E8M0, 25: DType.U8, 26: DType.S8,
}  # fmt: skip
BITS = {21: 4, 22: 4, 25: 2, 26: 2}
"""Of integers with fewer than their type here has."""
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
    """The same elements as `dtype`; `whole`: they are known to be integers that both types hold."""

    onnx_types = ("Cast", "CastLike")
    elementwise = True
    reads_strings = True
    reads_all = True
    kernels = (
        Kernel(
            symbol="nn_cast_small__scalar",
            template="cast/any__scalar.c.j2",
            dtype="any",
            fits=lambda node: _small(node),
            headers=(HEADER,),
        ),
        Kernel(symbol="nn_cast__scalar", template="cast/any__scalar.c.j2", dtype="any"),
    )

    dtype: DType
    bits: int = 0
    saturate: bool = True
    rounding: str = "up"
    whole: bool = False

    @property
    def conversion(self) -> Conversion:
        return Conversion(self.dtype, self.bits, self.saturate, self.rounding)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        bits = 0
        if node.op_type == "CastLike":
            like = node.input(1)
            dtype, bits = like.dtype, like.bits
        else:
            code = node.attr_int("to", 0) if node.opset >= 6 else _named(node)
            if x.holds_strings or code == STRING:
                _cast_strings(node, x, code)
                return
            if code not in ONNX_DTYPES:
                raise node.unsupported(f"the element type of code {code}")
            dtype, bits = ONNX_DTYPES[code], BITS.get(code, 0)
        rounding = node.attr_str("round_mode", "up")
        if rounding not in ROUNDINGS:
            raise node.invalid(f"round_mode {rounding!r}")
        if dtype is x.dtype and (x.bits == bits or not bits):
            same = x
            if x.bits != bits:
                same = node.add(Reshape(x.shape), [x], suffix="byte")
                same.bits = 0
            node.alias(same)
            return
        before = node.producer(x)
        whole = before is not None and before.op == cls(x.dtype, whole=True)
        if before is not None and whole and before.input(0).dtype is dtype:
            node.alias(before.input(0))
            return
        saturate = bool(node.attr_int("saturate", 1))
        result = node.add(cls(dtype, bits, saturate, rounding), [x])
        result.bits = bits
        if dtype.is_float:
            result.labels = x.labels
        node.alias(result)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(self.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [self.conversion.evaluate(np.asarray(inputs[0]))]

    def encoding(self, inputs: Sequence[Tensor | None]) -> Encoding | None:
        x = inputs[0]
        return Half(x.dtype) if x is not None and x.dtype.is_half else None

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
            "expression": self.conversion.expression(x.dtype),
            "x_name": x.dtype.value,
            "y_name": y.dtype.value,
        }
        lead = stream_lead(x.element_count, x.dtype.bytes, y.dtype.bytes)
        return Lowering(context=context, lead={0: lead})


def _cast_strings(node: OnnxNode, x: Tensor, code: int) -> None:
    """Strings stay what they are; no number becomes one, nor the other way round."""
    if not x.holds_strings or code != STRING:
        raise node.unsupported("numbers to strings, or strings to numbers")
    node.alias(x)


def _small(node: Node) -> str:
    headers = _conversion(node).headers(node.input(0).dtype)
    return "" if headers else "no float of it is a small one"


def _conversion(node: Node) -> Conversion:
    op: Cast = node.op  # type: ignore[assignment]
    return op.conversion
