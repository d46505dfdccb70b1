"""Images and volumes read at positions computed at run time: ONNX GridSample-16.., AffineGrid-20..

    y[n, c, p] = sum over taps of weight · x[n, c, place],  of the position grid[n, p], −1 … 1

AffineGrid's positions are products of a constant grid and the given matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.matmul import MatMul
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp, KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import shape_text

TAPS = {"nearest": 1, "bilinear": 2, "linear": 2, "bicubic": 4, "cubic": 4}
PADDINGS = {"zeros": "NN_ZEROS", "border": "NN_BORDER", "reflection": "NN_REFLECTION"}


@dataclass(frozen=True)
class GridSample(KernelOp):
    """Inputs x [n, c, sizes …], grid [n, points …, axes], the last axis of x first.

    `taps` along an axis: 1 nearest, 2 linear, 4 cubic. `aligned`: −1 and 1 are the centres of the
    outermost elements, else their outer edges.
    """

    onnx_types = ("GridSample",)
    kernels = (
        Kernel(
            symbol="nn_grid_sample_f32__scalar",
            template="resize/grid_f32__scalar.c.j2",
            dtype="f32",
            headers=("nn2wasm/sampling.h",),
        ),
    )

    taps: int
    padding: str
    aligned: bool

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, grid = node.input(0), node.input(1)
        if x.dtype is not DType.F32 or grid.dtype is not DType.F32:
            raise node.unsupported(f"operands of type {x.dtype.value} and {grid.dtype.value}")
        axes = len(x.shape) - 2
        if len(grid.shape) != len(x.shape) or grid.shape[-1] != axes or axes < 1:
            raise node.invalid(f"a grid of {list(grid.shape)} for {list(x.shape)}")
        if grid.shape[0] != x.shape[0]:
            raise node.invalid("its input and its grid differ in batch")
        if axes not in (2, 3):
            raise node.unsupported(f"{axes} spatial axes; 2 and 3 are compiled")
        mode = node.attr_str("mode", "linear" if node.opset >= 20 else "bilinear")
        padding = node.attr_str("padding_mode", "zeros")
        if mode not in TAPS or padding not in PADDINGS:
            raise node.invalid(f"mode {mode!r} or padding_mode {padding!r} is not one of ONNX's")
        if TAPS[mode] == 4 and axes == 3:
            raise node.invalid("cubic sampling is of images only")
        node.emit(cls(TAPS[mode], padding, bool(node.attr_int("align_corners", 0))), [x, grid])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, grid = inputs
        assert x is not None
        assert grid is not None
        return [TensorType(x.dtype, (*x.shape[:2], *grid.shape[1:-1]))]

    def macs(self, node: Node) -> int:
        axes = len(node.input(0).shape) - 2
        return node.output.element_count * int(self.taps**axes)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, grid = node.input(0), node.input(1)
        sizes, points = x.shape[2:], prod(grid.shape[1:-1])
        strides = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
        names = "dhw"[-len(sizes) :]
        axes = [
            {
                "name": name,
                "size": size,
                "from": len(sizes) - 1 - i,
                "indent": "  " * i,
                "closing": "  " * (len(sizes) - 1 - i),
            }
            for i, (name, size) in enumerate(zip(names, sizes, strict=True))
        ]
        places = [f" + at_{a}[{a}] * {step}" for a, step in zip(names, strides, strict=True)]
        context = {
            "images": x.shape[0], "channels": x.shape[1],
            "points": points, "axes": axes,
            "count": len(sizes), "indent": "  " * len(sizes), "slab": prod(sizes),
            "image": prod(x.shape[1:]),
            "result": x.shape[1] * points, "taps": self.taps, "all_taps": self.taps ** len(sizes),
            "index": "".join(places),
            "weight": " * ".join(f"w_{a}[{a}]" for a in names),
            "padding": PADDINGS[self.padding], "aligned": int(self.aligned),
            "shape": shape_text(x.shape),
        }  # fmt: skip
        return Lowering(context=context, arguments=(0, 1))


class AffineGrid(ImportOp):
    """Positions [n, sizes …, axes] = matrices [n, axes, axes + 1] · (…, column, row, …, 1)."""

    onnx_types = ("AffineGrid",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        theta, size = node.input(0), node.ints(1, "size")
        if theta.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {theta.dtype.value}; f32 is compiled")
        if size is None or len(size) not in (4, 5) or min(size) < 1:
            raise node.invalid(f"size {size}; it needs 4 or 5 numbers above 0")
        sizes = size[2:]
        axes = len(sizes)
        if theta.shape != (size[0], axes, axes + 1):
            raise node.invalid(f"matrices of {list(theta.shape)} for {axes} axes")
        if prod(sizes) * (axes + 1) > node.fold_elements:
            raise node.unsupported(f"a grid of more than {node.fold_elements:,} elements")
        aligned = bool(node.attr_int("align_corners", 0))
        if aligned and min(sizes) == 1:
            raise node.unsupported("align_corners of an axis of one element, which has no step")
        lines = [_positions(count, aligned=aligned) for count in sizes]
        mesh = np.meshgrid(*lines, indexing="ij")
        columns = [axis.reshape(-1) for axis in reversed(mesh)]
        grid = np.stack([*columns, np.ones_like(columns[0])], -1)
        turned = node.add(Transpose((0, 2, 1)), [theta], suffix="turned")
        product = node.add(MatMul(), [node.value(grid, "grid"), turned], suffix="product")
        node.emit(Reshape((size[0], *sizes, axes)), [product])


def _positions(count: int, *, aligned: bool) -> Array:
    """The centres of the elements of an axis, from −1 to 1."""
    steps = np.arange(count, dtype=np.float64)
    places = steps * 2 / (count - 1) - 1 if aligned else (2 * steps + 1) / count - 1
    return places.astype(np.float32)
