"""From the scores of classes to a label and probabilities, as ai.onnx.ml's classifiers have it.

Labels that are numbers are what the label output holds; of labels that are strings it holds the
index, and the strings go with the tensor (`Tensor.labels`) into the description of the model. The
scores name their elements likewise.

Two classes follow onnxruntime, since ONNX leaves them open. Where trees give weights to one class
alone, the sum s is that of the second class, and

    all weights >= 0   label: s > 0.5   scores: 1 - s, s
    else               label: s > 0     scores: -s, s

with LOGISTIC in both cases sigmoid(-s), sigmoid(s); softmax is not applied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.lookup import look_up
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.reduce import ArgExtreme
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice
from nn2wasm.ops.softmax import Softmax
from nn2wasm.ops.trees import Forest
from nn2wasm.ops.unary import Unary

NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO, PROBIT = POST_TRANSFORMS = (
    "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT",
)  # fmt: skip
"""By their numbers in TreeEnsemble-5."""

ZERO = np.float32(1e-7)
"""SOFTMAX_ZERO takes what is not larger for 0."""


@dataclass(frozen=True)
class Classes:
    """The classes of a model: their names, and the numbers that they are where they are numbers."""

    names: tuple[str, ...]
    numbers: tuple[int, ...] | None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shown(self) -> tuple[str, ...]:
        """Names that say more than the index does."""
        counted = tuple(str(index) for index in range(len(self)))
        return () if self.names == counted else self.names


def class_labels(node: OnnxNode, integers: str, strings: str = "classlabels_strings") -> Classes:
    """The classes that attributes name.

    Raises:
        InvalidModel: none, or both numbers and strings.
    """
    numbers, names = node.attr_ints(integers), node.attr_strings(strings)
    if bool(numbers) == bool(names):
        raise node.invalid(f"either {integers} or {strings} must name the classes")
    if names:
        if len(set(names)) < len(names):
            raise node.invalid(f"{strings} names a class twice")
        return Classes(names, None)
    assert numbers is not None
    return Classes(tuple(map(str, numbers)), numbers)


def label_of(node: OnnxNode, index: Tensor, classes: Classes) -> Tensor:
    """The label output for the index of a class, of any shape."""
    index = node.add(Reshape((index.element_count,)), [index], suffix="index")
    if classes.numbers is None:
        index.labels = classes.names
        return index
    table = node.value(np.asarray(classes.numbers, np.int64), "classes")
    return look_up(node, index, table, "label")


def most_likely(node: OnnxNode, scores: Tensor) -> Tensor:
    """The index of the largest score of each row, the first of equal ones."""
    return node.add(ArgExtreme(1), [scores], suffix="class")


def above(node: OnnxNode, score: Tensor, bound: float) -> Tensor:
    """1 where the score of the second class is above a bound, else 0."""
    limit = node.value(np.asarray(bound, score.dtype.numpy), "bound")
    truth = node.add(Binary("Greater"), [score, limit], suffix="above")
    return node.add(Cast(DType.S64), [truth], suffix="class")


def transform(node: OnnxNode, scores: Tensor, post: str) -> Tensor:
    """Scores of rows after a post transform; of a single number only PROBIT changes anything."""
    if post not in POST_TRANSFORMS:
        raise node.invalid(f"the post_transform {post!r}")
    if post == PROBIT:
        return node.add(ScoreFunction(PROBIT), [scores], suffix="probit")
    if post == NONE or scores.shape[-1] == 1:
        return scores
    if post == LOGISTIC:
        return node.add(Unary("Sigmoid"), [scores], suffix="logistic")
    op = Softmax(len(scores.shape) - 1) if post == SOFTMAX else ScoreFunction(SOFTMAX_ZERO)
    return node.add(op, [scores], suffix="softmax")


def finish(
    node: OnnxNode, index: Tensor, scores: Tensor, classes: Classes, *, named: bool = True
) -> None:
    """Gives the node's outputs, label and scores; `named`: a score is of a class."""
    scores.labels = classes.shown if named else ()
    node.alias(label_of(node, index, classes), scores)


def two_scores(node: OnnxNode, score: Tensor, post: str, *, positive: bool) -> Tensor:
    """The scores of both classes where one has a score."""
    if post == PROBIT:
        raise node.unsupported("PROBIT of two classes that have one score")
    if post not in POST_TRANSFORMS:
        raise node.invalid(f"the post_transform {post!r}")
    if positive and post != LOGISTIC:
        one = node.value(np.float32(1.0), "one")
        other = node.add(Binary("Sub"), [one, score], suffix="other")
    else:
        other = node.add(Unary("Neg"), [score], suffix="other")
    both = node.add(Concat(1), [other, score], suffix="scores")
    return node.add(Unary("Sigmoid"), [both], suffix="logistic") if post == LOGISTIC else both


Adder = Callable[[Forest, int, tuple[float, ...]], Tensor]
"""Sums of a forest's weights for so many targets, a base added."""


def finish_trees(
    node: OnnxNode,
    forest: Forest,
    classes: Classes,
    base: tuple[float, ...],
    post: str,
    add: Adder,
) -> None:
    """A tree classifier's outputs.

    Raises:
        UnsupportedFeature: classes that have no score for some inputs.
    """
    weights = [weight for leaf in forest.leaf_weights for weight in leaf]
    positive = all(weight >= 0 for weight in weights)
    used = {target for leaf in forest.leaf_targets for target in leaf}
    if len(classes) == 1:
        raise node.unsupported("a classifier of one class")
    if len(classes) > 2:
        if len(base) not in (0, len(classes)):
            raise node.invalid(f"{len(base)} base_values for {len(classes)} classes")
        if not base and not (positive and _all_rise(forest)):
            _require_scores(node, forest, set(range(len(classes))))
        sums = add(forest, len(classes), base)
        finish(node, most_likely(node, sums), transform(node, _single(node, sums), post), classes)
        return
    if used <= {0}:
        if len(base) > 1:
            raise node.unsupported(f"{len(base)} base_values where one class has weights")
        score = add(forest, 1, base)
        index = above(node, score, 0.5 if positive else 0.0)
        scores = two_scores(node, _single(node, score), post, positive=positive)
        finish(node, index, scores, classes)
        return
    if base:
        raise node.unsupported("base_values where the second class has weights")
    _require_scores(node, forest, {1})
    sums = add(forest, 2, ())
    score = node.add(Slice((0, 1), (sums.shape[0], 1), (1, 1)), [sums], suffix="second")
    index = above(node, score, 0.5 if positive and used == {1} else 0.0)
    finish(node, index, transform(node, _single(node, sums), post), classes)


def _single(node: OnnxNode, scores: Tensor) -> Tensor:
    if scores.dtype is DType.F32:
        return scores
    return node.add(Cast(DType.F32), [scores], suffix="single")


def _all_rise(forest: Forest) -> bool:
    """Whether some score is always above 0, so that one without weights is not the largest."""
    first = forest.leaves_of_tree(forest.roots[0])
    return all(any(weight > 0 for weight in forest.leaf_weights[leaf]) for leaf in first)


def _require_scores(node: OnnxNode, forest: Forest, classes: set[int]) -> None:
    """For each of the classes there is a tree all of whose leaves give it a weight."""
    missing = classes - forest.always_given()
    if not missing:
        return
    raise node.unsupported(
        f"leaves that give class {min(missing)} no weight",
        hint="give each leaf a weight for each class, 0 where it has none",
    )


@dataclass(frozen=True)
class ScoreFunction(KernelOp):
    """SOFTMAX_ZERO or PROBIT of each row.

    SOFTMAX_ZERO is e^(x − max) / sum, where a score that is 0 adds nothing and stays 0. PROBIT is
    the inverse of the normal distribution, by the approximation that onnxruntime takes.
    """

    function: str
    kernels = (
        Kernel(
            symbol="nn_softmax_zero_f32__scalar",
            template="scores/softmax_zero__scalar.c.j2",
            dtype="f32",
            fits=lambda node: "" if node.op.kind == SOFTMAX_ZERO else "it is no softmax",
        ),
        Kernel(symbol="nn_probit_f32__scalar", template="scores/probit__scalar.c.j2", dtype="f32"),
    )

    @property
    def kind(self) -> str:
        return self.function

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        return [_probit(x) if self.function == PROBIT else _softmax_zero(x)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        context = {
            "count": x.element_count,
            "rows": x.element_count // x.shape[-1],
            "n": x.shape[-1],
        }
        return Lowering(context=context, lead={0: stream_lead(x.element_count, 4, 4)})


def _softmax_zero(x: Array) -> Array:
    largest = x.max(-1, keepdims=True)
    counts = np.abs(x) > ZERO
    exps = np.where(counts, np.exp(x - largest), 0)
    kept = np.where(counts, exps, x * np.exp(-largest))
    return np.asarray(kept / exps.sum(-1, keepdims=True))


def _probit(x: Array) -> Array:
    v = (2 * x - 1).astype(np.float64)
    log = np.log((1 - v) * (1 + v))
    half = 2 / (3.14159 * 0.147) + 0.5 * log
    root = np.sqrt(np.sqrt(half * half - log / 0.147) - half)
    return np.asarray(1.41421356 * np.where(v < 0, -root, root))
