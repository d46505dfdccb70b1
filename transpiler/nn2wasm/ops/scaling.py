"""What ai.onnx.ml does to features one by one: Scaler-1, Normalizer-1, Imputer-1, Binarizer-1.

Scaler and Normalizer compute in float32, whatever the type of their inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp, KernelOp

NUMBERS = (DType.F32, DType.F64, DType.S64, DType.S32)
"""Element types that ai.onnx.ml has features of."""


class Scaler(ImportOp):
    """(x − offset) · scale; becomes Sub and Mul."""

    onnx_types = ("ai.onnx.ml.Scaler",)
    reads_doubles = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = in_float(node)
        offset = _per_feature(node, x, "offset", 0.0)
        scale = _per_feature(node, x, "scale", 1.0)
        if offset.any():
            x = node.add(Binary("Sub"), [x, node.value(offset, "offset")], suffix="centered")
        if (scale != 1).any():
            x = node.add(Binary("Mul"), [x, node.value(scale, "scale")], suffix="scaled")
        node.alias(x)


def in_float(node: OnnxNode) -> Tensor:
    """The input as float32.

    Raises:
        UnsupportedFeature: it is not of a type that features have.
    """
    x = node.input(0)
    if x.dtype not in NUMBERS:
        raise node.unsupported(f"elements of type {x.dtype.value}")
    return x if x.dtype is DType.F32 else node.add(Cast(DType.F32), [x], suffix="float")


def _per_feature(node: OnnxNode, x: Tensor, name: str, default: float) -> Array:
    values = np.asarray(node.attr_floats(name) or (default,), np.float32)
    if values.size != 1 and (not x.shape or values.size != x.shape[-1]):
        raise node.invalid(f"its {name} has {values.size} entries for the shape {list(x.shape)}")
    return values


@dataclass(frozen=True)
class Normalizer(KernelOp):
    """Rows divided by their largest element (MAX), the sum of sizes (L1) or their length (L2).

    Rows whose divisor is 0 stay as they are.
    """

    onnx_types = ("ai.onnx.ml.Normalizer",)
    reads_doubles = True
    kernels = (
        Kernel(
            symbol="nn_normalize_f32__scalar",
            template="normalize/f32__scalar.c.j2",
            dtype="f32",
        ),
    )

    norm: str

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        norm = node.attr_str("norm", "MAX")
        if norm not in ("MAX", "L1", "L2"):
            raise node.invalid(f"the norm {norm!r}")
        x = in_float(node)
        if len(x.shape) not in (1, 2):
            raise node.invalid(f"its input has {len(x.shape)} axes")
        y = node.add(cls(norm), [x])
        y.labels = node.input(0).labels
        node.alias(y)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        measure = {
            "MAX": lambda v: v.max(-1, keepdims=True),
            "L1": lambda v: np.abs(v).sum(-1, keepdims=True),
            "L2": lambda v: np.sqrt((v * v).sum(-1, keepdims=True)),
        }[self.norm](x)
        return [np.where(measure == 0, x, x / measure)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        context = {
            "rows": math.prod(x.shape[:-1]),
            "n": x.shape[-1],
            "norm": self.norm,
            "start": "x[0]" if self.norm == "MAX" else "0.0f",
            "add": {
                "MAX": "nn_max(measure, x[i])",
                "L1": "measure + nn_abs(x[i])",
                "L2": "measure + x[i] * x[i]",
            }[self.norm],
            "root": self.norm == "L2",
        }
        return Lowering(context=context, lead={0: stream_lead(x.element_count, 4, 4)})


@dataclass(frozen=True)
class Imputer(KernelOp):
    """Elements that are `replaced`, NaN among them, become those of `values`, one for each of the
    last axis or one for all.
    """

    onnx_types = ("ai.onnx.ml.Imputer",)
    reads_doubles = True
    kernels = (Kernel(symbol="nn_impute__scalar", template="impute/any__scalar.c.j2", dtype="any"),)

    replaced: float
    values: tuple[float, ...]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype not in NUMBERS:
            raise node.unsupported(f"elements of type {x.dtype.value}")
        kind = "float" if x.dtype.is_float else "int64"
        values = node.attr_floats(f"imputed_value_{kind}s")
        values = values or node.attr_floats("imputed_value_floats" if kind == "int64" else "")
        if not values:
            raise node.invalid(f"its imputed_value_{kind}s are missing")
        if len(values) not in (1, x.shape[-1] if x.shape else 1):
            raise node.invalid(f"{len(values)} imputed values for the shape {list(x.shape)}")
        replaced = (
            node.attr_float("replaced_value_float", 0.0)
            if kind == "float"
            else node.attr_int("replaced_value_int64", 0)
        )
        node.emit(cls(replaced, values), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        replaced = np.isnan(x) if self.replaced != self.replaced else x == self.replaced
        return [np.where(replaced, np.asarray(self.values).astype(x.dtype), x)]

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        count = len(self.values)
        test = "x[at] != x[at]"
        if self.replaced == self.replaced:
            literal = float_literal(self.replaced) if x.dtype.is_float else str(self.replaced)
            test = f"x[at] == {literal}"
        context = {
            "rows": x.element_count // count,
            "n": count,
            "type": x.dtype.c_name,
            "test": test,
        }
        lead = stream_lead(x.element_count, x.dtype.bytes, x.dtype.bytes)
        constants = {"value": np.asarray(self.values).astype(x.dtype.numpy)}
        return Lowering(context=context, constants=constants, lead={0: lead})


class Binarizer(ImportOp):
    """1 where x is above the threshold, else 0, in the type of x."""

    onnx_types = ("ai.onnx.ml.Binarizer",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype not in NUMBERS:
            raise node.unsupported(f"elements of type {x.dtype.value}")
        threshold = node.attr_float("threshold", 0.0)
        if not x.dtype.is_float:  # x > 1.5 where x > 1
            if not math.isfinite(threshold):
                raise node.unsupported(f"the threshold {threshold}")
            threshold = min(max(math.floor(threshold), x.dtype.minimum), x.dtype.maximum)
        limit = node.value(np.asarray(threshold, x.dtype.numpy), "threshold")
        truth = node.add(Binary("Greater"), [x, limit], suffix="above")
        node.emit(Cast(x.dtype), [truth])
