from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import Case, compare, compare_between_quantizers, refuse
from tolerance import APPROX, CLOSE, EXACT, ONE_STEP

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature

rng = np.random.default_rng(22)
MODES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
X = rng.normal(size=(2, 3, 6, 9)).astype(np.float32)
NO_ROI = np.zeros(0, np.float32)


def is_whole(mode: str, scales: list[float]) -> bool:
    """Whether implementations agree: with align_corners only on whole lengths."""
    lengths = np.float32(scales) * np.float32(X.shape)
    return mode != "align_corners" or bool((lengths == np.floor(lengths)).all())


def scaled(name: str, x: np.ndarray, scales: list[float], **attributes: object) -> Case:
    tolerance = EXACT if attributes.get("mode", "nearest") == "nearest" else CLOSE
    inputs = [x, NO_ROI, np.asarray(scales, np.float32)]
    opset = int(attributes.pop("opset", 19))  # type: ignore[call-overload]
    return Case(name, "Resize", attributes, inputs, (1, 2), opset, tolerance=tolerance)


def sized(name: str, x: np.ndarray, sizes: list[int], **attributes: object) -> Case:
    tolerance = EXACT if attributes.get("mode", "nearest") == "nearest" else CLOSE
    inputs = [x, None, None, np.asarray(sizes, np.int64)]
    opset = int(attributes.pop("opset", 19))  # type: ignore[call-overload]
    return Case(name, "Resize", attributes, inputs, (3,), opset, tolerance=tolerance)


CASES = (
    [
        scaled(
            f"nearest_{mode}_{rounding}_{i}",
            X,
            scales,
            mode="nearest",
            nearest_mode=rounding,
            coordinate_transformation_mode=mode,
        )
        for mode in MODES[:4]
        for rounding in ROUNDINGS
        for i, scales in enumerate(([1, 1, 2, 2], [1, 1, 0.5, 1 / 3], [1, 1, 1.7, 0.6]))
        if is_whole(mode, scales)
    ]
    + [
        sized(f"{kind}_{mode}_{i}", X, sizes, mode=kind, coordinate_transformation_mode=mode)
        for kind in ("nearest", "linear", "cubic")
        for mode in MODES
        for i, sizes in enumerate(([2, 3, 12, 18], [2, 3, 3, 4], [2, 3, 7, 1]))
    ]
    + [
        scaled(f"{kind}_{mode}_by_{i}", X, scales, mode=kind, coordinate_transformation_mode=mode)
        for kind in ("linear", "cubic")
        for mode in MODES[:4]
        for i, scales in enumerate(([1, 1, 2, 2], [1, 1, 1.3, 0.7]))
        if is_whole(mode, scales)
    ]
    + [
        scaled(
            "cubic_exclude", X, [1, 1, 1.5, 2], mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5
        ),
        scaled("linear_columns", X, [1, 1, 1, 2], mode="linear"),
        scaled("linear_rows", X, [1, 1, 3, 1], mode="linear"),
        scaled("same", X, [1, 1, 1, 1], mode="linear"),
        scaled("line", X[0], [1, 1, 2], mode="linear"),
        scaled("line_nearest", X[0], [1, 1, 2.5]),
        scaled("plane", X[0, 0], [2, 2], mode="linear"),
        scaled(
            "all_axes",
            X,
            [2, 2, 2, 2],
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        ),
        scaled("opset_11", X, [1, 1, 2, 2], opset=11),
        scaled("opset_13", X, [1, 1, 2, 2], opset=13, mode="linear"),
        scaled(
            "tf_11",
            X,
            [1, 1, 1.5, 2],
            opset=11,
            coordinate_transformation_mode="tf_half_pixel_for_nn",
        ),
        sized("bytes", rng.integers(0, 256, (1, 2, 3, 4)).astype(np.uint8), [1, 2, 6, 8]),
        Case(
            "chosen",
            "Resize",
            {"axes": [2, 3], "mode": "linear"},
            [X, None, None, np.int64([9, 5])],
            (3,),
            19,
        ),
        Case(
            "not_larger",
            "Resize",
            {"axes": [3, 2], "keep_aspect_ratio_policy": "not_larger"},
            [X, None, None, np.int64([18, 18])],
            (3,),
            19,
            tolerance=EXACT,
        ),
        Case(
            "not_smaller",
            "Resize",
            {"axes": [2, 3], "keep_aspect_ratio_policy": "not_smaller"},
            [X, None, None, np.int64([8, 8])],
            (3,),
            19,
            tolerance=EXACT,
        ),
        Case("opset_10", "Resize", {}, [X, np.float32([1, 1, 2, 2])], (1,), 10, tolerance=EXACT),
        Case(
            "opset_10_down",
            "Resize",
            {},
            [X, np.float32([1, 1, 0.6, 0.6])],
            (1,),
            10,
            tolerance=EXACT,
        ),
        Case(
            "opset_10_linear",
            "Resize",
            {"mode": "linear"},
            [X, np.float32([1, 1, 1.5, 2])],
            (1,),
            10,
        ),
        Case("upsample_9", "Upsample", {}, [X, np.float32([1, 1, 2, 3])], (1,), 9, tolerance=EXACT),
        Case(
            "upsample_9_linear",
            "Upsample",
            {"mode": "linear"},
            [X, np.float32([1, 1, 2, 3])],
            (1,),
            9,
        ),
        Case(
            "upsample_7", "Upsample", {"scales": [1.0, 1.0, 2.0, 1.5]}, [X], (), 7, tolerance=EXACT
        ),
    ]
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_resize(case: Case, target: str) -> None:
    compare(case, CASES, target)


def cropped(name: str, roi: list[float], sizes: list[int], **attributes: object) -> Case:
    attributes |= {"coordinate_transformation_mode": "tf_crop_and_resize"}
    inputs = [X, np.float32(roi), None, np.asarray(sizes, np.int64)]
    return Case(name, "Resize", attributes, inputs, (1, 3), 19)


SMOOTH = [
    scaled(f"{kind}_antialias_{i}_{outside}", X, scales, mode=kind, antialias=1,
           exclude_outside=outside)
    for kind in ("linear", "cubic")
    for outside in (0, 1)
    for i, scales in enumerate(([1, 1, 0.5, 0.6], [1, 1, 0.3, 2]))
]  # fmt: skip
CROPS = [
    cropped("crop_linear", [0, 0, 0.2, 0.4, 1, 1, 0.7, 0.9], [2, 3, 4, 5], mode="linear"),
    cropped("crop_nearest", [0, 0, 0.2, 0.4, 1, 1, 0.7, 0.9], [2, 3, 4, 5]),
    cropped("crop_beyond", [0, 0, -0.4, 0.5, 1, 1, 1.3, 1.6], [2, 3, 5, 7], mode="linear",
            extrapolation_value=7.5),
    cropped("crop_one", [0, 0, 0.2, 0.4, 1, 1, 0.7, 0.9], [2, 3, 1, 6], mode="linear"),
]  # fmt: skip
THREE = [
    Case("three", "Resize", {"mode": "linear"}, [X, None, np.float32([1, 2, 0.5, 2])], (2,), 19),
    Case("two_apart", "Resize", {"mode": "linear"}, [X, None, np.float32([1, 2, 1, 3])], (2,), 19),
]  # fmt: skip
OTHERS = SMOOTH + CROPS + THREE


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_resize_by_the_reference(case: Case) -> None:
    """Where onnxruntime differs from ONNX at the edges, or has no kernel."""
    compare(replace(case, reference="onnx"), OTHERS)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("rescaled", [False, True])
def test_between_quantizers(mode: str, dtype: type, rescaled: bool) -> None:
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, (1, 3, 4, 5)).astype(dtype)
    inputs = [x, NO_ROI, np.float32([1, 1, 2, 1.5])]
    tolerance = ONE_STEP if mode == "linear" else EXACT
    case = Case("resized", "Resize", {"mode": mode}, inputs, opset=19, tolerance=tolerance)
    quant = (0.05, 10 + int(limits.min))
    other = (0.06, 20 + int(limits.min)) if rescaled else quant
    compare_between_quantizers(case, {0: quant}, other, dtype)


def test_refused() -> None:
    def bad(
        inputs: list[np.ndarray | None], constants: tuple[int, ...], **attributes: object
    ) -> Case:
        return Case("bad", "Resize", attributes, inputs, constants, 19)

    scales = np.float32([1, 1, 2, 2])
    refuse(
        UnsupportedFeature,
        bad(
            [X, None, np.float32([1, 1, 1.7, 1])],
            (2,),
            coordinate_transformation_mode="align_corners",
        ),
        "no whole number",
    )
    refuse(
        InvalidModel,
        bad([X, NO_ROI, scales], (1, 2), coordinate_transformation_mode="tf_crop_and_resize"),
        "its roi",
    )  # fmt: skip
    refuse(InvalidModel, bad([X, None, scales[:3]], (2,)), "3 scales")
    refuse(InvalidModel, bad([X, None, scales * 0], (2,)), "positive")
    refuse(InvalidModel, bad([X, None, np.float32([1, 1, 0.01, 1])], (2,)), "0 elements")
    refuse(InvalidModel, bad([X, None, None, np.int64([1, 1, -1, 1])], (3,)), "positive")
    refuse(DynamicShape, bad([X, None, scales], ()), "scales")
    refuse(InvalidModel, bad([X, None, scales], (2,), axes=[0, 1, 2, 9]), "axis 9")
    refuse(InvalidModel, bad([X, None, scales], (2,), nearest_mode="up"), "nearest_mode")


def test_tolerances_differ() -> None:
    one = np.float32([1.0])
    assert CLOSE(one, one + np.float32(1e-4))
    assert not APPROX(one, one + np.float32(1e-4))
