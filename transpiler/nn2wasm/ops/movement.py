"""Operations that move elements: all are copies through loops with constant strides.

Here ONNX Transpose, Expand, Tile, DepthToSpace, SpaceToDepth; `ops.slicing` takes tensors apart,
`ops.joining` puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.ir import Array, Encoding, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    broadcast_strides,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.folding import moved_encoding
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp, KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.transpose_simd import (
    blocks_fit,
    blocks_lowering,
    few_channels,
    interleave_lowering,
)
from nn2wasm.ops.vectors import BYTES, simd_kernel
from nn2wasm.target import LEAST_MEMORY

LONGEST_INLINE = 512
"""Bytes of a run up to which vectors copy it sooner than an engine begins a memcpy."""


def _short_runs(node: Node) -> str:
    op: Movement = node.op  # type: ignore[assignment]
    copies = op.lower(node, COPY[-1]).context["copies"]
    if any(copy["is_short"] for copy in copies):
        return ""
    return f"no run of it has {BYTES} to {LONGEST_INLINE} bytes"


COPY: tuple[Kernel, ...] = (
    simd_kernel("nn_copy", "movement/copy", "any", _short_runs),
    Kernel(symbol="nn_copy__scalar", template="movement/copy__scalar.c.j2", dtype="any"),
)


class Movement(KernelOp):
    """An op whose kernel copies; elements of any type."""

    moves = True
    reads_strings = True
    reads_all = True
    kernels = COPY

    def encoding(self, inputs: Sequence[Tensor | None]) -> Encoding | None:
        return moved_encoding(self, inputs)

    def kernel_dtype(self, node: Node) -> str:
        return "any"


def copy_context(
    shape: Shape,
    source: tuple[int, ...],
    target: tuple[int, ...],
    *,
    argument: int = 0,
    source_offset: int = 0,
    target_offset: int = 0,
) -> dict[str, Any]:
    """One copy: loops over `shape`, strides of source and target in elements, where they begin."""
    loops = merge_loops(shape, [source, target])
    run = 1
    if loops[-1].strides == (1, 1):
        run = loops.pop().size
    return {
        "argument": f"x{argument}",
        **loop_context(loops),
        "run": run,
        "is_run": run > 1,
        "x_index": index_expression(loops, 0, source_offset),
        "y_index": index_expression(loops, 1, target_offset),
    }


def copy_lowering(node: Node, copies: Sequence[dict[str, Any]], **extra: Any) -> Lowering:
    arguments = tuple(range(len(node.present_inputs)))
    for copy in copies:
        copy["is_short"] = BYTES <= copy["run"] * node.output.dtype.bytes <= LONGEST_INLINE
    context = {
        "type": node.output.dtype.c_name,
        "parameters": "".join(f"const {node.output.dtype.c_name} *x{i}, " for i in arguments),
        "copies": copies,
        "has_fill": False,
        "fill": "",
        "count": node.output.element_count,
    } | extra
    return Lowering(context=context, arguments=arguments)


def _not_planes(node: Node) -> str:
    """Why a transposition is not that of planes of an image into its channels."""
    op: Transpose = node.op  # type: ignore[assignment]
    shape = node.input(0).shape
    if op.perm != (0, 2, 3, 1) or shape[0] != 1:
        return "it does not make channels of one image's planes"
    return "its image is constant" if node.input(0).is_constant else ""


def _in_place_lowering(node: Node) -> Lowering:
    _, c, h, w = node.input(0).shape
    dtype = node.output.dtype
    return Lowering(
        context={"c": c, "h": h, "w": w, "row": c * w, "rows": c * h, "type": dtype.c_name},
        scratch_bytes=c * w * dtype.bytes,
        scratch_type=dtype.c_name,
        in_place=True,
    )


@dataclass(frozen=True)
class Transpose(Movement):
    """Axis i of the output is axis perm[i] of the input."""

    onnx_types = ("Transpose",)
    kernels = (
        Kernel(
            symbol="nn_interleave_in_place__scalar",
            template="movement/interleave_in_place__scalar.c.j2",
            dtype="any",
            needs=frozenset({LEAST_MEMORY}),
            fits=_not_planes,
        ),
        simd_kernel("nn_interleave_16", "movement/interleave", "any", few_channels),
        simd_kernel("nn_transpose", "movement/transpose", "any", blocks_fit),
        *COPY,
    )

    perm: tuple[int, ...]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        rank = len(x.shape)
        perm = node.attr_ints("perm", tuple(reversed(range(rank))))
        assert perm is not None
        if sorted(perm) != list(range(rank)):
            raise node.invalid(f"perm {list(perm)} is not a permutation of {rank} axes")
        node.emit(cls(perm), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, tuple(x.shape[axis] for axis in self.perm))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.asarray(inputs[0]).transpose(self.perm)]

    def stacked(self, node: Node, count: int) -> Op | None:
        return Transpose((0, *(axis + 1 for axis in self.perm)))

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        if "in_place" in kernel.symbol:
            return _in_place_lowering(node)
        if kernel.symbol.startswith("nn_interleave"):
            return interleave_lowering(node)
        if kernel.symbol.startswith("nn_transpose"):
            return blocks_lowering(node)
        x, y = node.input(0), node.output
        source = contiguous_strides(x.shape)
        copy = copy_context(
            y.shape, tuple(source[axis] for axis in self.perm), contiguous_strides(y.shape)
        )
        return copy_lowering(node, [copy])


@dataclass(frozen=True)
class Expand(Movement):
    """Repeats along axes of size 1."""

    onnx_types = ("Expand",)

    shape: Shape

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, wanted = node.input(0), node.ints(1, "shape")
        try:
            shape = np.broadcast_shapes(x.shape, wanted or ())
        except ValueError:
            raise node.invalid(f"{list(x.shape)} does not broadcast to {wanted}") from None
        if shape == x.shape:
            node.alias(x)
        else:
            node.emit(cls(shape), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, self.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.broadcast_to(np.asarray(inputs[0]), self.shape)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        y = node.output
        source = broadcast_strides(node.input(0).shape, y.shape)
        return copy_lowering(node, [copy_context(y.shape, source, contiguous_strides(y.shape))])


@dataclass(frozen=True)
class Tile(Movement):
    """The input side by side, `repeats` times along each axis."""

    onnx_types = ("Tile",)

    repeats: tuple[int, ...]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, repeats = node.input(0), node.ints(1, "repeats")
        if node.opset < 6:
            repeats = _repeats_along(node, repeats, len(x.shape))
        if repeats is None or len(repeats) != len(x.shape) or min(repeats, default=1) < 1:
            raise node.invalid(f"repeats {repeats} for rank {len(x.shape)}")
        node.emit(cls(repeats), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        shape = tuple(size * count for size, count in zip(x.shape, self.repeats, strict=True))
        return [TensorType(x.dtype, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.tile(np.asarray(inputs[0]), self.repeats)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        shape, source, target = [], [], []
        own, result = contiguous_strides(x.shape), contiguous_strides(y.shape)
        for size, count, inner, outer in zip(x.shape, self.repeats, own, result, strict=True):
            shape += [count, size]
            source += [0, inner]
            target += [outer * size, outer]
        return copy_lowering(node, [copy_context(tuple(shape), tuple(source), tuple(target))])


def _repeats_along(
    node: OnnxNode, tiles: tuple[int, ...] | None, rank: int
) -> tuple[int, ...] | None:
    """Before opset 6: a number of tiles and the axis that they lie along."""
    axes = node.ints(2, "axis")
    if tiles is None or axes is None or len(tiles) != 1 or len(axes) != 1:
        return None
    return tuple(tiles[0] if axis == node.axis(axes[0], rank) else 1 for axis in range(rank))


class DepthToSpace(ImportOp):
    """Blocks of channels to blocks of pixels, or back: Reshape, Transpose, Reshape."""

    onnx_types = ("DepthToSpace", "SpaceToDepth")

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, block = node.input(0), node.attr_int("blocksize", 0)
        if len(x.shape) != 4 or block < 1:
            raise node.invalid(f"rank {len(x.shape)}, blocksize {block}")
        n, c, h, w = x.shape
        mode = node.attr_str("mode", "DCR")
        if mode not in ("DCR", "CRD"):
            raise node.invalid(f"mode {mode!r} is not one of ONNX's")
        channels_first = mode == "CRD"
        if node.op_type == "SpaceToDepth":
            if h % block or w % block:
                raise node.invalid(f"blocksize {block} does not divide the image")
            split = (n, c, h // block, block, w // block, block)
            perm = (0, 1, 3, 5, 2, 4) if channels_first else (0, 3, 5, 1, 2, 4)
            result = (n, c * block * block, h // block, w // block)
        else:
            if c % (block * block):
                raise node.invalid(f"blocksize {block} does not divide the channels")
            rest = c // (block * block)
            blocks = (rest, block, block) if channels_first else (block, block, rest)
            split = (n, *blocks, h, w)
            perm = (0, 1, 4, 2, 5, 3) if channels_first else (0, 3, 4, 1, 5, 2)
            result = (n, rest, h * block, w * block)
        parts = node.add(Reshape(split), [x], suffix="blocks")
        node.emit(Reshape(result), [node.add(Transpose(perm), [parts], suffix="moved")])
