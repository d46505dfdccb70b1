"""Losses of classifiers, for graphs that kept them.

    loss[n, d…] = −weight[t] · log_prob[n, t, d…]   with t = target[n, d…]; 0 where t = ignore_index

and its sum, or its mean: the sum over the sum of the weights that took part. ONNX
NegativeLogLikelihoodLoss-12.., SoftmaxCrossEntropyLoss-12... The class is chosen by comparing the
target with every class: what a target outside of them means is nothing, not another's memory.
"""

from __future__ import annotations

import numpy as np

from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.choice import Not, Select
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.reduce import ReduceSum
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import LogSoftmax
from nn2wasm.ops.unary import Unary

CLASSES = 1
"""The axis of classes."""


class ClassifierLoss(ImportOp):
    """Becomes comparisons, choices and sums."""

    onnx_types = ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        scores, target = node.input(0), node.input(1)
        weight = node.optional(2)
        _check(node, scores, target, weight)
        likely = scores
        if node.op_type == "SoftmaxCrossEntropyLoss":
            likely = node.add(LogSoftmax(CLASSES), [scores], suffix="log_prob")
        loss = _loss(node, likely, target, weight)
        node.alias(loss, likely)


def _check(node: OnnxNode, scores: Tensor, target: Tensor, weight: Tensor | None) -> None:
    shape = scores.shape
    if scores.dtype is not DType.F32:
        raise node.unsupported(f"scores of type {scores.dtype.value}; f32 is compiled")
    if len(shape) < 2 or 0 in shape or target.shape != (shape[0], *shape[2:]):
        raise node.invalid("targets that are not one for each sample and place")
    if target.dtype not in (DType.S32, DType.S64):
        raise node.invalid("targets that are not classes")
    if weight is not None and (weight.shape != (shape[CLASSES],) or weight.dtype is not DType.F32):
        raise node.invalid("weights that are not one for each class")
    reduction = node.attr_str("reduction", "mean")
    if reduction not in ("none", "sum", "mean"):
        raise node.invalid(f"reduction {reduction!r} is not one of ONNX's")


def _loss(node: OnnxNode, likely: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    chosen, zero = _chosen(node, likely, target), node.value(np.float32(0.0), "zero")
    along = (1, -1, *[1] * (len(likely.shape) - 2))
    if weight is None:
        factors, costs = node.value(np.float32(1.0), "one"), likely
    else:
        factors = node.add(Reshape((1, weight.shape[0], *along[2:])), [weight], suffix="weights")
        costs = node.add(Binary("Mul"), [likely, factors], suffix="weighted")
    picked = node.add(Select(), [chosen, costs, zero], suffix="picked")
    cost = node.add(Unary("Neg"), [picked], suffix="cost")
    reduction = node.attr_str("reduction", "mean")
    if reduction == "none":
        total = node.add(ReduceSum("ReduceSum", (CLASSES,)), [cost], suffix="each")
        return node.add(Reshape(target.shape), [total])
    total = _sum(node, cost, "sum")
    if reduction == "mean":
        counted = node.add(Select(), [chosen, factors, zero], suffix="counted")
        total = node.add(Binary("Div"), [total, _sum(node, counted, "weight")], suffix="mean")
    return total


def _chosen(node: OnnxNode, likely: Tensor, target: Tensor) -> Tensor:
    """Whether a class is the target, and counts: a truth value for each score."""
    shape = likely.shape
    of_classes = node.add(Reshape((shape[0], 1, *shape[2:])), [target], suffix="of_classes")
    along = (1, -1, *[1] * (len(shape) - 2))
    classes = np.arange(shape[CLASSES], dtype=target.dtype.numpy).reshape(along)
    chosen = node.add(
        Binary("Equal"), [of_classes, node.value(classes, "classes")], suffix="chosen"
    )
    if not node.has("ignore_index"):
        return chosen
    ignored = node.value(
        np.asarray(node.attr_int("ignore_index", 0), target.dtype.numpy), "ignored"
    )
    same = node.add(Binary("Equal"), [of_classes, ignored], suffix="is_ignored")
    return node.add(
        Binary("And"), [chosen, node.add(Not(), [same], suffix="counts")], suffix="both"
    )


def _sum(node: OnnxNode, x: Tensor, what: str) -> Tensor:
    every = tuple(range(len(x.shape)))
    return node.add(
        Reshape(()), [node.add(ReduceSum("ReduceSum", every), [x], suffix=f"{what}_kept")],
        suffix=what,
    )  # fmt: skip
