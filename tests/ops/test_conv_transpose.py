from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, compare_between_quantizers, refuse
from tolerance import ONE_STEP

from nn2wasm.errors import InvalidModel, UnsupportedFeature

rng = np.random.default_rng(23)


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def case(
    name: str, x: tuple[int, ...], w: tuple[int, ...], *, bias: bool = True, **attributes: Any
) -> Case:
    group = attributes.get("group", 1)
    inputs = [floats(*x), floats(*w)] + ([floats(w[1] * group)] if bias else [])
    return Case(name, "ConvTranspose", attributes, inputs, constants=(1, 2))


CASES = [
    case("plain", (1, 3, 5, 6), (3, 4, 3, 3)),
    case("no_bias", (1, 3, 5, 6), (3, 2, 3, 3), bias=False),
    case("stride", (2, 3, 5, 6), (3, 5, 4, 4), strides=[2, 2], pads=[1, 1, 1, 1]),
    case("stride_3", (1, 2, 4, 3), (2, 4, 2, 3), strides=[3, 2]),
    case("pads", (1, 2, 4, 3), (2, 9, 3, 3), pads=[1, 0, 2, 1]),
    case("dilated", (1, 2, 5, 5), (2, 3, 3, 3), dilations=[2, 3]),
    case(
        "all",
        (1, 4, 5, 6),
        (4, 3, 3, 2),
        strides=[2, 3],
        dilations=[2, 1],
        pads=[1, 2, 0, 1],
        output_padding=[1, 2],
        group=2,
    ),
    case("groups", (1, 6, 4, 4), (6, 4, 3, 3), group=3, strides=[2, 2], pads=[1, 1, 1, 1]),
    case("depthwise", (1, 5, 4, 4), (5, 1, 4, 4), group=5, strides=[2, 2], pads=[1, 1, 1, 1]),
    case("out_padding", (1, 2, 4, 4), (2, 3, 3, 3), strides=[2, 2], output_padding=[1, 1]),
    case("out_shape", (1, 2, 4, 4), (2, 3, 3, 3), strides=[2, 2], output_shape=[8, 7]),
    case(
        "out_shape_upper",
        (1, 2, 4, 4),
        (2, 3, 3, 3),
        strides=[2, 2],
        output_shape=[8, 8],
        auto_pad="SAME_UPPER",
    ),
    case("out_shape_large", (1, 2, 4, 4), (2, 3, 3, 3), strides=[2, 2], output_shape=[10, 10]),
    case("same_upper", (1, 2, 4, 5), (2, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    case("same_lower", (1, 2, 4, 5), (2, 3, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
    case("valid", (1, 2, 4, 5), (2, 3, 3, 3), auto_pad="VALID"),
    case("line", (2, 3, 7), (3, 4, 4), strides=[2], pads=[1, 1]),
    case("line_group", (1, 4, 7), (4, 2, 3), group=2, dilations=[2]),
    case("pointwise", (1, 4, 3, 3), (4, 5, 1, 1)),
    case("sparse", (1, 2, 3, 3), (2, 2, 1, 1), strides=[3, 3]),
]


@pytest.mark.parametrize("example", CASES, ids=str)
def test_float(example: Case, target: str) -> None:
    compare(example, CASES, target)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("weights", ["per_tensor", "per_channel", "zero_point"])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_between_quantizers(dtype: type, weights: str, group: int) -> None:
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, (1, 4, 5, 4)).astype(dtype)
    w = rng.integers(-128, 128, (4, 4 // group, 3, 3)).astype(np.int8)
    scale: Any = 0.02
    if weights == "per_channel" and group < 4:
        scale = rng.uniform(0.005, 0.03, 4 // group).astype(np.float32)
    zero_point = 9 if weights == "zero_point" else 0
    bias = [floats(4)] if np.size(scale) in (1, 4) else []
    attributes = {"strides": [2, 2], "pads": [1, 1, 0, 1], "group": group}
    example = Case(
        "quantized", "ConvTranspose", attributes, [x, w, *bias], (1,), 19, tolerance=ONE_STEP
    )
    compare_between_quantizers(
        example, {0: (0.05, 7), 1: (scale, zero_point)}, (0.11, int(limits.min) + 100), dtype
    )


def test_refused() -> None:
    x, w = floats(1, 3, 4, 4), floats(3, 2, 3, 3)

    def bad(x: np.ndarray, w: np.ndarray, *rest: np.ndarray, **attributes: Any) -> Case:
        return Case("bad", "ConvTranspose", attributes, [x, w, *rest], constants=(1, 2))

    refuse(InvalidModel, bad(x, floats(2, 2, 3, 3)), "2 input channels")
    refuse(InvalidModel, bad(x, w, group=2), "group = 2")
    refuse(InvalidModel, bad(x, w, floats(3)), "bias has 3")
    refuse(InvalidModel, bad(x, w, kernel_shape=[2, 2]), "kernel_shape")
    refuse(InvalidModel, bad(x, w, output_padding=[-1, 0]), "output_padding")
    refuse(InvalidModel, bad(x, w, output_shape=[0, 4]), "output_shape")
    refuse(InvalidModel, bad(x, w, pads=[9, 9, 9, 9]), "would have")
    tesseract = floats(1, 2, 3, 3, 3, 3), floats(2, 2, 2, 2, 2, 2)
    refuse(UnsupportedFeature, bad(*tesseract), "4 spatial axes")
