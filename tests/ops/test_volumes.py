"""Windows over three axes, weights computed at run time, poolings beside the usual ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, refuse
from tolerance import CLOSE, EXACT

from nn2wasm.errors import InvalidModel, UnsupportedFeature

rng = np.random.default_rng(29)
VOLUME = rng.normal(size=(2, 4, 5, 6, 4)).astype(np.float32)
IMAGE = rng.normal(size=(2, 3, 7, 6)).astype(np.float32)
LINE = rng.normal(size=(1, 4, 9)).astype(np.float32)
BYTES = rng.integers(0, 256, size=(1, 4, 6, 5)).astype(np.uint8)


def f32(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def case(
    name: str, op: str, inputs: list[Any], constants: Any = (), opset: int = 19, **more: Any
) -> Case:
    fields = {k: more.pop(k) for k in ("outputs", "reference", "tolerance") if k in more}
    return Case(name, op, more, inputs, constants, opset, **({"tolerance": CLOSE} | fields))


POOLS = [
    case("max", "MaxPool", [VOLUME], kernel_shape=[2, 3, 2], strides=[2, 1, 1], tolerance=EXACT),
    case("max_padded", "MaxPool", [VOLUME], kernel_shape=[3, 3, 2], pads=[1, 1, 0, 0, 1, 1],
         ceil_mode=1, strides=[2, 2, 3]),
    case("max_dilated", "MaxPool", [VOLUME], kernel_shape=[2, 2, 2], dilations=[2, 3, 1]),
    case("max_indices", "MaxPool", [IMAGE], outputs=2, kernel_shape=[3, 2], pads=[1, 0, 1, 1]),
    case("max_columns", "MaxPool", [IMAGE], outputs=2, kernel_shape=[2, 2], storage_order=1),
    case("max_indices_1", "MaxPool", [LINE], outputs=2, kernel_shape=[3], strides=[2]),
    case("max_indices_3", "MaxPool", [VOLUME], outputs=2, kernel_shape=[2, 2, 2]),
    case("max_whole", "GlobalMaxPool", [VOLUME]),
    case("average", "AveragePool", [VOLUME], kernel_shape=[2, 3, 2], strides=[1, 2, 2]),
    case("average_same", "AveragePool", [VOLUME], kernel_shape=[2, 3, 3], auto_pad="SAME_UPPER",
         strides=[2, 2, 1]),
    case("average_padded", "AveragePool", [VOLUME], kernel_shape=[3, 3, 3], pads=[1] * 6,
         count_include_pad=1),
    case("average_ceil", "AveragePool", [IMAGE], kernel_shape=[3, 3], pads=[1] * 4,
         strides=[3, 2], count_include_pad=1, ceil_mode=1, reference="onnx"),
    case("average_whole", "GlobalAveragePool", [VOLUME]),
    *(
        case(f"norm_{p}", "LpPool", [IMAGE], p=p, kernel_shape=[3, 2], pads=[1, 0, 1, 1], opset=18)
        for p in (1, 2, 3)
    ),
    case("norm_line", "LpPool", [LINE], kernel_shape=[2], strides=[2], opset=11),
    case("norm_whole", "GlobalLpPool", [IMAGE], p=3),
    case("unpool", "MaxUnpool", [IMAGE[:1, :1, :2, :2], np.int64([[[[5, 7], [13, 15]]]])],
         kernel_shape=[2, 2], strides=[2, 2]),
]  # fmt: skip
CONVS = [
    case("volume", "Conv", [VOLUME, f32(6, 4, 3, 2, 3), f32(6)], (1, 2), strides=[2, 1, 1],
         pads=[1, 0, 2, 1, 1, 0]),
    case("volume_groups", "Conv", [VOLUME, f32(6, 2, 2, 2, 2)], (1,), group=2,
         dilations=[2, 1, 3]),
    case("volume_same", "Conv", [VOLUME, f32(4, 1, 3, 3, 3)], group=4, auto_pad="SAME_LOWER"),
    case("computed", "Conv", [IMAGE, f32(5, 3, 3, 2)], strides=[1, 2], pads=[1, 0, 0, 1]),
    case("computed_line", "Conv", [LINE, f32(6, 2, 3), f32(6)], group=2, pads=[1, 1]),
    case("computed_bias", "Conv", [IMAGE, f32(5, 3, 1, 1), f32(5)], (1,)),
    case("transposed", "ConvTranspose", [VOLUME, f32(4, 3, 2, 3, 2), f32(3)], (1, 2),
         strides=[2, 1, 3], pads=[1, 0, 1, 0, 1, 0], output_padding=[1, 0, 2]),
    case("transposed_groups", "ConvTranspose", [VOLUME, f32(4, 2, 2, 2, 2)], group=2,
         dilations=[1, 2, 2]),
    case("transposed_computed", "ConvTranspose", [IMAGE, f32(3, 2, 3, 3)], strides=[2, 2],
         auto_pad="SAME_UPPER"),
    case("transposed_line", "ConvTranspose", [LINE, f32(4, 1, 4)], group=4, strides=[3],
         output_shape=[26]),
]  # fmt: skip
W = rng.integers(-64, 64, size=(6, 2, 3, 2)).astype(np.int8)
"""Fed at run time: of more, onnxruntime saturates sums of pairs where there is no VNNI."""
INTEGERS = [
    case("bytes", "ConvInteger", [BYTES, W.view(np.uint8), np.uint8([7]), np.uint8([200])],
         (2, 3), group=2, pads=[1, 1, 0, 1], tolerance=EXACT),
    case("bytes_no_zero", "ConvInteger", [BYTES, BYTES[:, :, :3, :3]], tolerance=EXACT),
    case("product", "MatMulInteger", [BYTES[0], BYTES[0].transpose(0, 2, 1).copy(),
         np.uint8([3]), np.uint8([250])], tolerance=EXACT),
    case("product_signed", "MatMulInteger",
         [BYTES[0], W[:5, 0, :2, :1].reshape(5, 2), np.uint8([9])], tolerance=EXACT),
    case("product_columns", "MatMulInteger",
         [BYTES[0, 0], W[:5, 0, :2, 0].copy(), np.uint8([9]), np.int8([3, -4])], tolerance=EXACT),
]  # fmt: skip


def scaled(zero_point: Any, scale: Any = 0.02) -> list[np.ndarray]:
    return [np.asarray(scale, np.float32), np.asarray(zero_point)]


INTEGERS += [
    case("quantized", "QLinearConv",
         [BYTES, *scaled(np.uint8(120)), W, *scaled(np.int8([0] * 6), [0.01, 0.02] * 3),
          *scaled(np.uint8(99), 0.9), rng.integers(-999, 999, size=6).astype(np.int32)],
         (1, 2, 4, 5, 6, 7), group=2, strides=[2, 1], tolerance=EXACT),
    case("quantized_product", "QLinearMatMul",
         [BYTES[0], *scaled(np.uint8(120)), BYTES[0].transpose(0, 2, 1).copy(),
          *scaled(np.uint8(130)), *scaled(np.uint8(110), 0.7)], (1, 2, 4, 5, 6, 7),
         tolerance=EXACT),
]  # fmt: skip
CASES = POOLS + CONVS + INTEGERS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_windows(case):
    compare(case, CASES)


def test_unpooled_into_a_larger_output():
    x, at = IMAGE[:1, :1, :2, :2], np.int64([[[[5, 7], [13, 15]]]])
    y = np.zeros((1, 1, 5, 5), np.float32)
    y[0, 0, [1, 1, 3, 3], [1, 3, 1, 3]] = x.reshape(-1)
    more = case("larger", "MaxUnpool", [x, at, np.int64([1, 1, 5, 5])], (2,),
                kernel_shape=[2, 2], strides=[2, 2], reference=y, tolerance=EXACT)  # fmt: skip
    compare(more, [more])


REFUSED = [
    (UnsupportedFeature, case("axes", "MaxPool", [VOLUME[:, None]], kernel_shape=[1] * 4), "1 to"),
    (InvalidModel, case("large", "MaxPool", [VOLUME], kernel_shape=[6, 1, 1]), "larger than"),
    (
        UnsupportedFeature,
        case("padding", "MaxPool", [VOLUME], kernel_shape=[1, 1, 1], pads=[1] * 6),
        "nothing but padding",
    ),
    (InvalidModel, case("p", "LpPool", [IMAGE], kernel_shape=[2, 2], p=0), "p = 0"),
    (InvalidModel, case("bias", "Conv", [IMAGE, f32(5, 3, 3, 3), f32(4)]), "a bias of 4"),
    (InvalidModel, case("group", "Conv", [IMAGE, f32(5, 3, 3, 3)], group=2), "group = 2"),
    (InvalidModel, case("zeros", "ConvInteger", [BYTES, BYTES, np.uint8([1, 2])]), "zero points"),
    (InvalidModel, case("inner", "MatMulInteger", [BYTES[0], BYTES[0]]), "inner sizes"),
    (
        InvalidModel,
        case("small", "MaxUnpool", [IMAGE, (IMAGE > 9).astype(np.int64), np.int64([2, 3, 7, 6])],
             (2,), kernel_shape=[2, 2], strides=[2, 2]),
        "is smaller than",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("error", "case", "match"), REFUSED, ids=lambda v: str(v)[:20])
def test_refused(error, case, match):
    refuse(error, case, match)
