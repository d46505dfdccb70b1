"""Layers of sequences with a state that is handed from call to call.

ONNX LinearAttention-27.., CausalConvWithState-27.., SwiGLU-28.., each made of products and sums.
The positions of LinearAttention follow one another: each is nodes of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.heads import join_heads, split_heads
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.matmul import MatMul
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice
from nn2wasm.ops.unary import Unary

MOST_POSITIONS = 256
"""Of a LinearAttention: more nodes than that are no small module."""


class SwiGLU(ImportOp):
    """a · sigmoid(alpha · a) · b."""

    onnx_types = ("SwiGLU",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        a, b = node.input(0), node.input(1)
        if a.shape != b.shape or a.dtype is not b.dtype:
            raise node.invalid("its operands differ in shape or type")
        if a.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {a.dtype.value}; f32 is compiled")
        gate = node.add(Unary("Swish", (node.attr_float("alpha", 1.0),)), [a], suffix="gate")
        node.emit(Binary("Mul"), [gate, b])


class CausalConvWithState(ImportOp):
    """y[b, c, t] = sum_i w[c, 0, i] · x[b, c, t + i − (k − 1)] + bias[c]; what lies before the
    first position is the state, zeros at first.
    """

    onnx_types = ("CausalConvWithState",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, weight = node.input(0), node.input(1)
        if len(x.shape) != 3 or weight.shape[:2] != (x.shape[1], 1) or len(weight.shape) != 3:
            raise node.invalid("its input or weight is not of rank 3, or not of the same channels")
        if x.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
        activation = node.attr_str("activation", "none")
        if activation not in ("none", "silu", "swish"):
            raise node.invalid(f"activation {activation!r} is not one of ONNX's")
        (batch, channels, length), k = x.shape, weight.shape[2]
        whole = _behind_state(node, x, (batch, channels, k - 1))
        total: Tensor | None = None
        for i in range(k):
            factor = _part(node, weight, 2, i, 1, f"weight{i}")
            column = node.add(Reshape((1, channels, 1)), [factor], suffix=f"factor{i}")
            part = _part(node, whole, 2, i, length, f"part{i}")
            product = node.add(Binary("Mul"), [part, column], suffix=f"product{i}")
            total = _plus(node, total, product, f"sum{i}")
        assert total is not None
        bias = node.optional(2)
        if bias is not None:
            if bias.shape != (channels,):
                raise node.invalid("its bias is not one number for each channel")
            added = node.add(Reshape((1, channels, 1)), [bias], suffix="bias")
            total = node.add(Binary("Add"), [total, added], suffix="biased")
        if activation != "none":
            total = node.add(Unary("Swish", (1.0,)), [total], suffix="activated")
        node.alias(total, _part(node, whole, 2, length, k - 1, "present_state"))


def _behind_state(node: OnnxNode, x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    state = node.optional(3)
    if state is not None and state.shape != shape:
        raise node.invalid(f"its state has shape {list(state.shape)}, expected {list(shape)}")
    if shape[2] == 0:
        return x
    if state is None:
        state = node.value(np.zeros(shape, np.float32), "no_state")
    return node.add(Concat(2), [state, x], suffix="with_state")


RULES = ("linear", "gated", "delta", "gated_delta")


class LinearAttention(ImportOp):
    """For each position t, S a state [size of keys, size of values] of each head:

    S = exp(decay) · S                      (gated)
    v = beta · (v − Sᵀ·k)                   (delta)
    S = S + k·vᵀ,   y = scale · Sᵀ·q
    """

    onnx_types = ("LinearAttention",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        rule = node.attr_str("update_rule", "gated_delta")
        if rule not in RULES:
            raise node.invalid(f"update_rule {rule!r} is not one of ONNX's")
        recurrence = _Recurrence.read(node, gated="gated" in rule, delta="delta" in rule)
        recurrence.run(node)


@dataclass(slots=True)
class _Recurrence:
    """The operands as [batch, heads, positions, size]; decay and beta where the rule has them."""

    query: Tensor
    key: Tensor
    value: Tensor
    state: Tensor
    decay: Tensor | None
    beta: Tensor | None
    scale: float

    @classmethod
    def read(cls, node: OnnxNode, *, gated: bool, delta: bool) -> _Recurrence:
        counts = [node.attr_int(f"{of}_num_heads", 0) for of in ("q", "kv", "kv")]
        for index in range(3):
            if node.input(index).dtype is not DType.F32:
                raise node.unsupported("elements that are not f32")
        query, key, value = (
            split_heads(node, node.input(i), counts[i], name)
            for i, name in enumerate(("query", "key", "value"))
        )
        (batch, heads, positions, size), groups = query.shape, key.shape[1]
        if heads % groups or key.shape != (batch, groups, positions, size):
            raise node.invalid("its query and key do not belong together")
        if value.shape[:3] != key.shape[:3]:
            raise node.invalid("its key and value do not belong together")
        if positions > MOST_POSITIONS:
            raise node.unsupported(f"{positions} positions; up to {MOST_POSITIONS} are compiled")
        shape = (batch, groups, size, value.shape[3])
        state = node.optional(3)
        if state is None:
            state = node.value(np.zeros(shape, np.float32), "no_state")
        elif state.shape != shape:
            raise node.invalid(f"its state has shape {list(state.shape)}, expected {list(shape)}")
        decay = _gate(node, 4, "decay", (groups, groups * size), wanted=gated)
        beta = _gate(node, 5, "beta", (groups, 1), wanted=delta)
        scale = node.attr_float("scale", 0.0) or 1.0 / math.sqrt(size)
        return cls(query, key, value, state, decay, beta, scale)

    def run(self, node: OnnxNode) -> None:
        """Emits a position after the other."""
        batch, heads, positions, size = self.query.shape
        groups, wide = self.key.shape[1], self.value.shape[3]
        factor = node.value(np.float32(self.scale), "scale")
        scaled = node.add(Binary("Mul"), [self.query, factor], suffix="scaled")
        state, outputs = self.state, []
        for t in range(positions):
            k = _part(node, self.key, 2, t, 1, f"key{t}")
            v = _part(node, self.value, 2, t, 1, f"value{t}")
            column = node.add(Reshape((batch, groups, size, 1)), [k], suffix=f"column{t}")
            if self.decay is not None:
                fading = _part(node, self.decay, 2, t, 1, f"decay{t}")
                shape = (batch, groups, fading.shape[3], 1)
                kept = node.add(Unary("Exp"), [fading], suffix=f"kept{t}")
                kept = node.add(Reshape(shape), [kept], suffix=f"kept_column{t}")
                state = node.add(Binary("Mul"), [state, kept], suffix=f"faded{t}")
            if self.beta is not None:
                known = node.add(MatMul(), [k, state], suffix=f"known{t}")
                new = node.add(Binary("Sub"), [v, known], suffix=f"new{t}")
                share = _part(node, self.beta, 2, t, 1, f"beta{t}")
                v = node.add(Binary("Mul"), [new, share], suffix=f"share{t}")
            written = node.add(MatMul(), [column, v], suffix=f"written{t}")
            state = node.add(Binary("Add"), [state, written], suffix=f"state{t}")
            q = _part(node, scaled, 2, t, 1, f"query{t}")
            rows = node.add(Reshape((batch, groups, heads // groups, size)), [q], suffix=f"rows{t}")
            read = node.add(MatMul(), [rows, state], suffix=f"read{t}")
            outputs.append(node.add(Reshape((batch, heads, 1, wide)), [read], suffix=f"y{t}"))
        y = outputs[0]
        if positions > 1:
            y = node.add(Concat(2), outputs, suffix="positions")
        node.alias(join_heads(node, y), state)


def _gate(
    node: OnnxNode, index: int, what: str, widths: tuple[int, int], *, wanted: bool
) -> Tensor | None:
    """[batch, positions, width] as [batch, heads or 1, positions, numbers of a head]."""
    given = node.optional(index)
    if (given is not None) != wanted:
        raise node.invalid(f"its update rule and its {what} do not belong together")
    if given is None:
        return None
    if len(given.shape) != 3 or given.shape[2] not in widths:
        raise node.invalid(f"its {what} has shape {list(given.shape)}")
    batch, positions, width = given.shape
    if what == "decay" and width != widths[0]:
        return split_heads(node, given, widths[0], what)
    apart = node.add(Reshape((batch, positions, width, 1)), [given], suffix=f"{what}_apart")
    return node.add(Transpose((0, 2, 1, 3)), [apart], suffix=f"{what}_heads")


def _part(node: OnnxNode, x: Tensor, axis: int, start: int, size: int, suffix: str) -> Tensor:
    """`size` places of an axis from `start` on."""
    if start == 0 and size == x.shape[axis]:
        return x
    starts, sizes = [0] * len(x.shape), list(x.shape)
    starts[axis], sizes[axis] = start, size
    return node.add(Slice(tuple(starts), tuple(sizes), (1,) * len(sizes)), [x], suffix=suffix)


def _plus(node: OnnxNode, total: Tensor | None, more: Tensor, suffix: str) -> Tensor:
    return more if total is None else node.add(Binary("Add"), [total, more], suffix=suffix)
