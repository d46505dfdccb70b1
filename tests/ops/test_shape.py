from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, refuse
from tolerance import EXACT

from nn2wasm.errors import InvalidModel, UnsupportedFeature

rng = np.random.default_rng(43)
X = rng.normal(size=(2, 1, 3, 4)).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, np.int64)


def viewed(
    name: str, op: str, inputs: list[Any], opset: int = 18, outputs: int = 1, **attributes: Any
) -> Case:
    return Case(
        name,
        op,
        attributes,
        inputs,
        tuple(range(1, len(inputs))),
        opset,
        tolerance=EXACT,
        outputs=outputs,
    )


CASES = [
    viewed("reshape", "Reshape", [X, ints(6, 4)]),
    viewed("reshape_rest", "Reshape", [X, ints(2, -1)]),
    viewed("reshape_keep", "Reshape", [X, ints(0, 0, -1)]),
    viewed("reshape_scalarless", "Reshape", [X[:1, :, :1, :1], ints(1)]),
    viewed("reshape_5", "Reshape", [X, ints(3, 8)], opset=7),
    viewed("reshape_13", "Reshape", [X, ints(3, 8)], opset=13),
    viewed("flatten", "Flatten", [X]),
    viewed("flatten_0", "Flatten", [X], axis=0),
    viewed("flatten_last", "Flatten", [X], axis=4),
    viewed("flatten_negative", "Flatten", [X], axis=-1),
    viewed("flatten_7", "Flatten", [X], opset=7, axis=2),
    viewed("squeeze_7", "Squeeze", [X], opset=7, axes=[1]),
    viewed("squeeze_11", "Squeeze", [X], opset=11, axes=[-3]),
    viewed("squeeze_13", "Squeeze", [X, ints(1)], opset=13),
    viewed("squeeze_all", "Squeeze", [X]),
    viewed("unsqueeze_7", "Unsqueeze", [X], opset=7, axes=[0, 3]),
    viewed("unsqueeze_11", "Unsqueeze", [X], opset=11, axes=[-1]),
    viewed("unsqueeze_13", "Unsqueeze", [X, ints(5, 0)], opset=13),
    viewed("identity", "Identity", [X]),
    viewed("dropout_7", "Dropout", [X], opset=7, ratio=0.3),
    viewed("dropout_10", "Dropout", [X], opset=10, ratio=0.3),
    viewed("dropout_12", "Dropout", [X, np.float32(0.3)], opset=12),
    viewed("dropout_13", "Dropout", [X, np.float32(0.3), np.asarray(False)], opset=13),
    viewed("shape", "Shape", [X]),
    viewed("shape_part", "Shape", [X], start=1, end=-1),
    viewed("shape_13", "Shape", [X], opset=13),
    viewed("size", "Size", [X]),
    Case("constant_of_shape", "ConstantOfShape", {}, [ints(2, 3)], (0,), 18, tolerance=EXACT),
    Case(
        "range",
        "Range",
        {},
        [np.float32(1), np.float32(4), np.float32(0.5)],
        (0, 1, 2),
        18,
        tolerance=EXACT,
    ),
    Case(
        "range_back",
        "Range",
        {},
        [np.int64(5), np.int64(-3), np.int64(-2)],
        (0, 1, 2),
        18,
        tolerance=EXACT,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_views_and_shapes(case: Case) -> None:
    compare(case, CASES)


def test_refused() -> None:
    refuse(InvalidModel, viewed("bad", "Reshape", [X, ints(5, 5)]), "elements|shape|dimension")
    refuse(InvalidModel, viewed("bad", "Reshape", [X, ints(-1, -1)]), "-1|dim")
    refuse(InvalidModel, viewed("bad", "Squeeze", [X, ints(2)]), "size 1|dimension|shape")
    training = [X, np.float32(0.5), np.asarray(True)]
    refuse(UnsupportedFeature, viewed("bad", "Dropout", training), "training")
