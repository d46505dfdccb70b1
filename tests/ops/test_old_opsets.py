"""Forms that operators had before opset 7; onnxruntime no longer reads them."""

from __future__ import annotations

import numpy as np
import pytest
from cases import Case, compare, model_of
from tolerance import EXACT

from nn2wasm.api import plan_model
from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.target import find_target

RNG = np.random.default_rng(6)


def values(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


X, C, HW, CH = values(2, 3, 4, 5), values(3), values(4, 5), values(3, 4)
SLOPE = values(3)
ALONG = {"broadcast": 1, "axis": 1}
CASES = [
    Case("axis", "Add", ALONG, [X, C], reference=X + C[:, None, None]),
    Case("two", "Mul", ALONG, [X, CH], reference=X * CH[:, :, None]),
    Case("before", "Sub", {"broadcast": 1, "axis": -3}, [X, CH], reference=X - CH[:, :, None]),
    Case("end", "Add", {"broadcast": 1}, [X, HW], reference=X + HW),
    Case("scalar", "Div", {"broadcast": 1}, [X, np.float32([2])], [1], reference=X / 2),
    Case("same", "Add", {}, [X, X], reference=X + X),
    Case("less", "Less", ALONG, [X, C], tolerance=EXACT,
         reference=np.less(X, C[:, None, None])),
    Case("slope", "PRelu", {}, [X, SLOPE], [1],
         reference=np.where(X < 0, X * SLOPE[:, None, None], X)),
    Case("pads", "Pad", {"pads": [0, 0, 1, 0, 0, 0, 0, 2]}, [X],
         reference=np.pad(X, ((0, 0), (0, 0), (1, 0), (0, 2)))),
    Case("tile", "Tile", {}, [X, np.int64([2]), np.int64([1])], [1, 2],
         reference=np.tile(X, (1, 2, 1, 1))),
    Case("cast", "Cast", {"to": "INT32"}, [X], reference=X.astype(np.int32)),
    Case("dropout", "Dropout", {"is_test": 1}, [X], reference=X),
    Case("reshape", "Reshape", {"shape": [6, -1]}, [X], reference=X.reshape(6, -1)),
    Case("upsample", "Upsample", {"height_scale": 2.0, "width_scale": 3.0}, [X],
         reference=X.repeat(2, 2).repeat(3, 3)),
]  # fmt: skip
OPSETS = {"pads": 2, "tile": 1, "cast": 1, "reshape": 1, "upsample": 1}
CASES = [
    Case(
        case.name, case.op, case.attributes, case.inputs, case.constants, OPSETS.get(case.name, 6),
        tolerance=case.tolerance, reference=case.reference,
    )
    for case in CASES
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_old_forms(case):
    compare(case, [each for each in CASES if each.opset == case.opset])


@pytest.mark.parametrize(
    ("case", "error", "text"),
    [
        (Case("bad", "Add", {}, [X, HW], opset=6), InvalidModel, "does not broadcast"),
        (Case("bad", "Add", {"broadcast": 1, "axis": 3}, [X, CH], opset=6), InvalidModel, "axis 3"),
        (Case("bad", "Add", {"broadcast": 1, "axis": 2}, [X, CH], opset=6), InvalidModel, "broadc"),
        (Case("bad", "Cast", {"to": "NUMBER"}, [X], opset=1), UnsupportedFeature, "element type"),
        (Case("bad", "Dropout", {}, [X], opset=6), UnsupportedFeature, "training"),
        (Case("bad", "Tile", {}, [X, np.int64([2]), np.int64([4])], [1, 2], opset=1),
         InvalidModel, "axis 4"),
    ],
)  # fmt: skip
def test_what_they_cannot_mean(case, error, text):
    model = model_of([case]).SerializeToString()
    with pytest.raises(error, match=text):
        plan_model(model, find_target("wasm"))
