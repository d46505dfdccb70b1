from __future__ import annotations

import numpy as np
import pytest
from cases import Case, compare, compare_between_quantizers, folded, refuse
from tolerance import CLOSE, EXACT, ONE_STEP

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature

rng = np.random.default_rng(21)
SUMS = ("ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")
EVERY = (*SUMS, "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSum")


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def case(name: str, op: str, x: np.ndarray, axes: list[int] | None, **more: object) -> Case:
    """With the axes where the opset (13 or 18) wants them."""
    opset = int(more.pop("opset", 13))  # type: ignore[call-overload]
    by_input = opset >= 18 or op == "ReduceSum"
    attributes = {key: value for key, value in more.items() if key in ATTRIBUTES}
    rest = {key: value for key, value in more.items() if key not in ATTRIBUTES}
    inputs = [x]
    if axes is not None and by_input:
        inputs.append(np.asarray(axes, np.int64))
    elif axes is not None:
        attributes["axes"] = axes
    return Case(name, op, attributes, inputs, constants=(1,), opset=opset, **rest)  # type: ignore[arg-type]


ATTRIBUTES = ("keepdims", "noop_with_empty_axes")
CASES = [
    case(
        f"{op}_{name}_{opset}",
        op,
        np.abs(x) if op == "ReduceLogSum" else x,
        axes,
        opset=opset,
        **more,
    )
    for op in EVERY
    for opset in (13, 18)
    for name, x, axes, more in (
        ("all", floats(3, 4, 5), None, {}),
        ("flat", floats(3, 4, 5), None, {"keepdims": 0}),
        ("last", floats(3, 4, 5), [-1], {"keepdims": 0}),
        ("middle", floats(3, 4, 5), [1], {}),
        ("first", floats(3, 4, 5), [0], {"keepdims": 0}),
        ("apart", floats(3, 4, 5, 2), [0, 2], {}),
        ("image", floats(2, 3, 4, 5), [2, 3], {}),
        ("image_flat", floats(2, 3, 4, 5), [-1, -2], {"keepdims": 0}),
    )
] + [
    case("long_mean", "ReduceMean", floats(1, 20000), [1]),
    case("noop_sum", "ReduceSum", floats(3, 4), [], noop_with_empty_axes=1, tolerance=EXACT),
    case(
        "noop_l1", "ReduceL1", floats(3, 4), [], noop_with_empty_axes=1, opset=18, reference="onnx"
    ),
    case("empty_means_all", "ReduceMax", floats(3, 4), [], opset=18, tolerance=EXACT),
    case(
        "sum_s32", "ReduceSum", rng.integers(-99, 99, (3, 4)).astype(np.int32), [1], tolerance=EXACT
    ),
    case("max_s64", "ReduceMax", rng.integers(-99, 99, (3, 4)), [0], tolerance=EXACT),
    case("min_s64", "ReduceMin", rng.integers(-99, 99, (3, 4)), [0], tolerance=EXACT),
    case(
        "prod_s32", "ReduceProd", rng.integers(-9, 9, (3, 4)).astype(np.int32), [0], tolerance=EXACT
    ),
    case(
        "max_u8", "ReduceMax", rng.integers(0, 256, (3, 4)).astype(np.uint8), [0], tolerance=EXACT
    ),
    case(
        "min_s8", "ReduceMin", rng.integers(-128, 128, (3, 4)).astype(np.int8), [1], tolerance=EXACT
    ),
    case("log_sum_exp_huge", "ReduceLogSumExp", floats(3, 4) * 1000, [1]),
]


@pytest.mark.parametrize("example", CASES, ids=str)
def test_float_and_integer(example: Case, target: str) -> None:
    compare(example, CASES, target)


TIES = np.float32([[1, 3, 3, 0], [0, 0, 0, 0], [5, 1, 5, 5]])
ARGUMENTS = [
    Case(
        f"{op}_{axis}_{last}_{keep}_{x.dtype}",
        op,
        {"axis": axis, "select_last_index": last, "keepdims": keep},
        [x],
        tolerance=EXACT,
    )
    for op in ("ArgMax", "ArgMin")
    for axis in (0, -1)
    for last in (0, 1)
    for keep, x in (
        (1, TIES),
        (0, TIES),
        (1, rng.integers(0, 3, (4, 5)).astype(np.int32)),
        (0, rng.integers(0, 3, (4, 5)).astype(np.uint8)),
    )
    if x.dtype != np.uint8 or op == "ArgMax"
]


@pytest.mark.parametrize("example", ARGUMENTS, ids=str)
def test_index_of_the_extreme(example: Case) -> None:
    compare(example, ARGUMENTS)


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32])
def test_constants_are_folded(op: str, dtype: type) -> None:
    """Shapes are computed from constants with them: no code is left."""
    if op in ("ReduceL2", "ReduceLogSum", "ReduceLogSumExp") and dtype is not np.float32:
        return
    x = rng.integers(1, 9, (3, 4)).astype(dtype)
    axes = [np.asarray([1], np.int64)]
    example = Case(
        "folded", op, {"keepdims": 0}, [x, *axes], constants=(0, 1), opset=18, reference="onnx"
    )
    expected = {
        "ReduceMean": lambda: np.trunc(x.mean(1)) if dtype is not np.float32 else x.mean(1),
        "ReduceSum": lambda: x.sum(1),
        "ReduceL1": lambda: np.abs(x).sum(1),
        "ReduceL2": lambda: np.sqrt(np.square(x).sum(1)),
        "ReduceSumSquare": lambda: np.square(x).sum(1),
        "ReduceLogSumExp": lambda: np.log(np.exp(x).sum(1)),
        "ReduceMax": lambda: x.max(1),
        "ReduceMin": lambda: x.min(1),
        "ReduceProd": lambda: x.prod(1),
        "ReduceLogSum": lambda: np.log(x.sum(1)),
    }[op]()
    value = folded(example)
    assert value.dtype == dtype
    assert not CLOSE(value, expected.astype(dtype))


QUANTIZED = [
    (op, axes, keep)
    for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
    for axes in ([2, 3], [1], [3], [1, 2, 3])
    for keep in (0, 1)
]


@pytest.mark.parametrize(("op", "axes", "keep"), QUANTIZED)
def test_between_quantizers(op: str, axes: list[int], keep: int) -> None:
    dtype = np.uint8 if keep else np.int8
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, (2, 3, 4, 5)).astype(dtype)
    inputs = [x, np.asarray(axes, np.int64)]
    selects = op in ("ReduceMax", "ReduceMin")
    example = Case(
        "reduced",
        op,
        {"keepdims": keep},
        inputs,
        opset=19,
        tolerance=EXACT if selects else ONE_STEP,
    )
    x_quant = (0.05, 10 + int(limits.min))
    y_quant = x_quant if selects else (0.21 if op == "ReduceSum" else 0.017, 120 + int(limits.min))
    compare_between_quantizers(example, {0: x_quant}, y_quant, dtype)


def test_refused() -> None:
    x = floats(2, 3)
    refuse(InvalidModel, case("bad", "ReduceMax", x, [2]), "axis 2")
    refuse(InvalidModel, case("bad", "ReduceSum", x, [1, -1]), "twice")
    refuse(UnsupportedFeature, case("bad", "ReduceMean", x.astype(np.int32), [1]), "s32")
    refuse(InvalidModel, Case("bad", "ArgMax", {"axis": 3}, [x]), "axis 3")
    axes = np.asarray([1], np.int64)
    refuse(DynamicShape, Case("bad", "ReduceSum", {}, [x, axes]), "axes")
