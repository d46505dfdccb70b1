"""Sequences of tensors, resolved at compile time: nothing of them is left in the network.

ONNX SequenceConstruct, SequenceEmpty, SequenceInsert, SequenceErase, SequenceAt, SequenceLength,
SplitToSequence, ConcatFromSequence, SequenceMap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nn2wasm.ir import Tensor
from nn2wasm.ops.joining import Concat, check_concat
from nn2wasm.ops.onnx_node import OnnxNode, TensorList
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice


class SequenceOp(ImportOp):
    """Operators that take sequences, or make them."""

    onnx_types = (
        "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceAt",
        "SequenceLength",
    )  # fmt: skip
    takes_sequences = True
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type == "SequenceEmpty":
            node.alias(TensorList(()))
        elif node.op_type == "SequenceConstruct":
            node.alias(_list(node, [node.input(i) for i in range(len(node.inputs))]))
        elif node.op_type == "SequenceLength":
            node.alias(node.value(np.asarray(len(node.sequence(0).items), np.int64)))
        else:
            _with_position(node, list(node.sequence(0).items))


def _with_position(node: OnnxNode, items: list[Tensor]) -> None:
    """SequenceInsert, SequenceErase, SequenceAt."""
    inserts = node.op_type == "SequenceInsert"
    index = 2 if inserts else 1
    places = len(items) + 1 if inserts else len(items)
    if node.optional(index) is None and node.op_type != "SequenceAt":
        position = places - 1
    else:
        given = node.constant(index, "position")
        if given.dtype.kind != "i" or given.size != 1:
            raise node.invalid("its position is not one integer")
        position = int(given.reshape(()))
    if not -len(items) <= position < places:
        raise node.invalid(f"position {position} in a sequence of {len(items)}")
    position += len(items) if position < 0 else 0
    if inserts:
        items.insert(position, node.input(1))
        node.alias(_list(node, items))
    elif node.op_type == "SequenceErase":
        del items[position]
        node.alias(TensorList(tuple(items)))
    else:
        node.alias(items[position])


def _list(node: OnnxNode, items: Sequence[Tensor]) -> TensorList:
    if len({tensor.dtype for tensor in items}) > 1:
        raise node.invalid("the tensors of its sequence differ in type")
    return TensorList(tuple(items))


class SplitToSequence(ImportOp):
    onnx_types = ("SplitToSequence",)
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        axis = node.axis(node.attr_int("axis", 0), len(x.shape))
        if not x.shape:
            raise node.invalid("a scalar")
        single = node.optional(1) is None
        items, begin = [], 0
        for size in _sizes(node, x.shape[axis]):
            starts = tuple(begin if i == axis else 0 for i in range(len(x.shape)))
            sizes = tuple(size if i == axis else n for i, n in enumerate(x.shape))
            item = node.add(Slice(starts, sizes, (1,) * len(sizes)), [x], suffix="item")
            if single and not node.attr_int("keepdims", 1):
                shape = (*x.shape[:axis], *x.shape[axis + 1 :])
                item = node.add(Reshape(shape), [item], suffix="item")
            items.append(item)
            begin += size
        node.alias(TensorList(tuple(items)))


def _sizes(node: OnnxNode, whole: int) -> list[int]:
    """How the axis is cut: one by one, in equal parts but the last, or as a list says."""
    if node.optional(1) is None:
        return [1] * whole
    split = node.constant(1, "split")
    given = node.ints(1, "split") or ()
    if any(size < 0 for size in given):
        raise node.invalid(f"parts of {list(given)[:8]}")
    if split.ndim == 0:
        (size,) = given
        if size == 0:
            raise node.invalid("parts of 0")
        return [min(size, whole - begin) for begin in range(0, whole, size)]
    if sum(given) != whole:
        raise node.invalid(f"parts of {list(given)[:8]}, of {whole} in all")
    return list(given)


class ConcatFromSequence(ImportOp):
    onnx_types = ("ConcatFromSequence",)
    takes_sequences = True
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        items = list(node.sequence(0).items)
        if not items:
            raise node.unsupported("an empty sequence")
        new, rank = bool(node.attr_int("new_axis", 0)), len(items[0].shape)
        axis = node.axis(node.attr_int("axis", 0), rank + new)
        if new:
            if any(tensor.shape != items[0].shape for tensor in items):
                raise node.invalid("the tensors of its sequence differ in shape")
            shape = (*items[0].shape[:axis], 1, *items[0].shape[axis:])
            items = [node.add(Reshape(shape), [item], suffix="item") for item in items]
        check_concat(node, items, axis)
        node.emit(Concat(axis), items)


class SequenceMap(ImportOp):
    """A body for each tensor of a sequence; further inputs are sequences as long, or tensors."""

    onnx_types = ("SequenceMap",)
    takes_sequences = True
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        count = len(node.sequence(0).items)
        if any(len(sequence.items) != count for sequence in node.sequences.values()):
            raise node.invalid("its sequences differ in length")
        results: list[list[Tensor]] = [[] for _ in node.output_names]
        for step in range(count):
            given = [
                node.sequences[i].items[step] if i in node.sequences else node.input(i)
                for i in range(len(node.inputs))
            ]
            made = node.call("body", given, str(step))
            if len(made) < len(results):
                raise node.invalid(f"its body has {len(made)} outputs")
            for result, value in zip(results, made, strict=False):
                if isinstance(value, TensorList):
                    raise node.invalid("its body gives a sequence")
                result.append(value)
        node.alias(*(_list(node, result) for result in results))
