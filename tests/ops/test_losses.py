"""Losses of classifiers against the onnx package's own definition."""

from __future__ import annotations

import numpy as np
import pytest
from bench import rng
from cases import Case, compare, refuse
from tolerance import CLOSE, EXACT

from nn2wasm.errors import InvalidModel


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


FLAT, DEEP = (5, 4), (2, 3, 4, 5)
WEIGHTS = {FLAT: np.float32([0.2, 1, 3, 0]), DEEP: np.float32([0.5, 2, 1])}


def targets(shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, shape[1], (shape[0], *shape[2:]))


CASES = [
    Case(
        f"{op}_{len(shape)}_{reduction}_{weighted}_{ignore}",
        {"nll": "NegativeLogLikelihoodLoss", "sce": "SoftmaxCrossEntropyLoss"}[op],
        {"reduction": reduction, **({} if ignore is None else {"ignore_index": ignore})},
        [floats(*shape), targets(shape), *([WEIGHTS[shape]] if weighted else [])],
        opset=13,
        tolerance=CLOSE,
        reference="onnx",
    )
    for op in ("nll", "sce")
    for shape in (FLAT, DEEP)
    for reduction in ("none", "sum", "mean")
    for weighted in (False, True)
    for ignore in (None, 1)
]
TIES = rng.integers(0, 3, (3, 4, 5)).astype(np.float32)
LARGEST = [
    Case(f"hardmax_{opset}_{axis}", "Hardmax", {"axis": axis}, [TIES], opset=opset, tolerance=EXACT)
    for opset in (11, 13)
    for axis in (0, 1, -1)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_losses(case):
    compare(case, CASES)


@pytest.mark.parametrize("case", LARGEST, ids=str)
def test_hardmax(case):
    compare(case, LARGEST)


def test_targets_outside_the_classes_count_nothing():
    scores, wild = floats(3, 4), np.int64([1, 99, -7])
    expected = np.float32([-scores[0, 1], 0, 0])
    case = Case("wild", "NegativeLogLikelihoodLoss", {"reduction": "none"}, [scores, wild],
                opset=13, reference=expected)  # fmt: skip
    compare(case, [case])


@pytest.mark.parametrize(
    ("inputs", "attributes", "error", "text"),
    [
        ([floats(3, 4), np.int64([1, 2])], {}, InvalidModel, "one for each sample"),
        ([floats(3), np.int64([1, 2, 0])], {}, InvalidModel, "one for each sample"),
        ([floats(3, 4), floats(3)], {}, InvalidModel, "not classes"),
        ([floats(3, 4), np.int64([1, 2, 0]), floats(3)], {}, InvalidModel, "one for each class"),
        ([floats(3, 4), np.int64([1, 2, 0])], {"reduction": "max"}, InvalidModel, "reduction"),
    ],
)
def test_what_is_no_loss(inputs, attributes, error, text):
    case = Case("bad", "NegativeLogLikelihoodLoss", attributes, inputs, opset=13)
    refuse(error, case, text)
