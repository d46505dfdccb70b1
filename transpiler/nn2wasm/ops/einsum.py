"""Einstein's sums: y[output labels] = sum over all other labels of the product of the operands.

Becomes transpositions, views, products of matrices, and sums, two operands at a time from the
left. ONNX Einsum-12.. .
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from nn2wasm.ir import DType, Shape, Tensor
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gemm import linear_product
from nn2wasm.ops.matmul import MatMul
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.reduce import ReduceSum
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice

ELLIPSIS = "..."
TYPES = (DType.F32, DType.S32, DType.S64)


class Einsum(ImportOp):
    onnx_types = ("Einsum",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        tensors = [node.input(index) for index in range(len(node.inputs))]
        dtype = tensors[0].dtype if tensors else DType.F32
        if any(tensor.dtype is not dtype for tensor in tensors):
            raise node.invalid("its operands differ in type")
        if dtype not in TYPES:
            raise node.unsupported(f"elements of type {dtype.value}")
        terms, output = _read(node, node.attr_str("equation", ""), tensors)
        sizes = _sizes(node, terms, tensors)
        operands = [
            _own_labels(node, labels, tensor, sizes)
            for labels, tensor in zip(terms, tensors, strict=True)
        ]
        result = _without(node, operands[0], _needed(output, operands[1:]))
        for index, operand in enumerate(operands[1:], 2):
            needed = _needed(output, operands[index:])
            result = _product(node, result, _without(node, operand, needed | {*result.labels}),
                              needed, sizes)  # fmt: skip
        node.alias(result.ordered(node, output))


@dataclass(frozen=True)
class _Operand:
    """A tensor with a label for each axis, none twice."""

    labels: tuple[str, ...]
    tensor: Tensor

    def ordered(self, node: OnnxNode, labels: Sequence[str]) -> Tensor:
        """Transposed to that order of its labels."""
        perm = tuple(self.labels.index(label) for label in labels)
        if perm == tuple(range(len(perm))):
            return self.tensor
        return node.add(Transpose(perm), [self.tensor], suffix="ordered")

    def stacked(self, node: OnnxNode, *groups: Sequence[str]) -> Tensor:
        """In that order, the labels of a group on one axis."""
        sizes = dict(zip(self.labels, self.tensor.shape, strict=True))
        ordered = self.ordered(node, [label for group in groups for label in group])
        return _viewed(node, ordered, tuple(prod(sizes[x] for x in group) for group in groups))


def _read(
    node: OnnxNode, equation: str, tensors: Sequence[Tensor]
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The labels of each operand's axes, and the output's; those of an ellipsis are numbers."""
    text = "".join(equation.split())
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors) or not tensors:
        raise node.invalid(f"its equation has {len(terms)} operands, the node has {len(tensors)}")
    ranks = [
        len(tensor.shape) - len(term.replace(ELLIPSIS, ""))
        for term, tensor in zip(terms, tensors, strict=True)
    ]
    for term, rank in zip(terms, ranks, strict=True):
        if rank < 0 or (rank and ELLIPSIS not in term):
            raise node.invalid("an operand of its equation does not have the rank of the input")
    wide = max((rank for term, rank in zip(terms, ranks, strict=True) if ELLIPSIS in term),
               default=0)  # fmt: skip
    labels = [_labels(node, term, rank, wide) for term, rank in zip(terms, ranks, strict=True)]
    if arrow:
        output = _labels(node, right, wide, wide)
    else:
        letters = sorted(label for term in labels for label in term if label.isalpha())
        once = [label for label in letters if letters.count(label) == 1]
        output = (*(str(i) for i in range(wide)), *once)
    unknown = set(output) - {label for term in labels for label in term}
    if unknown - {str(i) for i in range(wide)} or len(set(output)) != len(output):
        raise node.invalid("its equation's output names what no operand has, or an axis twice")
    return labels, output


def _labels(node: OnnxNode, term: str, rank: int, wide: int) -> tuple[str, ...]:
    before, dots, after = term.partition(ELLIPSIS)
    if set(before + after) - set(string.ascii_letters):
        raise node.invalid("its equation has characters that are no labels")
    inner = (str(i) for i in range(wide - rank, wide)) if dots else ()
    return (*before, *inner, *after)


def _sizes(
    node: OnnxNode, terms: Sequence[tuple[str, ...]], tensors: Sequence[Tensor]
) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for labels, tensor in zip(terms, tensors, strict=True):
        for label, size in zip(labels, tensor.shape, strict=True):
            known = sizes.setdefault(label, size)
            if size != known and 1 not in (size, known):
                raise node.invalid(f"label {label} stands for sizes {known} and {size}")
            sizes[label] = size if known == 1 else known
    return sizes


def _own_labels(
    node: OnnxNode, labels: tuple[str, ...], tensor: Tensor, sizes: dict[str, int]
) -> _Operand:
    """The operand without axes that broadcast, and the diagonals of labels that it has twice."""
    kept = [
        (label, size)
        for label, size in zip(labels, tensor.shape, strict=True)
        if size == sizes[label]
    ]
    operand = _Operand(
        tuple(label for label, _ in kept),
        _viewed(node, tensor, tuple(size for _, size in kept)),
    )
    for label in dict.fromkeys(operand.labels):
        while operand.labels.count(label) > 1:
            operand = _diagonal(node, operand, label)
    return operand


def _diagonal(node: OnnxNode, operand: _Operand, label: str) -> _Operand:
    """The elements whose indices of the label's last two axes are equal."""
    first, second = [i for i, each in enumerate(operand.labels) if each == label][-2:]
    rest = [i for i in range(len(operand.labels)) if i not in (first, second)]
    outer, size = tuple(operand.tensor.shape[i] for i in rest), operand.tensor.shape[first]
    moved = node.add(Transpose((*rest, first, second)), [operand.tensor], suffix="diagonal_last")
    square = _viewed(node, moved, (*outer, size * size))
    every = Slice((0,) * (len(outer) + 1), (*outer, size), (*(1,) * len(outer), size + 1))
    labels = (*(operand.labels[i] for i in rest), label)
    return _Operand(labels, node.add(every, [square], suffix="diagonal"))


def _needed(output: Sequence[str], later: Sequence[_Operand]) -> set[str]:
    return {*output, *(label for operand in later for label in operand.labels)}


def _without(node: OnnxNode, operand: _Operand, needed: set[str]) -> _Operand:
    """Summed over the labels that nobody needs."""
    axes = tuple(i for i, label in enumerate(operand.labels) if label not in needed)
    if not axes:
        return operand
    total = node.add(ReduceSum("ReduceSum", axes), [operand.tensor], suffix="sum")
    kept = [i for i in range(len(operand.labels)) if i not in axes]
    shape = tuple(operand.tensor.shape[i] for i in kept)
    return _Operand(tuple(operand.labels[i] for i in kept), _viewed(node, total, shape))


def _product(
    node: OnnxNode, a: _Operand, b: _Operand, needed: set[str], sizes: dict[str, int]
) -> _Operand:
    """The product of two operands, summed over the labels that nobody needs any more."""
    if b.tensor.dtype is DType.F32 and node.is_static(a.tensor):
        a, b = b, a  # the matrix of a product is what may be packed
    shared = [label for label in a.labels if label in b.labels]
    summed = [label for label in shared if label not in needed]
    if not summed or a.tensor.dtype is not DType.F32:
        return _without(node, _elementwise(node, a, b), needed)
    batch = [label for label in shared if label in needed]
    rows = [label for label in a.labels if label not in shared]
    columns = [label for label in b.labels if label not in shared]
    labels = (*batch, *rows, *columns)
    if batch:
        left, right = a.stacked(node, batch, rows, summed), b.stacked(node, batch, summed, columns)
        result = node.add(MatMul(), [left, right], suffix="product")
    else:
        left, right = a.stacked(node, rows, summed), b.stacked(node, summed, columns)
        result = linear_product(node, left, right, None, trans_w=False, final=False)
    return _Operand(labels, _viewed(node, result, tuple(sizes[label] for label in labels)))


def _elementwise(node: OnnxNode, a: _Operand, b: _Operand) -> _Operand:
    """The product of all pairs that agree in the labels that both have."""
    labels = (*a.labels, *(label for label in b.labels if label not in a.labels))
    sizes = dict(zip(b.labels, b.tensor.shape, strict=True))
    ordered = b.ordered(node, [label for label in labels if label in b.labels])
    right = _viewed(node, ordered, tuple(sizes.get(label, 1) for label in labels))
    left = _viewed(node, a.tensor, (*a.tensor.shape, *(1,) * (len(labels) - len(a.labels))))
    return _Operand(labels, node.add(Binary("Mul"), [left, right], suffix="product"))


def _viewed(node: OnnxNode, tensor: Tensor, shape: Shape) -> Tensor:
    if tensor.shape == shape:
        return tensor
    return node.add(Reshape(shape), [tensor], suffix="view")
