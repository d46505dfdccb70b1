"""Resampling of images and other tensors, axis by axis.

    nearest:        y[i, j, …] = x[index_0[i], index_1[j], …]
    linear, cubic:  y[i, j] = sum_s sum_t v_s(i) · w_t(j) · x[row_s(i), column_t(j)]

Which elements and weights is decided at compile time (`ops.resize_onnx`). Interpolation runs along
one axis, or two neighbouring ones; on 8-bit integers it is computed in floats and quantized.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.broadcast import contiguous_strides
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import float_literal, requantize_context
from nn2wasm.ops.movement import LONGEST_INLINE
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.sampling import Taps
from nn2wasm.ops.softmax import shape_text
from nn2wasm.ops.tiles import offset
from nn2wasm.ops.vectors import BYTES, FLOATS, simd_kernel

BLOCKS = {True: FLOATS, False: 2 * FLOATS}
"""Elements at a time, by whether they are floats."""


def _short_runs(node: Node) -> str:
    """Why what lies behind the resized axes is no run for vectors."""
    op: ResizeNearest = node.op  # type: ignore[assignment]
    x = node.input(0)
    run = op.run(x.shape)[1] * x.dtype.bytes
    inline = BYTES <= run <= LONGEST_INLINE
    return "" if inline else f"its runs have {run} bytes"


@dataclass(frozen=True)
class ResizeNearest(KernelOp):
    """`indices`: for each axis, the input index of each output index."""

    moves = True
    kernels = (
        simd_kernel("nn_resize_nearest", "resize/nearest", "any", _short_runs),
        Kernel(
            symbol="nn_resize_nearest__scalar",
            template="resize/nearest__scalar.c.j2",
            dtype="any",
        ),
    )

    indices: tuple[tuple[int, ...], ...] = field(repr=False)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, tuple(len(index) for index in self.indices))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.asarray(inputs[0])[np.ix_(*self.indices)]]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return replace(self, indices=tuple(self.indices[axis] for axis in perm))

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def run(self, shape: Shape) -> tuple[list[int], int]:
        """Axes that change, and how many elements behind them are copied whole."""
        changed = [
            axis for axis, index in enumerate(self.indices) if index != tuple(range(shape[axis]))
        ]
        return changed, math.prod(shape[(changed[-1] if changed else -1) + 1 :])

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        """Loops over the axes up to the last that changes; behind it runs are copied whole."""
        x = node.input(0)
        strides = contiguous_strides(x.shape)
        changed, run = self.run(x.shape)
        last = changed[-1] if changed else -1
        loops: list[dict[str, Any]] = []
        constants: dict[str, Array] = {}
        merged = math.prod(x.shape[: changed[0]]) if changed else 1
        if merged > 1:
            step = strides[changed[0]] * x.shape[changed[0]]
            loops.append({"size": merged, "offset": f"i0 * {step}"})
        for axis in range(changed[0] if changed else 0, last + 1):
            index, var = self.indices[axis], f"i{len(loops)}"
            source = _regular_index(index, var)
            if source is None:
                constants[f"at{axis}"] = np.asarray(index, np.int32) * np.int32(strides[axis])
                offset = f"at{axis}[{var}]"
            else:
                offset = source if strides[axis] == 1 else f"{source} * {strides[axis]}"
            loops.append({"size": len(index), "offset": offset})
        for depth, loop in enumerate(loops):
            loop |= {"var": f"i{depth}", "indent": "  " * (depth + 1)}
        context = {
            "type": x.dtype.c_name,
            "loops": loops,
            "closing": ["  " * (depth + 1) for depth in reversed(range(len(loops)))],
            "body_indent": "  " * (len(loops) + 1),
            "x_index": " + ".join(loop["offset"] for loop in loops) or "0",
            "run": run,
            "is_run": run > 1,
            "tables": "".join(f"const int32_t *restrict {name}, " for name in constants),
            "shape": shape_text(x.shape),
            "out_shape": shape_text(node.output.shape),
        }
        return Lowering(context=context, constants=constants)


def _channels_fit(node: Node) -> str:
    """Why what lies behind the resized axes does not fill a vector."""
    op: ResizeLinear = node.op  # type: ignore[assignment]
    last = max(axis for axis, taps in enumerate(op.taps) if taps is not None)
    block = BLOCKS[node.input(0).dtype.is_float]
    few = math.prod(node.output.shape[last + 1 :]) < block
    return f"it has fewer than {block} channels" if few else ""


def _vectors(row: int, c: int, *, quantized: bool) -> dict[str, Any]:
    """Blocks of elements, and where one begins that must not pass the end."""
    block = BLOCKS[not quantized]

    def at(count: int) -> str:
        return "k" if count % block == 0 else f"k < {count - block} ? k : {count - block}"

    halves = ("low", "high") if quantized else ("low",)
    return {
        "block": block,
        "row_at": at(row),
        "channel_at": at(c),
        "vectors": [
            {"index": i, "at": offset(i * FLOATS), "half": half} for i, half in enumerate(halves)
        ],
    }


@dataclass(frozen=True)
class ResizeLinear(KernelOp):
    """`taps`: for each axis that changes what its elements mix, None for the others."""

    quantizable = True
    kernels = (
        simd_kernel("nn_resize_linear_s8_8", "resize/linear", "s8", _channels_fit),
        simd_kernel("nn_resize_linear_f32_4", "resize/linear", "f32", _channels_fit),
        Kernel(
            symbol="nn_resize_linear_s8__scalar",
            template="resize/linear__scalar.c.j2",
            dtype="s8",
        ),
        Kernel(
            symbol="nn_resize_linear_f32__scalar",
            template="resize/linear__scalar.c.j2",
            dtype="f32",
        ),
    )

    taps: tuple[Taps | None, ...] = field(repr=False)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        sizes = zip(x.shape, self.taps, strict=True)
        return [TensorType(x.dtype, tuple(n if t is None else len(t) for n, t in sizes))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        y = np.asarray(inputs[0])
        if y.dtype.kind != "f":
            return None
        for axis, taps in enumerate(self.taps):
            if taps is None:
                continue
            indices, weights = (np.asarray(part) for part in zip(*taps, strict=True))
            parts = np.moveaxis(y, axis, -1)[..., indices] * weights
            y = np.moveaxis(parts.sum(-1), -1, axis)
        return [y]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        taps = tuple(self.taps[axis] for axis in perm)
        wide = [axis for axis, t in enumerate(taps) if t is not None]
        return None if wide[-1] - wide[0] > 1 else ResizeLinear(taps)

    def macs(self, node: Node) -> int:
        counts = [len(t[0][0]) for t in self.taps if t is not None]
        return node.output.element_count * sum(counts)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        """Each output row is mixed from input rows in scratch, then along the columns."""
        x, y = node.input(0), node.output
        wide = [axis for axis, t in enumerate(self.taps) if t is not None]
        first, last = wide[0], wide[-1]
        if len(wide) == 1:
            first -= 1
        shape = (1, *x.shape) if first < 0 else x.shape
        row_taps = self.taps[first] if len(wide) == 2 else None
        column_taps = self.taps[last]
        assert column_taps is not None
        split = last if first >= 0 else 1  # position of the columns in `shape`
        h, w = shape[split - 1], shape[split]
        inner = math.prod(shape[split + 1 :])
        if row_taps is None:
            row_taps = tuple(((row,), (1.0,)) for row in range(h))
        rows, row_weights = _tables(row_taps)
        columns, column_weights = _tables(column_taps)
        constants = {
            "rows": rows * np.int32(w * inner),
            "v": row_weights,
            "columns": columns * np.int32(inner),
            "u": column_weights,
        }
        quantized = kernel.dtype == "s8"
        context: dict[str, Any] = {
            "type": x.dtype.c_name,
            "quantized": quantized,
            "images": math.prod(shape[: split - 1]),
            "oh": len(row_taps), "ow": len(column_taps), "c": inner,
            "in_image": h * w * inner, "row": w * inner,
            "row_taps": rows.shape[1], "column_taps": columns.shape[1],
            "shape": shape_text(x.shape), "out_shape": shape_text(y.shape),
        }  # fmt: skip
        if quantized:
            assert x.quant is not None
            assert y.quant is not None
            ratio = np.float32(x.quant.scale) / np.float32(y.quant.scale)
            context["x_zero_point"] = int(x.quant.zero_point)
            context["ratio"] = float_literal(float(ratio))
            context |= requantize_context(-math.inf, math.inf, y.quant)
        if kernel.needs:
            context |= _vectors(w * inner, inner, quantized=quantized)
        return Lowering(
            context=context,
            constants=constants,
            scratch_bytes=4 * w * inner,
            scratch_type="float",
        )


def _tables(taps: Taps) -> tuple[Array, Array]:
    """Indices s32 and weights f32, [output index][tap]."""
    indices, weights = zip(*taps, strict=True)
    return np.asarray(indices, np.int32), np.asarray(weights, np.float32)


def _regular_index(index: Sequence[int], var: str) -> str | None:
    """C expression of an index table that is i, i · step or i / factor; None where it is not."""
    positions = np.arange(len(index))
    values = np.asarray(index)
    if np.array_equal(values, positions):
        return var
    factor = int(np.count_nonzero(values == 0))
    if factor and np.array_equal(values, positions // factor):
        return f"{var} / {factor}"
    if len(index) > 1 and np.array_equal(values, positions * values[1]):
        return f"{var} * {values[1]}"
    return None
