from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, refuse
from tolerance import APPROX, CLOSE

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature

rng = np.random.default_rng(24)


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    return rng.uniform(0.1, 2, shape).astype(np.float32)


def batch(name: str, x: tuple[int, ...], **more: Any) -> Case:
    c = x[1]
    inputs = [floats(*x), floats(c), floats(c), floats(c), positive(c)]
    return Case(name, "BatchNormalization", more, inputs, (1, 2, 3, 4))


def affine(
    name: str, op: str, x: np.ndarray, shape: tuple[int, ...], opset: int = 17, **more: Any
) -> Case:
    constants = more.pop("constants", (1, 2))
    reference = more.pop("reference", "ort")
    inputs = [x, floats(*shape), floats(*shape)]
    if op == "RMSNormalization":
        inputs.pop()
    return Case(name, op, more, inputs, constants, opset, reference=reference)


CASES = [
    batch("image", (2, 3, 4, 5)),
    batch("matrix", (4, 6)),
    batch("line", (1, 3, 8), epsilon=0.1),
    affine("instance", "InstanceNormalization", floats(2, 3, 4, 5), (3,)),
    affine("instance_line", "InstanceNormalization", floats(2, 3, 9), (3,), epsilon=0.01),
    affine("instance_far", "InstanceNormalization", floats(1, 2, 8, 8) + 100, (2,)),
    affine("layer", "LayerNormalization", floats(2, 3, 16), (16,)),
    affine("layer_axis", "LayerNormalization", floats(2, 3, 4, 5), (4, 5), axis=2, epsilon=1e-3),
    affine("layer_all", "LayerNormalization", floats(3, 4), (3, 4), axis=0),
    affine(
        "layer_broadcast", "LayerNormalization", floats(2, 3, 4), (1, 4), axis=1, reference="onnx"
    ),
    affine("layer_run_time", "LayerNormalization", floats(2, 3, 4), (4,), constants=()),
    Case("layer_plain", "LayerNormalization", {}, [floats(3, 7), floats(7)], (1,)),
    affine(
        "group_18",
        "GroupNormalization",
        floats(2, 6, 3, 4),
        (3,),
        opset=18,
        num_groups=3,
        reference="onnx",
    ),
    affine(
        "group_21",
        "GroupNormalization",
        floats(2, 6, 3, 4),
        (6,),
        opset=21,
        num_groups=3,
        reference="onnx",
    ),
    affine("rms", "RMSNormalization", floats(2, 3, 16), (16,), opset=23, reference="onnx"),
    Case("mean_variance", "MeanVarianceNormalization", {}, [floats(2, 3, 4, 5)]),
    Case(
        "mean_variance_axes",
        "MeanVarianceNormalization",
        {"axes": [1]},
        [floats(2, 3, 4, 5)],
        reference="onnx",
    ),
    Case("l2", "LpNormalization", {"axis": 1}, [floats(3, 4, 5)]),
    Case("l1", "LpNormalization", {"axis": -1, "p": 1}, [floats(3, 4, 5)], reference="ort"),
    Case(
        "l2_zero",
        "LpNormalization",
        {},
        [np.float32([[0, 0, 0], [3, 0, 4]])],
        reference=np.float32([[0, 0, 0], [0.6, 0, 0.8]]),
    ),
    Case("lrn", "LRN", {"size": 5}, [floats(2, 9, 3, 4)]),
    Case(
        "lrn_beta", "LRN", {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 2.0}, [floats(1, 4, 3, 4)]
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float(case: Case, target: str) -> None:
    compare(case, CASES, target)


STATISTICS = [
    Case(f"statistics_{axis}", "LayerNormalization", {"axis": axis}, [floats(*shape), *affine_of],
         outputs=3)
    for axis, shape, affine_of in (
        (-1, (2, 3, 8), [floats(8), floats(8)]), (1, (2, 3, 8), [floats(3, 8)]),
    )
]  # fmt: skip


@pytest.mark.parametrize("case", STATISTICS, ids=str)
def test_mean_and_inverse_deviation(case: Case) -> None:
    compare(case, STATISTICS)


def test_refused() -> None:
    x, c = floats(1, 3, 4, 4), [floats(3), floats(3), floats(3), positive(3)]

    def bad(
        op: str, inputs: list[np.ndarray], constants: tuple[int, ...] = (1, 2, 3, 4), **more: Any
    ) -> Case:
        return Case("bad", op, more, inputs, constants, more.pop("opset", 17))

    refuse(InvalidModel, bad("BatchNormalization", [x, floats(4), *c[1:]]), "scale")
    refuse(UnsupportedFeature, bad("BatchNormalization", [x, *c], training_mode=1), "training")
    refuse(DynamicShape, bad("BatchNormalization", [x, *c], ()), "scale")
    refuse(InvalidModel, bad("InstanceNormalization", [x, floats(2), floats(3)]), "values")
    refuse(InvalidModel, bad("LayerNormalization", [x, floats(4), floats(4)], axis=5), "axis 5")
    refuse(InvalidModel, bad("LayerNormalization", [x, floats(3), floats(3)]), "broadcast")
    refuse(InvalidModel, bad("LpNormalization", [x], p=3), "p = 3")
    refuse(InvalidModel, bad("LRN", [x], size=0), "size 0")
    groups = bad("GroupNormalization", [x, floats(2), floats(2)], num_groups=2, opset=18)
    refuse(InvalidModel, groups, "num_groups")


def test_tolerances_are_ordered() -> None:
    one = np.float32([1.0])
    assert not CLOSE(one, one)
    assert not APPROX(one, one)
