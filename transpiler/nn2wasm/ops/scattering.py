"""A copy of a tensor in which some elements are replaced, or combined with others.

    ScatterElements  y[…, index[…, i, …], …] = combine(that, updates[…, i, …])
    ScatterND        y[index[i, 0], index[i, 1], …, inner] = combine(that, updates[i, inner])
    TensorScatter    y[batch, …, start[batch] + i, …] = updates[batch, …, i, …]

ONNX Scatter-9, ScatterElements-11.., ScatterND-11.., TensorScatter-24. Updates are taken in order:
of two that replace one element the later stays. Indices as in `ops.gathering`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.gathering import (
    INDEXING,
    bounded,
    check_elements,
    check_tuples,
    element_loops,
    element_places,
    index_input,
    tuple_context,
)
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp

REDUCTIONS = ("none", "add", "mul", "max", "min")
SELECTS = ("none", "max", "min")
ARITHMETIC: dict[str, tuple[str, Any]] = {"add": ("+", np.add), "mul": ("*", np.multiply)}
EXTREMES: dict[str, tuple[str, Any]] = {"max": (">", np.maximum), "min": ("<", np.minimum)}


def wrapping_type(dtype: DType) -> str:
    """The C type in which sums and products of an element type wrap around without a fault."""
    if dtype.is_float:
        return dtype.c_name
    return "uint64_t" if dtype.bytes == 8 else "uint32_t"


def combination(reduction: str, dtype: DType) -> str:
    """C expression of what becomes of the element `old` under the update `v`."""
    if reduction in ARITHMETIC:
        wide = wrapping_type(dtype)
        operands = f" {ARITHMETIC[reduction][0]} ".join((f"({wide})old", f"({wide})v"))
        return f"({dtype.c_name})({operands})"
    if reduction in EXTREMES:
        nan = " || v != v" if dtype.is_float else ""
        return f"v {EXTREMES[reduction][0]} old{nan} ? v : old"
    return "v"


def combine(y: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    """The same in numpy, in place."""
    if reduction == "none":
        y[places] = updates
    else:
        function = (ARITHMETIC | EXTREMES)[reduction][1]
        function.at(y, places, updates)
    return y


@dataclass(frozen=True)
class Scatter(KernelOp):
    """Inputs x, indices, updates; subclasses say what an index names."""

    reduction: str = "none"

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    @property
    def moves(self) -> bool:  # type: ignore[override]
        return self.reduction in SELECTS

    def signed(self, node: Node) -> Op | None:
        values = (node.input(0), node.input(2), node.output)
        alike = all(tensor.quant is not None for tensor in values)
        return self if self.moves and alike else None

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def context(self, node: Node) -> dict[str, Any]:
        """What all templates name."""
        x = node.input(0)
        return {
            "type": x.dtype.c_name,
            "elements": x.element_count,
            "reduction": self.reduction,
            "replaces": self.reduction == "none",
            "combined": combination(self.reduction, x.dtype),
        }


def _read(node: OnnxNode) -> tuple[Tensor, Tensor, Tensor, str]:
    """Data, indices, updates and the reduction, checked as far as all scatters are alike."""
    x, indices, updates = node.input(0), index_input(node, 1), node.input(2)
    if updates.dtype is not x.dtype:
        raise node.invalid("its updates have another type than its data")
    reduction = node.attr_str("reduction", "none")
    if reduction not in REDUCTIONS:
        raise node.invalid(f"reduction {reduction!r} is not one of ONNX's")
    if reduction != "none" and x.dtype is DType.BOOL:
        raise node.unsupported(f"reduction {reduction!r} of truth values")
    return x, indices, updates, reduction


@dataclass(frozen=True)
class ScatterElements(Scatter):
    """Indices and updates have one shape; `axis` is the one whose index is replaced."""

    onnx_types = ("ScatterElements", "Scatter")
    kernels = (
        Kernel(
            symbol="nn_scatter_elements__scalar",
            template="indexing/scatter_elements__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    axis: int = 0

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, indices, updates, reduction = _read(node)
        axis = node.axis(node.attr_int("axis", 0), len(x.shape))
        check_elements(node, x.shape, indices, axis)
        if updates.shape != indices.shape:
            raise node.invalid("its updates have another shape than its indices")
        node.emit(cls(reduction, axis), [x, indices, updates])

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, indices, updates = (np.asarray(array) for array in inputs)
        places = element_places(x.shape, indices, self.axis)
        return [combine(x.copy(), places, updates, self.reduction)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        loops = element_loops(node.input(0), node.input(1), self.axis)
        return Lowering(context=self.context(node) | loops, arguments=(0, 1, 2))


@dataclass(frozen=True)
class ScatterND(Scatter):
    """Indices [count …, k] name slices of x; updates [count …, slice …]."""

    onnx_types = ("ScatterND",)
    kernels = (
        Kernel(
            symbol="nn_scatter_nd__scalar",
            template="indexing/scatter_nd__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, indices, updates, reduction = _read(node)
        check_tuples(node, x.shape, indices, 0)
        wanted = (*indices.shape[:-1], *x.shape[indices.shape[-1] :])
        if updates.shape != wanted:
            raise node.invalid(f"updates of shape {list(updates.shape)}, not {list(wanted)}")
        node.emit(cls(reduction), [x, indices, updates])

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, indices, updates = (np.asarray(array) for array in inputs)
        places = tuple(bounded(indices[..., j], x.shape[j]) for j in range(indices.shape[-1]))
        return [combine(x.copy(), places, updates, self.reduction)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        tuples = tuple_context(node.input(0), node.input(1), 0)
        return Lowering(context=self.context(node) | tuples, arguments=(0, 1, 2))


@dataclass(frozen=True)
class TensorScatter(KernelOp):
    """Inputs cache, update, starts [batch]: the update replaces a part of the cache's axis.

    A start is moved to where the whole update fits; where `circular`, what passes the end goes on
    at the begin.
    """

    onnx_types = ("TensorScatter",)
    moves = True
    kernels = (
        Kernel(
            symbol="nn_tensor_scatter__scalar",
            template="indexing/tensor_scatter__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    axis: int
    circular: bool = False

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        cache, update = node.input(0), node.input(1)
        rank = len(cache.shape)
        if rank < 2 or len(update.shape) != rank or update.dtype is not cache.dtype:
            raise node.invalid("its cache and its update differ in rank or type, or have no axis")
        axis = node.axis(node.attr_int("axis", -2), rank)
        rest = [a for a in range(rank) if a != axis]
        if axis == 0 or any(cache.shape[a] != update.shape[a] for a in rest):
            raise node.invalid(f"an update of {list(update.shape)} for {list(cache.shape)}")
        if update.shape[axis] > cache.shape[axis]:
            raise node.invalid("its update is longer than its cache")
        mode = node.attr_str("mode", "linear")
        if mode not in ("linear", "circular"):
            raise node.invalid(f"mode {mode!r} is not one of ONNX's")
        if node.optional(2) is None:
            starts = node.value(np.zeros(cache.shape[0], np.int64), "starts")
        else:
            starts = index_input(node, 2)
            if starts.shape != cache.shape[:1]:
                raise node.invalid("it needs one start for each element of the batch")
        node.emit(cls(axis, mode == "circular"), [cache, update, starts])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        cache = inputs[0]
        assert cache is not None
        return [TensorType(cache.dtype, cache.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        cache, update, starts = (np.asarray(array) for array in inputs)
        size, length = cache.shape[self.axis], update.shape[self.axis]
        y = np.moveaxis(cache.copy(), self.axis, 1)
        source = np.moveaxis(update, self.axis, 1)
        for batch, start in enumerate(starts):
            first = int(start) % size if self.circular else min(max(int(start), 0), size - length)
            for i in range(length):
                y[batch, (first + i) % size] = source[batch, i]
        return [np.moveaxis(y, 1, self.axis)]

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        cache, update = node.input(0), node.input(1)
        size, length = cache.shape[self.axis], update.shape[self.axis]
        inner = prod(cache.shape[self.axis + 1 :])
        context = {
            "type": cache.dtype.c_name,
            "index_type": node.input(2).dtype.c_name,
            "elements": cache.element_count,
            "batch": cache.shape[0],
            "outer": prod(cache.shape[1 : self.axis]),
            "size": size,
            "length": length,
            "last": size - length,
            "inner": inner,
            "slab": size * inner,
            "circular": self.circular,
        }
        return Lowering(context=context, arguments=(0, 1, 2))
