"""Linear ops on integers of 16 bits: exact sums of 32 or 64 bits, on every target the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from bench import Bench, Quant, rng
from tolerance import EXACT, ONE_STEP
from windows import SHAPES, Shape, convolve, square

from nn2wasm.api import Compiled, Options, plan_model
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.ops.registry import KernelOp
from nn2wasm.quant.arithmetic import ratio, requantize
from nn2wasm.target import find_target

S8, U8, S16, U16 = np.int8, np.uint8, np.int16, np.uint16
TARGETS = (
    *("wasm", "wasm-simd128", "wasm-simd128 size", "wasm-simd128-cranelift", "host"),
    *("cortex-m3", "cortex-m4", "cortex-m4 size", "cortex-m55"),
)
"""Those among which kernels, or the C beneath them, differ."""
MIDDLE = {S8: 0, U8: 128, S16: 0, U16: 32768}
X_SCALE = {S8: 0.02, U8: 0.02, S16: 1e-4, U16: 1e-4}


def activation_quant(dtype: Any, scale: float, *, symmetric: bool) -> Quant:
    shift = 0 if symmetric else int(rng.integers(-MIDDLE[U16] // 8, MIDDLE[U16] // 8))
    shift = shift if dtype in (S16, U16) else shift // 256
    return Quant(dtype, np.float32(scale), MIDDLE[dtype] + shift)


def output_quant(dtype: Any, reals: np.ndarray, *, symmetric: bool) -> Quant:
    """A scale under which some sums saturate and most do not."""
    steps = np.iinfo(dtype).max - MIDDLE[dtype]
    scale = max(float(np.percentile(np.abs(reals), 97)), 1e-9) / steps
    return activation_quant(dtype, scale, symmetric=symmetric)


def add_linear(
    bench: Bench,
    name: str,
    shape: Shape,
    dtypes: tuple[Any, Any, Any],
    *,
    w_zero: bool = False,
    bias: int = 3_000_000,
    relu: bool = False,
    symmetric: bool = False,
    extreme: bool = False,
    channels: bool = True,
) -> None:
    """A convolution, with what exact arithmetic makes of it.

    Args:
        bench: to add to.
        name: of the output.
        shape: of the operands.
        dtypes: of input, weights and output.
        w_zero: weights have zero points.
        bias: of the largest size; 0 for none.
        relu: an activation behind it.
        symmetric: no zero points of activations.
        extreme: all inputs and weights of a sum are as large as they can be.
        channels: a scale for each output channel.
    """
    x_dtype, w_dtype, y_dtype = dtypes
    count = shape.w[0]
    x_quant = activation_quant(x_dtype, X_SCALE[x_dtype], symmetric=symmetric)
    scales = np.asarray(rng.uniform(0.002, 0.02, count if channels else None), np.float32)
    zero = MIDDLE[w_dtype] + (9 if w_zero else 0)
    w_quant = Quant(w_dtype, scales, np.full(scales.shape, zero))
    x, w = x_quant.integers(*shape.x), w_quant.integers(*shape.w)
    if extreme:
        x[:] = x_quant.limits[0]
        w[:] = w_quant.limits[0]
        w[1::2] = w_quant.limits[1]
    sums = convolve(x.astype(np.int64) - x_quant.zero_point, w.astype(np.int64) - zero, shape)
    along = (-1,) + (1,) * (sums.ndim - 2)
    b = rng.integers(-bias, bias + 1, count).astype(np.int32)
    sums = sums + b.reshape(along)
    w_scales = np.broadcast_to(scales, (count,))
    reals = sums * (float(x_quant.scale) * w_scales.reshape(along))
    y_quant = output_quant(y_dtype, reals, symmetric=symmetric)
    low, high = y_quant.limits
    multiplier = ratio(x_quant.scale, w_scales, y_quant.scale).reshape(along)
    low = max(low, y_quant.zero_point) if relu else low
    expected = requantize(sums, multiplier, y_quant.zero_point, low, high).astype(y_dtype)
    operands = [
        bench.dequantized(f"{name}_x", x, x_quant),
        bench.dequantized(f"{name}_w", w, w_quant, constant=True),
    ]
    if bias:
        b_scale = np.asarray(x_quant.scale * scales, np.float32)
        b_quant = Quant(np.int32, b_scale, np.zeros(b_scale.shape))
        operands.append(bench.dequantized(f"{name}_b", b, b_quant, constant=True))
    if len(shape.w) == 2:
        real = bench.node("Gemm", operands, f"{name}_gemm", transB=1)
    else:
        real = bench.node("Conv", operands, f"{name}_conv", **shape.attributes)
    if relu:
        real = bench.node("Relu", [real], f"{name}_relu")
    bench.finish(name, real, y_quant, expected)


KINDS = ("channels_4_5", "pointwise_7_6", "depthwise_5", "groups_2", "wide_pads", "line")
MIXES = {
    "a16w8": (S16, S8, S16),
    "au16w8": (U16, S8, U16),
    "au16wu8": (U16, U8, U16),
    "a16w16": (S16, S16, S16),
    "au16w16": (U16, S16, U16),
    "a8w8_16": (S8, S8, S16),
    "a16w8_8": (S16, S8, S8),
    "au16w8_u8": (U16, S8, U8),
    "a8w16_8": (S8, S16, S8),
    "a16w16_8": (S16, S16, S8),
}
DEEP = ("a16w8", "au16w8", "a16w16", "a16w8_8", "a16w16_8")
"""Whose sums leave 32 bits where a sum has many products."""


def dense(m: int, k: int, n: int) -> Shape:
    """A product, as the convolution that it is."""
    return Shape((m, k), (n, k), {})


def benches() -> dict[str, Bench]:
    made = {key: Bench() for key in ("s16", "u16", "mixes", "extremes")}
    for index, (name, shape) in enumerate(SHAPES.items()):
        options = {"relu": index % 3 == 1, "bias": 0 if index % 4 == 3 else 3_000_000}
        add_linear(made["s16"], name, shape, MIXES["a16w8"], symmetric=index % 2 == 0, **options)
        add_linear(made["u16"], name, shape, MIXES["au16w8"], channels=index % 2 == 0, **options)
    for m, k, n in ((1, 33, 10), (1, 8, 3), (3, 20, 7), (5, 64, 16), (9, 31, 37)):
        add_linear(made["s16"], f"dense_{m}_{k}_{n}", dense(m, k, n), MIXES["a16w8"])
        add_linear(made["u16"], f"dense_{m}_{k}_{n}", dense(m, k, n), MIXES["au16w8"])
    for label, dtypes in MIXES.items():
        for name in KINDS:
            add_linear(made["mixes"], f"{name}_{label}", SHAPES[name], dtypes)
            w_zero = {"w_zero": True, "relu": True}
            add_linear(made["mixes"], f"{name}_{label}_zero", SHAPES[name], dtypes, **w_zero)
    deep = {
        "dense": dense(2, 1200, 6),
        "conv": square(128, 5, 4, pads=[1, 1, 1, 1]),
        "pointwise": square(700, 6, 2, kernel=1),
        "groups": square(260, 4, 3, group=2),
        "depthwise": square(5, 5, 6, kernel=5, group=5, pads=[2, 2, 2, 2]),
    }
    for name, shape in deep.items():
        for label in DEEP:
            options = {"extreme": True, "symmetric": label != "au16w8"}
            add_linear(made["extremes"], f"{name}_{label}", shape, MIXES[label], **options)
    return made


BENCHES = benches()
ALL = [(key, name) for key, bench in BENCHES.items() for name in bench.names]


@pytest.mark.parametrize(("key", "name"), ALL)
@pytest.mark.parametrize("target", TARGETS)
def test_integers(key: str, name: str, target: str) -> None:
    """Exactly the integer arithmetic; onnxruntime's floats are within a step of it."""
    answer = BENCHES[key].answers(target)[name]
    assert answer.expected is not None
    assert not (complaint := EXACT(answer.result, answer.expected)), complaint
    assert not (complaint := ONE_STEP(answer.result, answer.reference)), complaint


def test_outputs_are_spread() -> None:
    """The scales of these tests are such that a wrong sum shows."""
    for key in ("s16", "u16"):
        answers = BENCHES[key].answers().values()
        spread = [len(np.unique(answer.result)) / answer.result.size for answer in answers]
        assert np.median(spread) > 0.5


def planned(model: onnx.ModelProto) -> Compiled:
    return plan_model(model, find_target("wasm"), Options(name="cases"))


def test_nothing_is_computed_in_floats() -> None:
    for bench in BENCHES.values():
        for call in planned(bench.model()).plan.calls:
            assert not isinstance(call.node.op, Quantize | Dequantize), call.node


@pytest.mark.parametrize(
    ("target", "symbols"),
    [
        ("cortex-m3", {"nn_gemm_s16_1x4_fixed", "nn_conv_s16_1x4_fixed", "nn_depthwise_s16_fixed"}),
        ("cortex-m4", {"nn_gemm_s16_3x2", "nn_conv_s16_3x2", "nn_depthwise_s16"}),
        ("cortex-m55", {"nn_gemm_s16_1x4", "nn_gemm_s16_2x4", "nn_conv_s16_2x4"}),
    ],
)
def test_kernels_of_cores(target: str, symbols: set[str]) -> None:
    plan = plan_model(BENCHES["s16"].model(), find_target(target), Options(name="cases")).plan
    isa = {"cortex-m3": "scalar", "cortex-m4": "dsp", "cortex-m55": "mve"}[target]
    chosen = {call.choice.kernel.symbol for call in plan.calls}
    assert {f"{symbol}__{isa}" for symbol in symbols} <= chosen


def test_sums_have_32_bits_where_the_weights_prove_that_they_suffice() -> None:
    types = {}
    for call in planned(BENCHES["extremes"].model()).plan.calls:
        if isinstance(call.node.op, KernelOp) and "sum_type" in call.lowering.context:
            types[call.node.output.source] = call.lowering.context["sum_type"]
    assert {name for name, kind in types.items() if kind == "int64_t"} == {
        f"{name}_{label}"
        for name in ("dense", "conv", "pointwise", "groups", "depthwise")
        for label in DEEP
        if name != "depthwise" or label.startswith("a16w16")
    }
