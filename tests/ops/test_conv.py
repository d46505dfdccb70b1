from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from cases import LINEAR_TARGETS, Case, compare, refuse
from tolerance import CLOSE, EXACT, ONE_STEP
from windows import SHAPES, Shape, convolve

from nn2wasm.errors import InvalidModel, QuantizationError, UnsupportedFeature
from nn2wasm.quant.arithmetic import ratio, requantize


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


FLOAT = [
    Case(
        name,
        "Conv",
        shape.attributes,
        [floats(*shape.x), floats(*shape.w), floats(shape.w[0])],
        constants=(1, 2),
    )
    for name, shape in SHAPES.items()
]
NO_BIAS = [
    Case(f"{case.name}_no_bias", "Conv", case.attributes, case.inputs[:2], constants=(1,))
    for case in FLOAT[::5]
]
CASES = FLOAT + NO_BIAS
VERSIONS = [
    Case(
        f"conv_{opset}",
        "Conv",
        {"pads": [1, 1, 1, 1]},
        FLOAT[3].inputs,
        constants=(1, 2),
        opset=opset,
    )
    for opset in (7, 11, 22)
]


@pytest.mark.parametrize("case", CASES, ids=str)
@LINEAR_TARGETS
def test_float(case: Case, target: str) -> None:
    compare(case, CASES, target)


@pytest.mark.parametrize("case", VERSIONS, ids=str)
def test_versions(case: Case) -> None:
    compare(case, VERSIONS)


S8, U8 = np.int8, np.uint8


def output_quant(dtype: Any, sums: np.ndarray, scale: np.ndarray | float) -> Quant:
    """A scale under which some sums saturate and most do not."""
    real = np.abs(sums * np.reshape(scale, (-1,) + (1,) * (sums.ndim - 2)))
    shift = 128 if dtype is U8 else 0
    return Quant(
        dtype,
        np.float32(max(np.percentile(real, 97), 1e-6) / 127),
        shift + int(rng.integers(-30, 30)),
    )


def add_conv(
    bench: Bench,
    name: str,
    shape: Shape,
    x_dtype: Any,
    w_dtype: Any = S8,
    *,
    channels: bool = True,
    w_zero: str = "none",
    bias: bool = True,
    activation: str = "",
    qoperator: bool = False,
) -> None:
    """One convolution on integers, with what exact arithmetic makes of it."""
    count = shape.w[0]
    x_quant = Quant(
        x_dtype,
        np.float32(rng.uniform(0.01, 0.1)),
        (128 if x_dtype is U8 else 0) + int(rng.integers(-60, 60)),
    )
    scales = np.asarray(rng.uniform(0.002, 0.02, count if channels else None), np.float32)
    middle = 128 if w_dtype is U8 else 0
    zeros: Any = {"none": middle, "one": middle + 9, "each": None}[w_zero]
    if zeros is None:
        zeros = rng.integers(middle - 20, middle + 20, count)
    zeros = np.full(np.shape(scales), zeros) if np.ndim(zeros) == 0 else zeros
    w_quant = Quant(w_dtype, scales, np.asarray(zeros, w_dtype))
    x, w = x_quant.integers(*shape.x), w_quant.integers(*shape.w)
    aligned = np.reshape(np.broadcast_to(zeros, (count,)), (-1,) + (1,) * (w.ndim - 1))
    sums = convolve(x.astype(np.int64) - x_quant.zero_point, w.astype(np.int64) - aligned, shape)
    b = rng.integers(-3000, 3000, count).astype(np.int32)
    along = (-1,) + (1,) * (sums.ndim - 2)
    if bias:
        sums = sums + b.reshape(along)
    y_quant = output_quant(x_dtype, sums, x_quant.scale * scales)
    low, high = y_quant.limits
    if activation:
        low = max(low, y_quant.zero_point)
    if activation == "Clip":
        high = int(min(high, np.rint(np.float32(0.9) / y_quant.scale) + y_quant.zero_point))
    multiplier = ratio(x_quant.scale, np.broadcast_to(scales, (count,)), y_quant.scale)
    expected = requantize(sums, multiplier.reshape(along), y_quant.zero_point, low, high)
    expected = expected.astype(x_dtype)
    if qoperator:
        x_name, w_name = bench.input(f"{name}_x", x), bench.constant(f"{name}_w", w)
        operands = [
            x_name,
            *bench.pair(f"{name}_x", x_quant),
            w_name,
            *bench.pair(f"{name}_w", w_quant),
        ]
        operands += bench.pair(f"{name}_y", y_quant) + (
            [bench.constant(f"{name}_b", b)] if bias else []
        )
        bench.done(name, bench.node("QLinearConv", operands, name, **shape.attributes), expected)
        return
    operands = [
        bench.dequantized(f"{name}_x", x, x_quant),
        bench.dequantized(f"{name}_w", w, w_quant, constant=True),
    ]
    if bias:
        b_scale = np.asarray(x_quant.scale * scales, np.float32)
        b_quant = Quant(np.int32, b_scale, np.zeros(b_scale.shape))
        operands.append(bench.dequantized(f"{name}_b", b, b_quant, constant=True))
    real = bench.node("Conv", operands, f"{name}_conv", **shape.attributes)
    if activation == "Relu":
        real = bench.node("Relu", [real], f"{name}_relu")
    if activation == "Clip":
        ends = [
            bench.constant(f"{name}_{end}", np.float32(v)) for end, v in (("min", 0), ("max", 0.9))
        ]
        real = bench.node("Clip", [real, *ends], f"{name}_clip")
    bench.finish(name, real, y_quant, expected)


def benches() -> dict[str, Bench]:
    made = {key: Bench() for key in ("qdq_s8", "qdq_u8", "qop_s8", "qop_u8", "weights")}
    for index, (name, shape) in enumerate(SHAPES.items()):
        activation = ("", "Relu", "Clip")[index % 3]
        bias = index % 4 != 3
        add_conv(made["qdq_s8"], name, shape, S8, bias=bias, activation=activation)
        add_conv(
            made["qdq_u8"],
            name,
            shape,
            U8,
            channels=index % 2 == 0,
            bias=bias,
            activation=activation,
        )
        add_conv(
            made["qop_s8"], name, shape, S8, channels=index % 2 == 0, bias=bias, qoperator=True
        )
        add_conv(
            made["qop_u8"], name, shape, U8, channels=index % 2 == 1, bias=bias, qoperator=True
        )
    names = (
        "channels_4_5",
        "channels_8_7",
        "pointwise_7_6",
        "depthwise_5",
        "groups_2",
        "valid",
        "line",
        "wide_pads",
    )
    for name in names:
        shape = SHAPES[name]
        for dtype, label in ((S8, "s8"), (U8, "u8")):
            for zero in ("none", "one", "each"):
                extra = {"channels": zero == "each", "w_zero": zero}
                add_conv(made["weights"], f"{name}_{label}_{zero}", shape, U8, dtype, **extra)
    return made


BENCHES = benches()
INTEGER = [(key, name) for key, bench in BENCHES.items() for name in bench.names]


@pytest.mark.parametrize(("key", "name"), INTEGER)
@LINEAR_TARGETS
def test_integers(key: str, name: str, target: str) -> None:
    """Exactly the integer arithmetic; QLinearConv is onnxruntime's to the byte, floats round
    within a step.
    """
    answer = BENCHES[key].answers(target)[name]
    assert answer.expected is not None
    assert not (complaint := EXACT(answer.result, answer.expected)), complaint
    near = EXACT if key.startswith("qop") else ONE_STEP
    assert not (complaint := near(answer.result, answer.reference)), complaint


def test_outputs_are_spread() -> None:
    """The scales of these tests are such that a wrong sum shows."""
    for bench in BENCHES.values():
        spread = [len(np.unique(answer.result)) for answer in bench.answers().values()]
        assert np.median(spread) > 30


def test_qlinear_conv_with_weight_zero_points_is_onnxruntimes() -> None:
    bench = Bench()
    for name in ("channels_4_5", "pointwise_7_6", "depthwise_5", "groups_2", "wide_pads"):
        shape = SHAPES[name]
        add_conv(bench, f"{name}_u8", shape, U8, U8, channels=False, w_zero="one", qoperator=True)
        add_conv(bench, f"{name}_s8", shape, S8, S8, channels=False, w_zero="one", qoperator=True)
    for name, answer in bench.answers().items():
        assert not (complaint := EXACT(answer.result, answer.reference)), (name, complaint)


def test_refused() -> None:
    x, w = floats(1, 3, 8, 8), floats(4, 3, 3, 3)
    pick = {"constants": (1, 2)}
    refuse(InvalidModel, Case("bad", "Conv", {"strides": [0, 1]}, [x, w], **pick), "strides")
    refuse(InvalidModel, Case("bad", "Conv", {"dilations": [8, 8]}, [x, w], **pick), "kernel")
    refuse(
        UnsupportedFeature, Case("bad", "Conv", {"pads": [-1, 0, 0, 0]}, [x, w], **pick), "negative"
    )
    tesseract = [floats(1, 2, 4, 4, 4, 4), floats(2, 2, 3, 3, 3, 3)]
    refuse(UnsupportedFeature, Case("bad", "Conv", {}, tesseract, **pick), "spatial axes")
    one = np.float32(0.1)
    quants = [
        one,
        np.int8(0),
        np.ones((4, 3, 3, 3), np.int8),
        np.float32([1, 1]),
        np.int8([0, 0]),
        one,
        np.int8(0),
    ]
    bad = Case(
        "bad",
        "QLinearConv",
        {},
        [x.astype(np.int8), *map(np.asarray, quants)],
        constants=range(1, 8),
    )
    refuse(QuantizationError, bad, "scales")


def test_close_sees_a_wrong_weight() -> None:
    assert CLOSE(np.float32([1, 2, 3]), np.float32([1, 2, 3.001]))
