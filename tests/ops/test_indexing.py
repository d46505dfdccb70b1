"""Gathers, scatters, order along an axis, and what else is chosen by indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, folded, reference_outputs, refuse
from tolerance import EXACT

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature
from nn2wasm.ops.ordering import TopK

rng = np.random.default_rng(17)
X = rng.normal(size=(3, 4, 5)).astype(np.float32)
WHOLE = rng.integers(-100, 100, size=(3, 4, 5))
TIES = rng.integers(0, 4, size=(2, 9, 3)).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, np.int64)


def below(size: int, *shape: int) -> np.ndarray:
    """Indices of an axis of that size, negative ones among them."""
    return rng.integers(-size, size, size=shape)


def exact(
    name: str, op: str, inputs: list[Any], constants: Any = (), opset: int = 18, **more: Any
) -> Case:
    """Fields of Case, and attributes."""
    fields = {k: more.pop(k) for k in ("outputs", "reference") if k in more}
    return Case(name, op, more, inputs, constants, opset, tolerance=EXACT, **fields)


GATHERS = [
    exact("rows", "Gather", [X, below(3, 4)]),
    exact("embedding", "Gather", [X[0], below(4, 2, 3)], (0,)),
    exact("columns_s32", "Gather", [X, below(5, 2).astype(np.int32)], axis=-1),
    exact("one", "Gather", [X, np.asarray(-2)], axis=1),
    exact("gather_bytes", "Gather", [np.arange(12, dtype=np.uint8), below(12, 7)]),
    exact("gather_bools", "Gather", [X[0] > 0, below(4, 3)]),
    exact("gather_old", "Gather", [X, np.int64([2, 0])], opset=7, axis=0),
    exact("elements_0", "GatherElements", [X, below(3, 2, 4, 5)]),
    exact("elements_1", "GatherElements", [X, below(4, 3, 6, 5)], axis=1),
    exact("elements_last", "GatherElements", [X, below(5, 2, 3, 2).astype(np.int32)], axis=-1),
    exact("elements_constant", "GatherElements", [X, below(5, 3, 4, 5)], (1,), axis=2, opset=11),
    exact("tuples", "GatherND", [X, np.stack([below(3, 4), below(4, 4)], -1)]),
    exact("tuples_whole", "GatherND", [X, np.stack([below(n, 2, 2) for n in X.shape], -1)]),
    exact("tuples_batch", "GatherND", [X, below(4, 3, 6, 1)], batch_dims=1),
    exact("tuples_batches", "GatherND", [WHOLE, below(5, 3, 4, 1)], batch_dims=2, opset=12),
]
SCATTERS = [
    exact("scatter", "ScatterElements", [X, ints(2, 0).reshape(1, 2, 1), X[:1, :2, :1]], axis=1),
    exact("scatter_9", "Scatter", [X, ints(-1, 1).reshape(1, 2, 1), X[1:2, :2, :1]], (), 9, axis=1),
    *(
        exact(
            f"elements_{reduction}", "ScatterElements", [WHOLE, below(4, 3, 6, 5),
            rng.integers(-100, 100, size=(3, 6, 5))], axis=1, reduction=reduction, reference="onnx",
        )
        for reduction in ("add", "mul", "max", "min")
    ),
    exact("nd", "ScatterND", [X, ints(-1, 0).reshape(2, 1), X[1:]]),
    exact("nd_elements", "ScatterND", [X, ints(0, 1, 2, 2, 3, -4).reshape(2, 3), X[0, 0, :2]]),
    *(
        exact(
            f"nd_{reduction}", "ScatterND", [X, ints(1, 1, 0).reshape(3, 1), X[::-1].copy()],
            reduction=reduction,
        )
        for reduction in ("add", "mul", "max", "min")
    ),
    exact("nd_bytes", "ScatterND", [np.arange(6, dtype=np.uint8), ints(5, 0).reshape(2, 1),
          np.uint8([255, 7])]),
    *(
        exact(
            f"cache_{mode}_{axis}", "TensorScatter",
            [X, rng.normal(size=[3, *s]).astype(np.float32), starts],
            opset=24, reference="onnx", axis=axis, mode=mode,
        )
        for mode, axis, s, starts in (
            ("linear", -2, (2, 5), ints(0, 1, 2)),
            ("circular", 1, (3, 5), ints(3, 2, 0)),
            ("linear", 2, (4, 2), ints(3, 0, 1)),
        )
    ),
    exact("cache_begin", "TensorScatter", [X, X[:, :1] * 2, None], opset=24, reference="onnx"),
]  # fmt: skip
ORDERS = [
    exact("best", "TopK", [X, ints(2)], (1,), outputs=2),
    exact("all_ties", "TopK", [TIES, ints(9)], (1,), outputs=2, axis=1),
    exact("ties", "TopK", [TIES, ints(4)], (1,), outputs=2, axis=1, largest=0),
    exact("whole", "TopK", [WHOLE, ints(3)], (1,), outputs=2, axis=0, opset=11),
    exact("bytes", "TopK", [WHOLE.astype(np.uint8), ints(2)], (1,), outputs=2, reference="onnx",
          opset=24),
    exact("best_10", "TopK", [X, ints(3)], (1,), outputs=2, axis=-2, opset=10),
    exact("best_1", "TopK", [X], outputs=2, opset=9, k=2),
    exact("sum", "CumSum", [WHOLE, np.int64(1)], (1,), opset=14),
    exact("sum_exclusive", "CumSum", [WHOLE, np.int64(0)], (1,), opset=14, exclusive=1),
    exact("sum_back", "CumSum", [WHOLE.astype(np.int32), np.int32(-1)], (1,), reverse=1, opset=11),
    exact("sum_both", "CumSum", [X, np.int64(2)], (1,), opset=14, reverse=1, exclusive=1),
    exact("product", "CumProd", [WHOLE.astype(np.int32), np.int64(1)], (1,), opset=26,
          reference="onnx"),
    exact("backward", "ReverseSequence", [X, ints(3, 0, 1, 2)]),
    exact("backward_rows", "ReverseSequence", [X, ints(4, 1, 2)], time_axis=1, batch_axis=0),
]  # fmt: skip
MATRICES = [
    exact("upper", "Trilu", [X]),
    exact("lower_up", "Trilu", [WHOLE, np.int64(1)], (1,), upper=0),
    exact("upper_down", "Trilu", [X, np.asarray(-2)]),
    exact("lower_bools", "Trilu", [X > 0, np.int64(0)], (1,), upper=0),
    exact("hot", "OneHot", [below(4, 2, 3), np.int64(4), np.float32([0, 1])], (1, 2)),
    exact("hot_floats", "OneHot", [np.float32([1, -3, 2, 9, -4]), np.float32(3), ints(2, 5)], (1,),
          reference=ints(2, 5, 2, 5, 2, 2, 2, 2, 5, 2, 2, 2, 2, 2, 2).reshape(5, 3)),
    exact("hot_axis", "OneHot", [below(5, 2, 3), ints(5), np.float32([3, -1])], (1,), axis=1),
    exact("hot_u8", "OneHot", [np.uint8([0, 3, 200]), ints(5), np.float32([0, 1])], (1, 2),
          reference=np.eye(5, dtype=np.float32)[[0, 3, 0]] * np.float32([[1], [1], [0]])),
    exact("crop", "CenterCropPad", [X, ints(2, 7, 2)], (1,), reference="onnx"),
    exact("crop_axes", "CenterCropPad", [X, ints(3, 2)], (1,), reference="onnx", axes=[-2, 0]),
    exact("compress", "Compress", [X, np.array([True, False, True])], (1,), axis=1),
    exact("compress_flat", "Compress", [X, np.array([False, True, True])], (1,)),
    Case("determinant", "Det", {}, [rng.normal(size=(2, 3, 4, 4)).astype(np.float32)], opset=18),
    Case("determinant_zero", "Det", {}, [np.ones((3, 3), np.float32)], opset=18),
    Case("images", "Col2Im", {"strides": [2, 1], "pads": [1, 0, 0, 1], "dilations": [1, 2]},
         [rng.normal(size=(2, 12, 9)).astype(np.float32), ints(5, 4), ints(2, 2)], (1, 2), 18,
         reference="onnx"),
]  # fmt: skip
CASES = GATHERS + SCATTERS + ORDERS + MATRICES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_indexing(case):
    compare(case, CASES)


OUTSIDE = [
    exact("gather_far", "Gather", [X, ints(3, -4, 2**62, -(2**63))], axis=0,
          reference=X[[2, 0, 2, 0]]),
    exact("elements_far", "GatherElements", [X[0, 0], ints(99, -99)], reference=X[0, 0, [4, 0]]),
    exact("nd_far", "GatherND", [X, ints(7, -7).reshape(1, 2)], reference=X[2:, 0]),
    exact("scatter_far", "ScatterND", [X[0, 0], ints(9).reshape(1, 1), np.float32([1.5])],
          reference=np.concatenate([X[0, 0, :4], np.float32([1.5])])),
    exact("cache_far", "TensorScatter", [X, X[:, :2] * 3, ints(9, -9, 3)], opset=24,
          reference=np.stack([
              np.concatenate([X[0, :2], X[0, :2] * 3]), np.concatenate([X[1, :2] * 3, X[1, 2:]]),
              np.concatenate([X[2, :2], X[2, :2] * 3])])),
    exact("backward_far", "ReverseSequence", [X, ints(99, -1, 0, 1)],
          reference=np.stack([X[::-1, 0], X[:, 1], X[:, 2], X[:, 3]], 1)),
]  # fmt: skip


@pytest.mark.parametrize("case", OUTSIDE, ids=str)
def test_what_lies_outside_is_bounded(case):
    compare(case, OUTSIDE)


FOLDED = [
    exact("nonzero", "NonZero", [WHOLE % 3], (0,)),
    exact("unique", "Unique", [ints(3, 1, 3, 2, 1)], (0,)),
    exact("unique_unsorted", "Unique", [ints(3, 1, 3, 2, 1)], (0,), sorted=0),
    exact("unique_rows", "Unique", [WHOLE[[1, 0, 1]]], (0,), axis=0),
    exact("eye", "EyeLike", [np.zeros((3, 5), np.float32)], (0,), k=1, dtype=6),
    exact(
        "boxes", "NonMaxSuppression",
        [rng.uniform(0, 3, size=(2, 30, 4)).astype(np.float32),
         rng.uniform(size=(2, 2, 30)).astype(np.float32),
         ints(7), np.float32([0.3]), np.float32([0.2])], (0, 1, 2, 3, 4),
    ),
    exact(
        "boxes_centered", "NonMaxSuppression",
        [rng.uniform(0.5, 3, size=(1, 30, 4)).astype(np.float32),
         rng.uniform(size=(1, 2, 30)).astype(np.float32), ints(9), np.float32([0.4])],
        (0, 1, 2, 3), center_point_box=1,
    ),
    *(
        exact(f"folded_{case.name}", case.op, case.inputs, range(len(case.inputs)), case.opset,
              reference=case.reference, outputs=1, **case.attributes)
        for case in CASES
        if case.op not in ("TopK", "CenterCropPad", "Compress", "Det", "Col2Im")
        if case.name != "hot_floats"
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", FOLDED, ids=str)
def test_evaluated_while_compiling(case):
    expected = reference_outputs(case)[0]
    actual = folded(case)
    assert actual.shape == expected.shape
    assert not EXACT(actual, expected)


@pytest.mark.parametrize("case", [case for case in ORDERS if case.op == "TopK"], ids=str)
def test_order_evaluated_while_compiling(case):
    x = np.asarray(case.inputs[0])
    values, indices = reference_outputs(case)
    axis, largest = case.attributes.get("axis", -1) % x.ndim, case.attributes.get("largest", 1)
    found = TopK(axis, values.shape[axis], bool(largest)).evaluate([x])
    assert found is not None
    assert not EXACT(found[0], values)
    assert not EXACT(found[1], indices)


REFUSED = [
    (InvalidModel, exact("float_index", "Gather", [X, X[0, 0]]), "indices of type"),
    (InvalidModel, exact("far", "Gather", [X, ints(3)], (1,)), "outside axis 0"),
    (InvalidModel, exact("scalar", "Gather", [np.float32(1), ints(0)]), "scalar"),
    (InvalidModel, exact("ranks", "GatherElements", [X, ints(0)]), "another rank"),
    (InvalidModel, exact("wide", "GatherElements", [X, below(3, 3, 5, 5)]), "for data of"),
    (InvalidModel, exact("deep", "GatherND", [X, below(2, 1, 4)]), "4 indices a tuple"),
    (InvalidModel, exact("batch", "GatherND", [X, below(2, 2, 1)], batch_dims=1), "differ"),
    (InvalidModel, exact("types", "ScatterND", [X, ints(0).reshape(1, 1), WHOLE[:1]]), "type"),
    (InvalidModel, exact("updates", "ScatterND", [X, ints(0).reshape(1, 1), X]), "of shape"),
    (
        InvalidModel,
        exact("sum", "ScatterND", [X, ints(0).reshape(1, 1), X[:1]], reduction="sum"),
        "not one of ONNX's",
    ),
    (InvalidModel, exact("many", "TopK", [X, ints(6)], (1,), outputs=2), "k = 6 of 5"),
    (DynamicShape, exact("any", "TopK", [X, ints(1)], outputs=2), "k is computed at run time"),
    (DynamicShape, exact("some", "NonZero", [X]), "decide the result's shape"),
    (DynamicShape, exact("which", "Compress", [X, X[0, 0] > 0]), "condition is computed"),
    (InvalidModel, exact("depth", "OneHot", [ints(1), ints(0), X[0, 0, :2]], (1,)), "depth"),
    (InvalidModel, exact("lengths", "ReverseSequence", [X, ints(1)]), "lengths"),
    (InvalidModel, exact("vector", "Trilu", [X[0, 0]]), "matrices"),
    (InvalidModel, exact("oblong", "Det", [X]), "square"),
    (
        UnsupportedFeature,
        exact("truths", "ScatterND", [X[0, 0] > 0, ints(0).reshape(1, 1), X[0, 0, :1] > 0],
              reduction="add"),
        "truth values",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("error", "case", "match"), REFUSED, ids=lambda v: str(v)[:20])
def test_refused(error, case, match):
    refuse(error, case, match)
