"""Tensors without elements: as inputs and outputs, and on the way."""

from __future__ import annotations

import numpy as np
import pytest
from cases import Case, compare, feeds_of, model_of, refuse, run
from tolerance import EXACT

from nn2wasm.errors import UnsupportedFeature

rng = np.random.default_rng(3)
NOTHING = np.zeros((2, 0, 4), np.float32)
NO_AXES = np.zeros(0, np.int64)
X = rng.normal(size=(2, 3, 4)).astype(np.float32)
CASES = [
    *(
        Case(name, name, {}, [NOTHING, np.int64([1])], (1,), 18, tolerance=EXACT, reference=whole)
        for name, whole in (
            ("ReduceSum", np.zeros((2, 1, 4), np.float32)),
            ("ReduceProd", np.ones((2, 1, 4), np.float32)),
            ("ReduceMax", np.full((2, 1, 4), -np.inf, np.float32)),
            ("ReduceMin", np.full((2, 1, 4), np.inf, np.float32)),
        )
    ),
    Case("all_axes", "ReduceMax", {}, [X, NO_AXES], opset=18, tolerance=EXACT,
         reference=X.max(keepdims=True)),
    Case("rest_of_nothing", "ReduceSum", {}, [NOTHING, np.int64([2])], (1,), 18, tolerance=EXACT,
         reference=np.zeros((2, 0, 1), np.float32)),
    Case("slice", "Slice", {}, [X, np.int64([3]), np.int64([9]), np.int64([1])], (1, 2, 3),
         opset=18, tolerance=EXACT, reference=X[:, 3:]),
    Case("concat", "Concat", {"axis": 1}, [NOTHING, X, NOTHING, X], opset=18, tolerance=EXACT,
         reference=np.concatenate([X, X], 1)),
    Case("gather", "Gather", {"axis": 1}, [X, NO_AXES], opset=18, tolerance=EXACT,
         reference=X[:, :0]),
    Case("add", "Add", {}, [NOTHING, X[:, :1]], opset=18, tolerance=EXACT, reference=NOTHING),
]  # fmt: skip


@pytest.mark.parametrize("target", ["wasm", "c"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_empty(case: Case, target: str) -> None:
    compare(case, CASES, target)


def test_parts_of_which_one_is_empty() -> None:
    split = Case("split", "Split", {"axis": 1}, [X, np.int64([3, 0])], (1,), 18, outputs=2)
    answers = run(model_of([split]), feeds_of([split]))
    assert (answers["split_y0"] == X).all()
    assert answers["split_y1"].shape == (2, 0, 4)


def test_sums_over_nothing_beside_run_time_values_are_refused() -> None:
    product = Case("product", "MatMul", {}, [X[:, :, :0], np.zeros((0, 5), np.float32)], (1,))
    (answer,) = run(model_of([product]), feeds_of([product])).values()
    assert answer.shape == (2, 3, 5)
    assert not answer.any()
    scattered = [X[0], np.zeros((0, 1), np.int64), np.zeros((0, 4), np.float32)]
    refuse(UnsupportedFeature, Case("scatter", "ScatterND", {}, scattered), "without elements")
