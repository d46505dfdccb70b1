"""Linear models of ai.onnx.ml: scores = x · coefficientsᵀ + intercepts, as Gemm.

LinearClassifier-1 (one row of coefficients for two classes: the score is the second's),
LinearRegressor-1. Inputs of any type are computed on in float32.
"""

from __future__ import annotations

import numpy as np

from nn2wasm.ir import Tensor
from nn2wasm.ops.class_scores import (
    above,
    class_labels,
    finish,
    most_likely,
    transform,
    two_scores,
)
from nn2wasm.ops.gemm import Gemm
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.tree_ensemble import rows_of


class LinearModel(ImportOp):
    """Becomes Gemm and what follows it."""

    onnx_types = ("ai.onnx.ml.LinearClassifier", "ai.onnx.ml.LinearRegressor")
    reads_doubles = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type == "LinearClassifier":
            _import_classifier(node)
            return
        targets = node.attr_int("targets", 1)
        scores = _scores(node, targets)
        node.alias(transform(node, scores, node.attr_str("post_transform", "NONE")))


def _import_classifier(node: OnnxNode) -> None:
    classes = class_labels(node, "classlabels_ints")
    post = node.attr_str("post_transform", "NONE")
    intercepts = node.attr_floats("intercepts") or ()
    lines = len(intercepts) or len(classes)
    if lines != len(classes) and (lines, len(classes)) != (1, 2):
        raise node.invalid(f"{lines} intercepts for {len(classes)} classes")
    scores = _scores(node, lines)
    if lines > 1:
        finish(node, most_likely(node, scores), transform(node, scores, post), classes)
    elif len(classes) == 2:
        index = above(node, scores, 0.0)
        finish(node, index, two_scores(node, scores, post, positive=True), classes)
    else:
        raise node.unsupported("a classifier of one class")


def _scores(node: OnnxNode, lines: int) -> Tensor:
    """The linear function's values, `lines` for each row of the input."""
    x = rows_of(node, node.input(0))
    if len(x.shape) != 2:
        raise node.invalid(f"its input has {len(x.shape)} axes")
    coefficients = np.asarray(node.attr_floats("coefficients") or (), np.float32)
    if lines < 1 or coefficients.size != lines * x.shape[1]:
        raise node.invalid(
            f"{coefficients.size} coefficients for {lines} scores of {x.shape[1]} features"
        )
    intercepts = np.asarray(node.attr_floats("intercepts") or (), np.float32)
    if intercepts.size not in (0, lines):
        raise node.invalid(f"{intercepts.size} intercepts for {lines} scores")
    weights = node.value(coefficients.reshape(lines, x.shape[1]), "coefficients")
    bias = node.value(intercepts, "intercepts") if intercepts.any() else None
    return node.add(Gemm(trans_w=True), [x, weights, bias], suffix="scores")
