from __future__ import annotations

import numpy as np
import pytest
from cases import Case, compare, folded, refuse
from onnx import TensorProto, helper
from tolerance import EXACT

from nn2wasm.errors import UnsupportedFeature

SOURCES = {
    "f32": np.float32([0, -0.0, 0.49, -0.51, 1.5, -1.5, 2.5, 99.99, -99.99, 126.9]),
    "f64": np.float64([0, -0.0, 0.49, -0.51, 1.5, -1.5, 0.1, 99.99, -99.99, 126.9]),
    "s32": np.int32([0, 1, -1, 127, -128, 2**31 - 1, -(2**31), 16777217, 77, -77]),
    "s64": np.int64([0, 1, -1, 127, -128, 2**31 - 1, -(2**31), 2**40 + 5, -(2**40), 9]),
    "s8": np.int8([0, 1, -1, 127, -128, 5, 6, 7, 8, 9]),
    "u8": np.uint8([0, 1, 255, 127, 128, 5, 6, 7, 8, 9]),
    "s16": np.int16([0, 1, -1, 32767, -32768, 5, 6, 7, 8, 9]),
    "bool": np.array([True, False] * 5),
}
TARGETS = {
    "f32": np.float32,
    "f64": np.float64,
    "s32": np.int32,
    "s64": np.int64,
    "s8": np.int8,
    "u8": np.uint8,
    "s16": np.int16,
    "u16": np.uint16,
    "u32": np.uint32,
    "bool": np.bool_,
}


def cast(source: str, target: str) -> Case:
    x, dtype = SOURCES[source], np.dtype(TARGETS[target])
    if source in ("f32", "f64") and target in ("u8", "u16", "u32"):
        x = np.abs(x)
    code = helper.np_dtype_to_tensor_dtype(dtype)
    return Case(
        f"{source}_to_{target}",
        "Cast",
        {"to": code},
        [x],
        tolerance=EXACT,
        reference=x.astype(dtype),
    )


CASES = [cast(a, b) for a in SOURCES for b in TARGETS if a != b]
EDGES = np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30, 2147483648.0, -2147483648.0, 300, -300])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cast(case: Case) -> None:
    compare(case, CASES)


def outside(target: str) -> Case:
    """Beyond the range C leaves it open; the nearest end is the same everywhere."""
    dtype = np.dtype(TARGETS[target])
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        expected = [
            0 if np.isnan(v) else int(np.clip(np.float64(v), limits.min, limits.max)) for v in EDGES
        ]
    code = helper.np_dtype_to_tensor_dtype(dtype)
    return Case(
        f"outside_{target}",
        "Cast",
        {"to": code},
        [EDGES],
        tolerance=EXACT,
        reference=np.asarray(expected, object).astype(dtype),
    )


OUTSIDE = [outside(target) for target in ("s8", "u8", "s16", "u16", "s32", "u32")]


@pytest.mark.parametrize("case", OUTSIDE, ids=str)
def test_out_of_range_saturates(case: Case) -> None:
    compare(case, OUTSIDE)


@pytest.mark.parametrize("case", OUTSIDE, ids=str)
def test_folded_alike(case: Case) -> None:
    constant = Case(case.name, case.op, case.attributes, case.inputs, constants=(0,))
    np.testing.assert_array_equal(folded(constant), case.reference)


LIKE = [
    Case("like", "CastLike", {}, [SOURCES["f32"], np.int32([1])], constants=(1,), tolerance=EXACT),
    Case("same", "Cast", {"to": TensorProto.FLOAT}, [SOURCES["f32"]], tolerance=EXACT),
]


@pytest.mark.parametrize("case", LIKE, ids=str)
def test_cast_like_and_the_same_type(case: Case) -> None:
    compare(case, LIKE)


def test_refused() -> None:
    x = np.float32([1])
    refuse(UnsupportedFeature, Case("bad", "Cast", {"to": TensorProto.STRING}, [x]), "to strings")
    refuse(UnsupportedFeature, Case("bad", "Cast", {"to": 77}, [x]), "code 77")
