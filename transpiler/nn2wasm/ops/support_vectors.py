"""Support vector machines: ai.onnx.ml SVMClassifier-1 and SVMRegressor-1, as libsvm has them.

    k[v] = K(x, support vector v)
    regression       y = sum of coefficient[v] · k[v] + rho
    classification   for each pair of classes i < j a score, a sum over the vectors of both, + rho;
                     above 0 it is a vote for i. The label has most votes, the first of equal ones.
    probabilities    from the scores by Platt's sigmoid, and from those of all pairs by the second
                     method of Wu, Lin and Weng (2004), which iterates until nothing moves much.

Without support vectors the coefficients are a linear model (liblinear). All numbers are float32;
the sum of a score keeps what rounding loses, as onnxruntime's in double does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.class_scores import (
    Classes,
    class_labels,
    finish,
    most_likely,
    transform,
    two_scores,
)
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gemm import Gemm
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.tree_ensemble import rows_of

LINEAR, POLY, RBF, SIGMOID = KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
ITERATIONS = 100
"""Of the probabilities, at most."""


@dataclass(frozen=True)
class KernelValues(KernelOp):
    """K(x, v) of each row x with each support vector v, the second input.

    LINEAR x·v; POLY (gamma x·v + coef0)^degree; RBF e^(−gamma |x − v|²); SIGMOID
    tanh(gamma x·v + coef0).
    """

    onnx_types = ("ai.onnx.ml.SVMClassifier", "ai.onnx.ml.SVMRegressor")
    reads_doubles = True
    kernels = (
        Kernel(symbol="nn_svm_kernel_f32__scalar", template="svm/values__scalar.c.j2", dtype="f32"),
    )

    function: str
    gamma: float = 0.0
    coef0: float = 0.0
    degree: float = 0.0

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type == "SVMClassifier":
            _import_classifier(node)
        else:
            _import_regressor(node)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, vectors = inputs
        assert x is not None
        assert vectors is not None
        return [TensorType(x.dtype, (x.shape[0], vectors.shape[0]))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, vectors = np.asarray(inputs[0]), np.asarray(inputs[1])
        if self.function == RBF:
            apart = ((x[:, None, :] - vectors) ** 2).sum(-1)
            return [np.exp(-self.gamma * apart)]
        products = x @ vectors.T
        if self.function == LINEAR:
            return [products]
        inner = self.gamma * products + self.coef0
        return [np.tanh(inner) if self.function == SIGMOID else inner**self.degree]

    def macs(self, node: Node) -> int:
        return node.output.element_count * node.input(0).shape[1]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, vectors = node.input(0), node.input(1)
        gamma, coef0 = float_literal(self.gamma), float_literal(self.coef0)
        inner = f"({gamma} * sum + {coef0})"
        powers = {1.0: inner, 2.0: f"{inner} * {inner}", 3.0: f"{inner} * {inner} * {inner}"}
        values = {
            LINEAR: "sum",
            RBF: f"nn_exp({float_literal(-self.gamma)} * sum)",
            SIGMOID: f"nn_tanh{inner}",
            POLY: powers.get(self.degree, f"nn_pow({inner}, {float_literal(self.degree)})"),
        }
        context = {
            "rows": x.shape[0],
            "features": x.shape[1],
            "count": vectors.shape[0],
            "function": self.function,
            "distance": self.function == RBF,
            "value": values[self.function],
        }
        return Lowering(context=context, constants={"vector": vectors.value})


@dataclass(frozen=True)
class PairScores(KernelOp):
    """The scores of all pairs of classes from kernel values.

    Inputs: values [rows, vectors], coefficients [classes − 1, vectors], rho [pairs]. `vectors` says
    how many of them are of each class. The score of (i, j) takes coefficients j − 1 of the vectors
    of i, and coefficients i of those of j.
    """

    kernels = (
        Kernel(symbol="nn_svm_pairs_f32__scalar", template="svm/pairs__scalar.c.j2", dtype="f32"),
    )

    vectors: tuple[int, ...]

    @property
    def pairs(self) -> int:
        return len(self.vectors) * (len(self.vectors) - 1) // 2

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, (x.shape[0], self.pairs))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        values, coefficients, rho = (np.asarray(array, np.float64) for array in inputs)
        first = np.cumsum((0, *self.vectors))
        scores = []
        for i in range(len(self.vectors)):
            for j in range(i + 1, len(self.vectors)):
                of_i, of_j = slice(first[i], first[i + 1]), slice(first[j], first[j + 1])
                score = values[:, of_i] @ coefficients[j - 1, of_i]
                scores.append(score + values[:, of_j] @ coefficients[i, of_j])
        return [np.stack(scores, -1) + rho]

    def macs(self, node: Node) -> int:
        return node.input(0).element_count * (len(self.vectors) - 1)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, coefficients, rho = node.input(0), node.input(1), node.input(2)
        context = {
            "rows": x.shape[0],
            "count": x.shape[1],
            "classes": len(self.vectors),
            "pairs": self.pairs,
        }
        constants = {
            "coefficient": coefficients.value,
            "rho": rho.value,
            "first": np.cumsum((0, *self.vectors)).astype(np.int32),
        }
        return Lowering(context=context, constants=constants)


@dataclass(frozen=True)
class _OfPairs(KernelOp):
    """What becomes of the scores of all pairs of `classes`."""

    classes: int

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, classes = node.input(0), self.classes
        context: dict[str, Any] = {
            "rows": x.shape[0],
            "classes": classes,
            "pairs": x.shape[1],
            "squares": classes * classes,
            "last": classes - 1,
            "iterations": ITERATIONS,
            "enough": float_literal(float(np.float32(0.005) / np.float32(classes))),
            "share": float_literal(float(np.float32(1) / np.float32(classes))),
        }
        return Lowering(context=context)


@dataclass(frozen=True)
class Votes(_OfPairs):
    """The index of the class with most votes."""

    kernels = (
        Kernel(symbol="nn_svm_votes_f32__scalar", template="svm/votes__scalar.c.j2", dtype="f32"),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(DType.S64, (x.shape[0], 1))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        scores = np.asarray(inputs[0])
        votes = np.zeros((len(scores), self.classes), int)
        for pair, (i, j) in enumerate(zip(*np.triu_indices(self.classes, 1), strict=True)):
            votes[:, i] += scores[:, pair] > 0
            votes[:, j] += ~(scores[:, pair] > 0)
        return [votes.argmax(-1)[:, None]]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        lowering = super().lower(node, kernel)
        lowering.scratch_bytes, lowering.scratch_type = 4 * self.classes, "int32_t"
        return lowering


@dataclass(frozen=True)
class PairProbabilities(_OfPairs):
    """Probabilities of the classes. Inputs: scores, and of each pair the sigmoid's a and b."""

    kernels = (
        Kernel(
            symbol="nn_svm_probabilities_f32__scalar",
            template="svm/probabilities__scalar.c.j2",
            dtype="f32",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, (x.shape[0], self.classes))]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        lowering = super().lower(node, kernel)
        lowering.constants = {"a": node.input(1).value, "b": node.input(2).value}
        lowering.scratch_bytes = 4 * self.classes * (self.classes + 1)
        lowering.scratch_type = "float"
        return lowering


def _kernel(node: OnnxNode, linear: bool) -> KernelValues:
    function = LINEAR if linear else node.attr_str("kernel_type", LINEAR)
    if function not in KERNELS:
        raise node.invalid(f"the kernel_type {function!r}")
    params = node.attr_floats("kernel_params") or (0.0, 0.0, 0.0)
    if len(params) != 3:
        raise node.invalid(f"{len(params)} kernel_params; gamma, coef0 and degree are wanted")
    return KernelValues(function, *params)


def _matrix(node: OnnxNode, name: str, *shape: int) -> Tensor:
    values = np.asarray(node.attr_floats(name) or (), np.float32)
    if not values.size or values.size != np.prod(shape, dtype=object):
        raise node.invalid(f"{name} has {values.size} entries, not {list(shape)}")
    return node.value(values.reshape(shape), name)


def _values(node: OnnxNode, x: Tensor, count: int) -> Tensor:
    vectors = _matrix(node, "support_vectors", count, x.shape[1])
    return node.add(_kernel(node, linear=False), [x, vectors], suffix="kernel")


def _rows(node: OnnxNode) -> Tensor:
    x = node.input(0)
    if len(x.shape) not in (1, 2):
        raise node.invalid(f"its input has {len(x.shape)} axes")
    return rows_of(node, x)


def _import_regressor(node: OnnxNode) -> None:
    x = _rows(node)
    count = node.attr_int("n_supports", 0)
    rho = np.asarray((node.attr_floats("rho") or (0.0,))[:1], np.float32)
    bias = node.value(rho, "rho") if rho.any() else None
    if count < 0:
        raise node.invalid(f"{count} support vectors")
    values = _values(node, x, count) if count else x
    coefficients = _matrix(node, "coefficients", 1, values.shape[1])
    y = node.add(Gemm(trans_w=True), [values, coefficients, bias], suffix="sum")
    if node.attr_int("one_class", 0):  # 1 inside, −1 outside
        above = node.add(Binary("Greater"), [y, node.value(np.float32(0), "zero")], suffix="inside")
        inside = node.add(Cast(DType.F32), [above], suffix="one")
        twice = node.add(Binary("Add"), [inside, inside], suffix="two")
        y = node.add(Binary("Sub"), [twice, node.value(np.float32(1), "one")], suffix="sign")
    node.alias(y)


def _import_classifier(node: OnnxNode) -> None:
    x = _rows(node)
    classes = class_labels(node, "classlabels_ints")
    counts = node.attr_ints("vectors_per_class") or ()
    if len(classes) < 2:
        raise node.unsupported("a classifier of one class")
    if any(count < 0 for count in counts):
        raise node.invalid("a negative number of vectors")
    if not sum(counts):
        _import_linear_classifier(node, x, classes)
        return
    if len(counts) != len(classes):
        raise node.invalid(f"{len(counts)} vectors_per_class for {len(classes)} classes")
    op = PairScores(counts)
    values = _values(node, x, sum(counts))
    coefficients = _matrix(node, "coefficients", len(classes) - 1, sum(counts))
    rho = _matrix(node, "rho", op.pairs)
    scores = node.add(op, [values, coefficients, rho], suffix="pairs")
    index = node.add(Votes(len(classes)), [scores], suffix="votes")
    post = node.attr_str("post_transform", "NONE")
    if node.attr_floats("prob_a") or node.attr_floats("prob_b"):
        a, b = _matrix(node, "prob_a", op.pairs), _matrix(node, "prob_b", op.pairs)
        likely = node.add(PairProbabilities(len(classes)), [scores, a, b], suffix="probabilities")
        finish(node, index, transform(node, likely, post), classes)
    elif len(classes) == 2:
        finish(node, index, two_scores(node, scores, post, positive=post != "NONE"), classes)
    else:
        finish(node, index, transform(node, scores, post), classes, named=False)


def _import_linear_classifier(node: OnnxNode, x: Tensor, classes: Classes) -> None:
    if len(classes) == 2:
        raise node.unsupported(
            "two classes without support vectors, whose label ONNX does not define",
            hint="export the model as a LinearClassifier",
        )
    coefficients = _matrix(node, "coefficients", len(classes), x.shape[1])
    rho = np.asarray((node.attr_floats("rho") or (0.0,))[:1], np.float32)
    bias = node.value(np.repeat(rho, len(classes)), "rho") if rho.any() else None
    scores = node.add(Gemm(trans_w=True), [x, coefficients, bias], suffix="scores")
    post = node.attr_str("post_transform", "NONE")
    finish(node, most_likely(node, scores), transform(node, scores, post), classes)
