"""Scaled dot-product attention.

    Y = softmax(scale · Q·Kᵀ, capped, + bias) · V

over the last axis, for each head; with fewer heads of K and V than of Q, groups of query heads
share one. The bias is −∞ where a query may not attend a key: by a mask of truth values, by the
order of positions (`is_causal`, windows), by how many keys are no padding; a mask of floats is
added. A query that may attend no key has the result 0.

ONNX Attention-23.., made of products, comparisons and a softmax. What of the bias is known while
compiling is one constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Tensor
from nn2wasm.ops.choice import Select
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.heads import join_heads, split_heads
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.matmul import MatMul
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.reduce import ReduceExtreme
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import Softmax
from nn2wasm.ops.unary import Unary

NONE = np.float32(-np.inf)
"""The bias of a key that a query may not attend."""


class Attention(ImportOp):
    """Becomes MatMul, Where, Softmax, MatMul."""

    onnx_types = ("Attention",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        mode = node.attr_int("qk_matmul_output_mode", 0)
        if mode not in range(4):
            raise node.invalid(f"qk_matmul_output_mode {mode}")
        if (node.optional(4) is None) != (node.optional(5) is None):
            raise node.invalid("a past key without a past value, or the other way round")
        if node.optional(4) is not None and node.optional(6) is not None:
            raise node.invalid("a past key beside nonpad_kv_seqlen")
        q, k, v, joined = _operands(node)
        past = k.shape[2]
        k, v = _with_past(node, k, 4, "key"), _with_past(node, v, 5, "value")
        past = k.shape[2] - past
        shape = _check(node, q, k, v)
        raw = _scores(node, q, k)
        capped = _capped(node, raw)
        biased, may_be_empty = _Bias(node, shape, past).on(capped)
        weights = node.add(Softmax(3), [biased], suffix="weights")
        if may_be_empty:
            weights = _without_empty_rows(node, biased, weights)
        y = _grouped_product(node, weights, v, "result")
        y = join_heads(node, y) if joined else y
        node.alias(y, k, v, (raw, capped, biased, weights)[mode])


def _operands(node: OnnxNode) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Q, K and V as [batch, heads, positions, size], and whether their heads were joined."""
    given = [node.input(index) for index in range(3)]
    for tensor in given:
        if tensor.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {tensor.dtype.value}; f32 is compiled")
    ranks = {len(tensor.shape) for tensor in given}
    if ranks == {4}:
        return given[0], given[1], given[2], False
    if ranks != {3}:
        raise node.invalid("Q, K and V are not all of rank 3 or 4")
    counts = [node.attr_int(f"{of}_num_heads", 0) for of in ("q", "kv", "kv")]
    names = ("query", "key", "value")
    q, k, v = (split_heads(node, *each) for each in zip(given, counts, names, strict=True))
    return q, k, v, True


def _with_past(node: OnnxNode, new: Tensor, index: int, what: str) -> Tensor:
    """The positions of earlier calls before the new ones."""
    past = node.optional(index)
    if past is None:
        return new
    shape = new.shape
    if len(past.shape) != 4 or (*past.shape[:2], past.shape[3]) != (*shape[:2], shape[3]):
        raise node.invalid(f"its past {what} has shape {list(past.shape)}, the new {list(shape)}")
    return node.add(Concat(2), [past, new], suffix=f"every_{what}")


def _check(node: OnnxNode, q: Tensor, k: Tensor, v: Tensor) -> tuple[int, ...]:
    """The shape of scores: [batch, heads, queries, keys]."""
    (batch, heads, queries, size), keys = q.shape, k.shape[2]
    groups = k.shape[1]
    if k.shape != (batch, groups, keys, size) or v.shape[:3] != k.shape[:3] or heads % groups:
        shapes = f"{list(q.shape)}, {list(k.shape)} and {list(v.shape)}"
        raise node.invalid(f"Q, K and V of shapes {shapes} do not belong together")
    return batch, heads, queries, keys


def _scores(node: OnnxNode, q: Tensor, k: Tensor) -> Tensor:
    scale = node.attr_float("scale", 0.0) or 1.0 / math.sqrt(q.shape[-1])
    factor = node.value(np.float32(scale), "scale")
    scaled = node.add(Binary("Mul"), [q, factor], suffix="scaled")
    turned = node.add(Transpose((0, 1, 3, 2)), [k], suffix="turned_key")
    return _grouped_product(node, scaled, turned, "scores")


def _grouped_product(node: OnnxNode, a: Tensor, b: Tensor, suffix: str) -> Tensor:
    """a·b for each head; a head of b serves as many neighbouring heads of a as come to it."""
    (batch, heads, rows, inner), groups = a.shape, b.shape[1]
    if heads == groups:
        return node.add(MatMul(), [a, b], suffix=suffix)
    apart = (batch, groups, heads // groups, rows, inner)
    grouped = node.add(Reshape(apart), [a], suffix=f"{suffix}_groups")
    shared = node.add(Reshape((batch, groups, 1, *b.shape[2:])), [b], suffix=f"{suffix}_shared")
    product = node.add(MatMul(), [grouped, shared], suffix=f"{suffix}_of_groups")
    return node.add(Reshape((batch, heads, rows, b.shape[3])), [product], suffix=suffix)


def _capped(node: OnnxNode, scores: Tensor) -> Tensor:
    cap = node.attr_float("softcap", 0.0)
    if not cap > 0:
        return scores
    small = node.add(Binary("Div"), [scores, node.value(np.float32(cap), "cap")], suffix="uncapped")
    bent = node.add(Unary("Tanh"), [small], suffix="bent")
    return node.add(Binary("Mul"), [bent, node.value(np.float32(cap), "cap")], suffix="capped")


def _without_empty_rows(node: OnnxNode, biased: Tensor, weights: Tensor) -> Tensor:
    """Weights of 0 where every key is excluded, instead of 0 / 0."""
    best = node.add(ReduceExtreme("ReduceMax", (3,)), [biased], suffix="best")
    none = node.add(Binary("Equal"), [best, node.value(NONE, "none")], suffix="attends_none")
    zero = node.value(np.float32(0.0), "zero")
    return node.add(Select(), [none, zero, weights], suffix="guarded")


@dataclass(slots=True)
class _Bias:
    """Which keys queries may attend.

    Attributes:
        node: with the masks.
        shape: of scores, [batch, heads, queries, keys].
        past: keys before the first new one.
    """

    node: OnnxNode
    shape: tuple[int, ...]
    past: int

    def on(self, scores: Tensor) -> tuple[Tensor, bool]:
        """Scores with the bias, and whether a query may have no key left."""
        node, mask = self.node, self._mask()
        known, conditions = self._order()
        if mask is not None and mask.dtype is DType.BOOL:
            conditions.append(mask)
        may_be_empty = bool(conditions) or mask is not None or not known.any(-1).all()
        if not known.all():
            conditions.append(node.value(known, "in_order"))
        if mask is not None and mask.dtype is not DType.BOOL:
            scores = node.add(Binary("Add"), [scores, mask], suffix="masked")
        if not conditions:
            return scores, may_be_empty
        allowed = conditions[0]
        for index, other in enumerate(conditions[1:]):
            allowed = node.add(Binary("And"), [allowed, other], suffix=f"allowed{index}")
        none = node.value(NONE, "minus_infinity")
        return node.add(Select(), [allowed, scores, none], suffix="biased"), may_be_empty

    def _mask(self) -> Tensor | None:
        """The mask given, with all keys: those it does not name are excluded."""
        mask = self.node.optional(3)
        if mask is None:
            return None
        if mask.dtype not in (DType.BOOL, DType.F32) or not 1 <= len(mask.shape) <= 4:
            raise self.node.invalid("a mask that is neither of truth values nor of floats")
        missing = self.shape[3] - mask.shape[-1]
        if missing > 0:
            shape = (*mask.shape[:-1], missing)
            rest = np.full(shape, NONE if mask.dtype is DType.F32 else np.False_)
            unnamed = self.node.value(rest.astype(mask.dtype.numpy), "unnamed")
            axis = len(mask.shape) - 1
            mask = self.node.add(Concat(axis), [mask, unnamed], suffix="whole_mask")
        try:
            whole = np.broadcast_shapes(mask.shape, self.shape)
        except ValueError:
            whole = ()
        if whole != self.shape:
            shapes = f"{list(mask.shape)} for scores of shape {list(self.shape)}"
            raise self.node.invalid(f"a mask of shape {shapes}")
        return mask

    def _order(self) -> tuple[Array, list[Tensor]]:
        """What the order of positions allows: [queries, keys] where it is known, and conditions on
        what is computed at run time.
        """
        node, (batch, _, queries, keys) = self.node, self.shape
        ahead = np.arange(keys)[None, :] - np.arange(queries)[:, None]  # of a query at position 0
        ends = [
            (1, node.attr_int("right_window_size", -1)),
            (-1, node.attr_int("left_window_size", -1)),
        ]
        if any(reach < -1 for _, reach in ends):
            raise node.invalid("a window below −1")
        if node.attr_int("is_causal", 0):
            ends.append((1, 0))
        ends = [(side, reach) for side, reach in ends if reach >= 0]
        valid = node.optional(6)
        known = np.ones((queries, keys), np.bool_)
        if valid is None:
            for side, reach in ends:
                known &= side * (ahead - self.past) <= reach
            return known, []
        if valid.shape != (batch,) or valid.dtype is not DType.S64:
            raise node.invalid("nonpad_kv_seqlen is not one number for each sample")
        counts = node.add(Reshape((batch, 1, 1, 1)), [valid], suffix="counts")
        places = node.value(np.arange(keys, dtype=np.int64).reshape(1, 1, 1, keys), "places")
        conditions = [node.add(Binary("Less"), [places, counts], suffix="no_padding")]
        before = node.add(
            Binary("Sub"), [counts, node.value(np.int64(queries), "queries")], suffix="before"
        )
        for index, (side, reach) in enumerate(ends):
            bound = node.value((ahead - side * reach).astype(np.int64), f"bound{index}")
            function = "LessOrEqual" if side > 0 else "GreaterOrEqual"
            conditions.append(node.add(Binary(function), [bound, before], suffix=f"order{index}"))
        return known, conditions
