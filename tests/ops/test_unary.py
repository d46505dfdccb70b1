from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, compare_between_quantizers, refuse
from tolerance import CLOSE, EXACT, ONE_STEP, Tolerance, ulp

from nn2wasm.errors import UnsupportedFeature

rng = np.random.default_rng(17)
GRID = np.concatenate([np.linspace(-9, 9, 241), [0.0, -0.0, 1e-20, -1e-20, 30.0, -30.0]]).astype(
    np.float32
)
POSITIVE = np.exp(rng.uniform(-20, 20, 300)).astype(np.float32)

FUNCTIONS: list[tuple[str, dict[str, Any], np.ndarray, Tolerance]] = [
    ("Relu", {}, GRID, EXACT),
    ("LeakyRelu", {"alpha": 0.3}, GRID, EXACT),
    ("LeakyRelu", {}, GRID, EXACT),
    ("ThresholdedRelu", {"alpha": 0.7}, GRID, EXACT),
    ("Sigmoid", {}, GRID, CLOSE),
    ("Tanh", {}, GRID, CLOSE),
    ("HardSigmoid", {}, GRID, CLOSE),
    ("HardSigmoid", {"alpha": 0.1666, "beta": 0.4}, GRID, CLOSE),
    ("HardSwish", {}, GRID, CLOSE),
    ("Elu", {"alpha": 0.5}, GRID, CLOSE),
    ("Selu", {}, GRID, CLOSE),
    ("Softplus", {}, GRID, CLOSE),
    ("Softsign", {}, GRID, CLOSE),
    ("Mish", {}, GRID, CLOSE),
    ("Exp", {}, GRID, CLOSE),
    ("Log", {}, POSITIVE, CLOSE),
    ("Sqrt", {}, POSITIVE, EXACT),
    ("Reciprocal", {}, POSITIVE, ulp(1)),
    ("Erf", {}, GRID, CLOSE),
    ("Abs", {}, GRID, EXACT),
    ("Neg", {}, GRID, EXACT),
    ("Floor", {}, GRID, EXACT),
    ("Ceil", {}, GRID, EXACT),
    ("Round", {}, (np.arange(-40, 41) / 4).astype(np.float32), EXACT),
    ("Sign", {}, GRID, EXACT),
]
CASES = [
    Case(f"{op.lower()}_{index}", op, attributes, [x], tolerance=near, opset=18)
    for index, (op, attributes, x, near) in enumerate(FUNCTIONS)
]
CLIPS = [
    Case("clip_6", "Clip", {"min": -1.0, "max": 2.5}, [GRID], opset=7, tolerance=EXACT),
    Case("clip_10", "Clip", {"min": 0.0, "max": 6.0}, [GRID], opset=10, tolerance=EXACT),
    Case("clip_min_only_10", "Clip", {"min": 0.5}, [GRID], opset=10, tolerance=EXACT),
    Case(
        "clip_11",
        "Clip",
        {},
        [GRID, np.float32(-1), np.float32(2)],
        (1, 2),
        opset=11,
        tolerance=EXACT,
    ),
    Case(
        "clip_max_only_11", "Clip", {}, [GRID, None, np.float32(2)], (2,), opset=11, tolerance=EXACT
    ),
    Case("clip_13", "Clip", {}, [GRID, np.float32(0)], (1,), opset=13, tolerance=EXACT),
    Case("clip_none_13", "Clip", {}, [GRID], opset=13, tolerance=EXACT),
    Case(
        "clip_crossed",
        "Clip",
        {},
        [GRID, np.float32(3), np.float32(1)],
        (1, 2),
        opset=13,
        tolerance=EXACT,
        reference=np.ones_like(GRID),
    ),
    *(
        Case(f"relu_{opset}", "Relu", {}, [GRID], opset=opset, tolerance=EXACT)
        for opset in (7, 13, 14)
    ),
    *(Case(f"sigmoid_{opset}", "Sigmoid", {}, [GRID], opset=opset) for opset in (7, 13)),
]
ALL = CASES + CLIPS


@pytest.mark.parametrize("case", ALL, ids=str)
def test_float(case: Case, target: str) -> None:
    compare(case, ALL, target)


TABLES = [
    "Sigmoid",
    "Tanh",
    "HardSwish",
    "LeakyRelu",
    "Elu",
    "Exp",
    "Relu",
    "Abs",
    "Neg",
    "Softplus",
    "Erf",
]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("op", TABLES)
def test_between_quantizers_is_a_table(op: str, dtype: type) -> None:
    limits = np.iinfo(dtype)
    x = np.arange(limits.min, limits.max + 1).astype(dtype).reshape(4, 64)
    case = Case("table", op, {}, [x], tolerance=ONE_STEP, opset=22)
    compare_between_quantizers(case, {0: (0.043, 3)}, (0.0117, int(limits.min) + 90), dtype)


def test_refused() -> None:
    refuse(UnsupportedFeature, Case("bad", "Exp", {}, [np.int32([1])], opset=14), "s32")
