"""Poolings over one to three axes by plain kernels, channels first, and where maxima were.

    max      y = max over the window of x; optionally its index in x
    average  y = (sum over the window of x) / count
    Lp       y = (sum over the window of |x|^p)^(1/p)

ONNX MaxPool and AveragePool where `ops.pool` has no kernel (three axes, indices, counted padding
with rounding up), LpPool-1.., GlobalLpPool-1.., MaxUnpool-9..
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nn2wasm.ir import DType, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.gathering import INDEXING, index_input
from nn2wasm.ops.joining import Pad
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp, KernelOp
from nn2wasm.ops.scattering import ScatterND
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import shape_text
from nn2wasm.ops.volumes import Volume, read_volume, sizes_of


@dataclass(frozen=True)
class VolumePool(KernelOp):
    """A pooling of x [n, c, sizes …]."""

    volume: Volume

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, (*x.shape[:2], *self.volume.out_size(x.shape)))]

    def context(self, node: Node) -> dict[str, Any]:
        x, y = node.input(0), node.output
        return self.volume.context(x.shape, y.shape) | {
            "planes": x.shape[0] * x.shape[1],
            "type": x.dtype.c_name,
            "shape": shape_text(x.shape),
            "out_shape": shape_text(y.shape),
        }


@dataclass(frozen=True)
class VolumeMax(VolumePool):
    """`indices`: a second output, s64: each maximum's index in the whole of x.

    `columns_first`: indices count rows before columns.
    """

    kernels = (
        Kernel(
            symbol="nn_volume_max__scalar",
            template="pool/volume_max__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    indices: bool = False
    columns_first: bool = False

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        found = super().infer(inputs)
        return [*found, TensorType(DType.S64, found[0].shape)] if self.indices else found

    def signed(self, node: Node) -> Op | None:
        return None

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        context = self.context(node) | {
            "indices": self.indices,
            "columns_first": self.columns_first,
        }
        return Lowering(context=context)


@dataclass(frozen=True)
class VolumeSum(VolumePool):
    """A sum over windows: p = 0 is the average, else the p-norm.

    `include_pad`: an average counts padding as elements of value 0, but not what `ceil` adds.
    """

    onnx_types = ("LpPool", "GlobalLpPool")
    kernels = (
        Kernel(
            symbol="nn_volume_sum_f32__scalar",
            template="pool/volume_sum_f32__scalar.c.j2",
            dtype="f32",
            headers=INDEXING,
        ),
    )

    p: float = 0.0
    include_pad: bool = False

    @property
    def kind(self) -> str:
        return "LpPool" if self.p else "AveragePool"

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
        p = node.attr_float("p", 2.0)
        if not 1.0 <= p <= 1e6:
            raise node.invalid(f"p = {p}; it must be 1 or more")
        volume = whole_volume(node, x) if node.op_type == "GlobalLpPool" else given_volume(node, x)
        node.emit(cls(volume, p), [x])

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        power, root = float_literal(self.p), float_literal(1.0 / self.p if self.p else 1.0)
        step, last = {
            0.0: ("v", "sum / (float)count"),
            1.0: ("nn_abs(v)", "sum"),
            2.0: ("v * v", "nn_sqrt(sum)"),
        }.get(self.p, (f"nn_pow(nn_abs(v), {power})", f"nn_pow(sum, {root})"))
        context = self.context(node) | {
            "step": step,
            "last": last,
            "counts": not self.p,
            "include_pad": self.include_pad,
        }
        return Lowering(context=context)


def given_volume(node: OnnxNode, x: Tensor) -> Volume:
    """The window that kernel_shape and the other attributes say."""
    kernel = node.attr_ints("kernel_shape")
    if not kernel:
        raise node.invalid("kernel_shape is missing")
    return read_volume(node, x.shape, kernel)


def whole_volume(node: OnnxNode, x: Tensor) -> Volume:
    """A window of the image's size."""
    if len(x.shape) not in (3, 4, 5):
        raise node.unsupported(f"rank {len(x.shape)}; 3 to 5 are compiled")
    return Volume(rank=len(x.shape) - 2, kernel=sizes_of(x.shape))


def emit_volume_max(node: OnnxNode, x: Tensor) -> None:
    """MaxPool by the plain kernel, with its indices where they are read."""
    whole = node.op_type == "GlobalMaxPool"
    volume = whole_volume(node, x) if whole else given_volume(node, x)
    if volume.misses(x.shape):
        raise node.unsupported("a window of nothing but padding")
    if x.dtype is DType.BOOL:
        raise node.invalid("its input is of truth values")
    indices = len([name for name in node.output_names if name]) > 1
    order = node.attr_int("storage_order", 0)
    node.emit(VolumeMax(volume, indices=indices, columns_first=bool(order)), [x])


def emit_volume_average(node: OnnxNode, x: Tensor) -> None:
    """AveragePool by the plain kernel."""
    whole = node.op_type == "GlobalAveragePool"
    volume = whole_volume(node, x) if whole else given_volume(node, x)
    include_pad = bool(node.attr_int("count_include_pad", 0))
    if not include_pad and volume.misses(x.shape):
        raise node.unsupported("a window of nothing but padding")
    node.emit(VolumeSum(volume, include_pad=include_pad), [x])


class MaxUnpool(ImportOp):
    """Zeros with the values at the indices that MaxPool gave: a scatter.

    A larger output_shape adds zeros behind what the window's attributes say.
    """

    onnx_types = ("MaxUnpool",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, indices = node.input(0), index_input(node, 1)
        kernel = node.attr_ints("kernel_shape")
        rank = len(x.shape) - 2
        if not kernel or len(kernel) != rank or rank not in (1, 2, 3):
            raise node.invalid(f"kernel_shape {kernel} for rank {len(x.shape)}")
        if indices.shape != x.shape:
            raise node.invalid("its indices have another shape than its values")
        strides = node.attr_ints("strides", (1,) * rank) or (1,) * rank
        pads = node.attr_ints("pads", (0,) * 2 * rank) or (0,) * 2 * rank
        if len(strides) != rank or len(pads) != 2 * rank or min(*strides, *kernel) < 1:
            raise node.invalid(f"strides {list(strides)}, pads {list(pads)}")
        sizes = tuple(
            (size - 1) * strides[i] + kernel[i] - pads[i] - pads[rank + i]
            for i, size in enumerate(x.shape[2:])
        )
        shape = (*x.shape[:2], *sizes)
        wanted = node.ints(2, "output_shape") or shape
        if min(shape) < 1 or len(wanted) != len(shape):
            raise node.invalid(f"its output would be {list(shape)}, output_shape {list(wanted)}")
        if wanted[:2] != shape[:2] or any(a < b for a, b in zip(wanted, shape, strict=True)):
            raise node.invalid(f"output_shape {list(wanted)} is smaller than {list(shape)}")
        if prod(shape) > node.fold_elements:
            raise node.unsupported(f"an output of more than {node.fold_elements:,} elements")
        _emit_unpool(node, x, indices, shape, wanted)


def _emit_unpool(node: OnnxNode, x: Tensor, indices: Tensor, shape: Shape, wanted: Shape) -> None:
    zeros = node.value(np.zeros(prod(shape), x.dtype.numpy), "zeros")
    count = x.element_count
    flat = node.add(Reshape((count, 1)), [indices], suffix="places")
    values = node.add(Reshape((count,)), [x], suffix="values")
    y = node.add(ScatterND(), [zeros, flat, values], suffix="scattered")
    y = node.add(Reshape(shape), [y], suffix="whole")
    if wanted != shape:
        more = tuple(a - b for a, b in zip(wanted, shape, strict=True))
        y = node.add(Pad((0,) * len(shape), more), [y], suffix="more")
    node.alias(y)
