"""Decision trees together: each adds a leaf's weights, a rule makes one number of them.

    SUM        y[k] = sum of weights + base[k]
    AVERAGE    y[k] = sum of weights / trees + base[k]
    MIN, MAX   y[k] = least or largest weight + base[k]

Sums are made one after the other, in the order of the trees, in the type of the inputs: float32, or
float64 where they are of that type; that is onnxruntime's order where it runs on one thread. ONNX
ai.onnx.ml TreeEnsembleRegressor-1.., TreeEnsembleClassifier-1.., TreeEnsemble-5; what becomes of
the sums of a classifier is in `class_scores.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.class_scores import POST_TRANSFORMS, class_labels, finish_trees, transform
from nn2wasm.ops.forest import ForestTables, make_tables, rank, walk
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.trees import Forest, read_forest, read_reals, read_tree_ensemble

SUM, AVERAGE, MIN, MAX = "SUM", "AVERAGE", "MIN", "MAX"
RULES = (AVERAGE, SUM, MIN, MAX)
"""By their numbers in TreeEnsemble-5."""
_ADD = {
    MIN: "{y} = {w} < {y} ? {w} : {y}",
    MAX: "{y} = {w} > {y} ? {w} : {y}",
}
_START = {MIN: math.inf, MAX: -math.inf}


@dataclass(frozen=True)
class TreeEnsemble(KernelOp):
    """Rows of features to rows of `targets` numbers.

    Attributes:
        tables: the trees.
        trees: how many.
        targets: numbers of a result.
        rule: how weights become one.
        base: what is added to each; none or `targets` numbers.
    """

    onnx_types = tuple(
        f"ai.onnx.ml.{name}"
        for name in ("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor")
    )
    reads_doubles = True
    kernels = (
        Kernel(symbol="nn_trees_f32__scalar", template="trees/any__scalar.c.j2", dtype="f32"),
        Kernel(symbol="nn_trees_f64__scalar", template="trees/any__scalar.c.j2", dtype="f64"),
    )

    tables: ForestTables
    trees: int
    targets: int
    rule: str = SUM
    base: tuple[float, ...] = ()

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = real_rows(node)
        real = x.dtype.numpy.type
        if node.op_type == "TreeEnsembleClassifier":
            _import_classifier(node, x)
            return
        targets = node.attr_int("n_targets", 1)
        if targets < 1:
            raise node.invalid(f"{targets} targets")
        if node.op_type == "TreeEnsemble":
            code = node.attr_int("aggregate_function", 1)
            rule = RULES[code] if 0 <= code < len(RULES) else str(code)
            code = node.attr_int("post_transform", 0)
            post = POST_TRANSFORMS[code] if 0 <= code < len(POST_TRANSFORMS) else str(code)
            forest, base = read_tree_ensemble(node, targets, x.shape[1], real), ()
        else:
            rule = node.attr_str("aggregate_function", SUM)
            post = node.attr_str("post_transform", "NONE")
            forest = read_forest(node, "target", targets, x.shape[1], real)
            base = tuple(read_reals(node, "base_values", None, real).tolist())
        if rule not in RULES:
            raise node.invalid(f"the aggregate_function {rule}")
        if len(base) not in (0, targets):
            raise node.invalid(f"{len(base)} base_values for {targets} targets")
        scores = add_trees(node, x, forest, targets, rule, base)
        if x.dtype is DType.F64 and (node.op_type != "TreeEnsemble" or post != "NONE"):
            scores = node.add(Cast(DType.F32), [scores], suffix="single")
        node.alias(transform(node, scores, post))

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, (x.shape[0], self.targets))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        return [np.stack([self._row(row) for row in x])]

    def _row(self, row: Array) -> Array:
        tables, real = self.tables, row.dtype.type
        ranks = rank(tables, row)
        y = np.full(self.targets, _START.get(self.rule, 0.0), real)
        for tree in range(self.trees):
            leaf = walk(tables, tree, ranks)
            for entry in range(int(tables.leaf_first[leaf]), int(tables.leaf_first[leaf + 1])):
                target, weight = tables.targets[entry], tables.weights[entry]
                if self.rule in (SUM, AVERAGE):
                    y[target] += weight
                elif weight < y[target] if self.rule == MIN else weight > y[target]:
                    y[target] = weight
        if self.rule == AVERAGE:
            y /= real(self.trees)
        return y + np.asarray(self.base, real) if self.base else y

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, tables = node.input(0), self.tables
        shared = np.diff(tables.leaf_first)
        single = bool((shared == 1).all())
        constants = {"node": tables.words, "feature": _narrow(tables.features)}
        if tables.grid is None:
            constants["threshold"] = tables.keys
            constants["first"] = _narrow(tables.first)
            constants["step"] = _narrow(_steps(np.diff(tables.first)))
        if tables.nan_low.any() and not tables.nan_low.all():
            constants["nan_low"] = tables.nan_low.astype(np.uint8)
        if not single:
            constants["entry"] = _narrow(tables.leaf_first)
        if self.targets > 1:
            constants["target"] = _narrow(tables.targets)
        constants["weight"] = tables.weights
        if self.base:
            constants["base"] = np.asarray(self.base, x.dtype.numpy)
        ranks = _narrow(np.asarray([tables.top_rank])).dtype
        rank_type = DType.of(np.empty(0, ranks)).c_name
        context = self._context(node, constants, single) | {"rank": rank_type}
        columns = max(1, len(tables.features))
        return Lowering(
            context=context,
            constants={
                name: array if array.size else np.zeros(1, array.dtype)
                for name, array in constants.items()
            },
            scratch_bytes=columns * ranks.itemsize,
            scratch_type=rank_type,
        )

    def _context(self, node: Node, constants: dict[str, Array], single: bool) -> dict[str, object]:
        x, tables = node.input(0), self.tables
        real, double = x.dtype.c_name, x.dtype is DType.F64
        sum_of = "sum" if self.targets == 1 else "y[target[{at}]]"
        place = "leaf" if single else "e"
        rule = _ADD.get(self.rule, "{y} += {w}")
        start = _START.get(self.rule, 0.0)
        last = "sum" if self.targets == 1 else "y[k]"
        if self.rule == AVERAGE:
            last += f" / {_literal(float(self.trees), double)}"
        if self.base:
            last += " + base[k]" if self.targets > 1 else " + base[0]"
        return {
            "type": real,
            "rows": x.shape[0],
            "features": x.shape[1],
            "targets": self.targets,
            "one_target": self.targets == 1,
            "trees": self.trees,
            "columns": len(tables.features),
            "bits": 64 if double else 32,
            "constants": [
                {"name": name, "type": DType.of(array).c_name} for name, array in constants.items()
            ],
            "word": f"uint{tables.bits}_t",
            "leaf_bit": tables.bits - 1,
            "leaf_mask": f"{hex(tables.top - 1)}u" + ("ll" if tables.bits == 64 else ""),
            "column_mask": (1 << tables.column_bits) - 1,
            "child": _child(tables),
            "rank_shift": tables.rank_shift,
            "low": "nan_low[c]" if "nan_low" in constants else "",
            "grid": tables.grid is not None,
            "top_rank": tables.top_rank,
            "nan": "MIN" if tables.nan_low.all() else "MAX",
            "infinity": "0x7ff0000000000000" if double else "0x7f800000",
            "entries": not single,
            "start": _literal(start, double),
            **_grid_context(tables),
            "add": rule.format(y=sum_of.format(at=place), w=f"weight[{place}]"),
            "last": last,
            "finishes": self.targets > 1 and last != "y[k]",
        }


def _steps(counts: Array) -> Array:
    """The first steps of searches: the largest power of two that is not above a count."""
    return np.asarray([1 << (int(count).bit_length() - 1) for count in counts], np.int64)


def _grid_context(tables: ForestTables) -> dict[str, object]:
    """How a float becomes ceil(x · 2^digits), from its bits."""
    if tables.grid is None:
        return {}
    top = np.float32(tables.top_rank / 2.0**tables.grid)
    low = bool(tables.nan_low.all())
    return {
        "digits": tables.grid,
        "unit": f"1 / {2**tables.grid}" if tables.grid else "1",
        "top_bits": f"{hex(int(top.view(np.int32)))}u",
        "outside": f"bits > 0x7f800000u ? 0 : {tables.top_rank}"
        if low
        else f"bits - 0x80000000u <= 0x7f800000u ? 0 : {tables.top_rank}",
        "least_exponent": 127 - tables.grid,
        "whole_exponent": 150 - tables.grid,
    }


def _child(tables: ForestTables) -> str:
    """C of where the children of the node `w` are."""
    above = f"w >> {tables.column_bits}" if tables.column_bits else "w"
    return f"({above} & {(1 << tables.child_bits) - 1}u)"


def _literal(value: float, double: bool) -> str:
    text = float_literal(value)
    if not double:
        return text
    return f"(double){text}" if math.isinf(value) else text.removesuffix("f")


def _narrow(values: Array) -> Array:
    """The numbers, none below 0, in as few bytes as they need."""
    most = int(values.max(initial=0))
    return values.astype(np.uint8 if most < 256 else np.uint16 if most < 65536 else np.int32)


def real_rows(node: OnnxNode) -> Tensor:
    """The input as rows of float32, or of float64 where it is of that type."""
    x = node.input(0)
    if len(x.shape) not in (1, 2):
        raise node.invalid(f"its input has {len(x.shape)} axes")
    return rows_of(node, x, keep_double=True)


def rows_of(node: OnnxNode, x: Tensor, *, keep_double: bool = False) -> Tensor:
    """A tensor of numbers as rows of floats: of one axis it is one row."""
    if x.dtype is DType.BOOL or x.labels:
        raise node.invalid("its input does not hold numbers")
    if len(x.shape) == 1:
        x = node.add(Reshape((1, *x.shape)), [x], suffix="row")
    if x.dtype is DType.F32 or (x.dtype is DType.F64 and keep_double):
        return x
    return node.add(Cast(DType.F32), [x], suffix="float")


def add_trees(
    node: OnnxNode,
    x: Tensor,
    forest: Forest,
    targets: int,
    rule: str = SUM,
    base: tuple[float, ...] = (),
) -> Tensor:
    """The numbers that trees give."""
    if rule in (MIN, MAX):
        _require_all_targets(node, forest, targets)
    tables = make_tables(forest, drop_zeros=targets > 1 and rule in (SUM, AVERAGE))
    op = TreeEnsemble(tables, len(forest.roots), targets, rule, base)
    return node.add(op, [x], suffix="trees")


def _require_all_targets(node: OnnxNode, forest: Forest, targets: int) -> None:
    """Of nothing there is no least: some tree must give each target a weight in all its leaves."""
    if len(forest.always_given()) < targets:
        raise node.unsupported(
            "MIN or MAX of trees that leave out targets", hint="give each leaf all targets"
        )


def _import_classifier(node: OnnxNode, x: Tensor) -> None:
    labels = class_labels(node, "classlabels_int64s")
    real = x.dtype.numpy.type
    forest = read_forest(node, "class", len(labels), x.shape[1], real)
    base = tuple(read_reals(node, "base_values", None, real).tolist())
    finish_trees(
        node, forest, labels, base, node.attr_str("post_transform", "NONE"),
        lambda trees, targets, values: add_trees(node, x, trees, targets, SUM, values),
    )  # fmt: skip
