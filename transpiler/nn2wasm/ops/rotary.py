"""Rotary position embedding: pairs of numbers turned by an angle that grows with the position.

    real = cos · x1 − sin · x2,   imaginary = sin · x1 + cos · x2

x1 and x2 are the halves of a head, or its even and odd places (`interleaved`); what lies behind
`rotary_embedding_dim` stays. ONNX RotaryEmbedding-23...
"""

from __future__ import annotations

from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gathering import GatherAt
from nn2wasm.ops.heads import join_heads, split_heads
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice


class RotaryEmbedding(ImportOp):
    """Becomes slices, products and sums."""

    onnx_types = ("RotaryEmbedding",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        given = node.input(0)
        joined = len(given.shape) == 3
        x = split_heads(node, given, node.attr_int("num_heads", 0), "input") if joined else given
        if len(x.shape) != 4 or x.dtype is not DType.F32:
            raise node.unsupported("an input that is not of rank 3 or 4, and f32")
        turned = node.attr_int("rotary_embedding_dim", 0) or x.shape[3]
        if turned % 2 or not 0 < turned <= x.shape[3]:
            raise node.invalid(f"rotary_embedding_dim {turned} for heads of {x.shape[3]}")
        cosine, sine = (_of_positions(node, x, i, turned // 2) for i in (1, 2))
        y = _turned(node, _part(node, x, 0, turned, "turned"), cosine, sine)
        if turned < x.shape[3]:
            rest = _part(node, x, turned, x.shape[3] - turned, "rest")
            y = node.add(Concat(3), [y, rest], suffix="whole")
        node.alias(join_heads(node, y) if joined else y)


def _of_positions(node: OnnxNode, x: Tensor, index: int, half: int) -> Tensor:
    """Cosines or sines as [batch, 1, positions, half]."""
    cache, places = node.input(index), node.optional(3)
    name = ("cosine", "sine")[index - 1]
    (batch, _, positions, _), suffix = x.shape, f"{name}_of_positions"
    if places is not None:
        fits = places.shape == (batch, positions) and places.dtype in (DType.S64, DType.S32)
        if len(cache.shape) != 2 or cache.shape[1] != half or not fits:
            raise node.invalid(f"its {name}s are not for its positions")
        cache = node.add(GatherAt(0), [cache, places], suffix=suffix)
    if cache.shape != (batch, positions, half) or cache.dtype is not DType.F32:
        raise node.invalid(f"{name}s of shape {list(cache.shape)} for {positions} positions")
    shape = (batch, 1, positions, half)
    return node.add(Reshape(shape), [cache], suffix=f"{name}_of_heads")


def _turned(node: OnnxNode, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    half = x.shape[3] // 2
    interleaved = bool(node.attr_int("interleaved", 0))
    if interleaved:
        apart = node.add(Reshape((*x.shape[:3], half, 2)), [x], suffix="pairs")
        first, second = (
            node.add(
                Reshape((*x.shape[:3], half)), [_part(node, apart, i, 1, name)], suffix=f"{name}s"
            )
            for i, name in enumerate(("even", "odd"))
        )
    else:
        first, second = _part(node, x, 0, half, "first"), _part(node, x, half, half, "second")

    def mix(a: Tensor, b: Tensor, function: str, name: str) -> Tensor:
        products = [
            node.add(Binary("Mul"), [each, of], suffix=f"{name}{index}")
            for index, (each, of) in enumerate(((a, first), (b, second)))
        ]
        return node.add(Binary(function), products, suffix=name)

    parts = [mix(cosine, sine, "Sub", "real"), mix(sine, cosine, "Add", "imaginary")]
    if not interleaved:
        return node.add(Concat(3), parts, suffix="both")
    columns = [
        node.add(Reshape((*x.shape[:3], half, 1)), [part], suffix=f"column{index}")
        for index, part in enumerate(parts)
    ]
    return node.add(Reshape(x.shape), [node.add(Concat(4), columns, suffix="woven")], suffix="both")


def _part(node: OnnxNode, x: Tensor, start: int, size: int, suffix: str) -> Tensor:
    """Places from `start` on of the last axis."""
    if size == x.shape[-1]:
        return x
    rank = len(x.shape)
    starts, sizes = (*[0] * (rank - 1), start), (*x.shape[:-1], size)
    return node.add(Slice(starts, sizes, (1,) * rank), [x], suffix=suffix)
