"""Sums in fields of 64-bit words: what the proof allows, at its limits, in compiled modules."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytest
from bench import Bench, Quant
from engines import SCALAR_ENGINES, run_in
from tolerance import EXACT
from windows import Shape, convolve

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.ops.packed_fields import (
    SIGNED,
    UNSIGNED,
    block_outputs,
    block_width,
    field_parts,
    pack_blocks,
    rows_together,
)
from nn2wasm.quant.arithmetic import ratio, requantize
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact

S8 = np.int8
TOP = 4112
"""Sum of weights of one sign that a field holds, for inputs up to 255: 255 · 4113 is above 2^20."""
HIGHEST, LOWEST = [127] * 32 + [48], [-128] * 32 + [-16]


def row(weights: list[int]) -> np.ndarray:
    return np.asarray([weights], S8)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (HIGHEST, (36, 1)),
        ([*HIGHEST[:-1], 49], (20, 2)),
        (LOWEST, (36, 1)),
        ([*LOWEST[:-1], -17], (20, 2)),
        ([-128] * 32, (32, 1)),
        ([-128] * 33, (20, 2)),
        ([127] * 1000, (32, 32)),
        ([1, -1] * 4112, (8224, 1)),
        ([1] * 4113, (2060, 2)),
        ([0], (4, 1)),
    ],
)
def test_parts(weights, expected):
    assert field_parts(row(weights), UNSIGNED) == expected


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ([-128] * 63 + [127, 2], 1),  # 2^20 - 1
        ([-128] * 63 + [127, 3], 2),
        ([-128] * 64, 2),  # 2^20
        ([127] * 64 + [64], 1),  # -2^20
        ([127] * 64 + [65], 2),
    ],
)
def test_parts_of_bytes_with_a_sign(weights, parts):
    assert field_parts(row(weights), SIGNED)[1] == parts


def test_the_worst_output_decides():
    weights = np.ones((3, 64), S8)
    weights[1] = -128
    assert field_parts(weights, UNSIGNED) == (32, 2)


def test_limits_are_what_they_are_called():
    assert sum(HIGHEST) == -sum(LOWEST) == TOP
    assert 255 * TOP < 2**20 <= 255 * (TOP + 1)


@pytest.mark.parametrize(
    ("n", "width"),
    [(1, 1), (2, 2), (3, 3), (4, 4), (7, 4), (8, 8), (10, 4), (15, 8), (17, 8), (19, 8)],
)
def test_blocks(n, width):
    assert block_width(n) == width
    order = block_outputs(n, width)
    assert len(order) == -(-n // width) * width
    assert set(order) == set(range(n))
    assert order[-width:] == list(range(n - width, n))
    weights = np.arange(n * 5, dtype=np.int16).reshape(n, 5)
    packed = pack_blocks(weights, width, 8)
    assert packed.shape == (len(order) // width, 8, width)
    assert np.array_equal(packed[-1, :5, 0], weights[n - width])
    assert not packed[:, 5:].any()


@pytest.mark.parametrize(
    ("rows", "width", "together"),
    [(25, 5, 5), (48, 48, 1), (8, 8, 1), (7, 7, 7), (1, 1, 1), (49, 1, 49), (6, 4, 2), (3, 3, 1)],
)
def test_rows_together(rows, width, together):
    assert rows_together(rows, width) == together


def extremes(weights: np.ndarray, pixels: int) -> np.ndarray:
    """[k][pixels]: bytes that take the first output's sum to its end, up and down in turn."""
    up = np.where(weights[0] < 0, -128, 127)
    down = np.where(weights[0] < 0, 127, -128)
    return np.stack([(up, down, up, up, down)[i % 5] for i in range(pixels)], 1).astype(S8)


class Limit(NamedTuple):
    """Weights [n][k] of a layer and its inputs [k][pixels], some as extreme as they can be."""

    kind: str
    weights: np.ndarray
    pixels: int
    zero_point: int = 0


def pointwise(
    weights: list[int] | np.ndarray, copies: int, pixels: int, zero_point: int = 0
) -> Limit:
    repeated = np.tile(np.atleast_2d(np.asarray(weights, S8)), (copies, 1))
    return Limit("pointwise", repeated, pixels, zero_point)


def line(weights: np.ndarray, lines: int = 1, zero_point: int = 0) -> Limit:
    return Limit("line", weights, lines, zero_point)


rng = np.random.default_rng(3)
CASES: dict[str, Limit] = {
    "highest": pointwise(HIGHEST, 8, 6),
    "one_above": pointwise([*HIGHEST[:-1], 49], 8, 5),
    "lowest": pointwise(LOWEST, 16, 7),
    "one_below": pointwise([*LOWEST[:-1], -17], 5, 4),
    "all_minus_128": pointwise([-128] * 64, 9, 5),
    "all_127": pointwise([127] * 64, 4, 3),
    "long": pointwise([-128] * 700, 8, 2),
    "mixed": pointwise(rng.integers(-128, 128, (17, 301)), 1, 8),
    "one_pixel": pointwise([127] * 130, 11, 1),
    "line_lowest": line(np.full((8, 700), -128, S8)),
    "line_highest": line(np.full((16, 333), 127, S8)),
    "one_output": pointwise(HIGHEST, 1, 4),
    "two_outputs": pointwise(LOWEST, 2, 5),
    "three_outputs": pointwise([*HIGHEST[:-1], 49], 3, 6),
    "above_all": pointwise([127] * 70, 8, 5, -128),
    "below_all": pointwise([-128] * 33, 3, 4, 127),
    "zero_point": pointwise(rng.integers(-128, 128, (9, 77)), 1, 7, -5),
    "line_above_all": line(np.full((64, 333), 127, S8), 1, -128),
    "line_below_all": line(np.full((8, 700), -128, S8), 1, 127),
    "line_wide": line(rng.integers(-128, 128, (100, 31)).astype(S8), 1, 9),
    "line_mixed": line(rng.integers(-128, 128, (35, 50)).astype(S8)),
    "lines": line(rng.integers(-128, 128, (16, 21)).astype(S8), 2),
    "many_lines": line(rng.integers(-128, 128, (16, 21)).astype(S8), 5),
    "many_lines_highest": line(np.tile(np.asarray(HIGHEST, S8), (9, 1)), 4),
}


def bench(zero_point: int) -> Bench:
    made = Bench()
    for name, (kind, weights, pixels, weight_zero) in CASES.items():
        n, k = weights.shape
        x_quant = Quant(S8, np.float32(0.02), zero_point)
        w_quant = Quant(S8, np.full(n, 0.01, np.float32), np.full(n, weight_zero))
        meant = weights.astype(np.int64) - weight_zero
        x = extremes(meant, pixels)
        sums = meant @ (x.astype(np.int64) - zero_point)
        y_quant = Quant(S8, np.float32(2e-4 * max(1, np.abs(sums).max()) / 100), 7)
        factor = ratio(x_quant.scale, w_quant.scale, y_quant.scale).reshape(-1, 1)
        expected = requantize(sums, factor, 7, -128, 127).astype(S8)
        if kind == "line":
            x, expected = x.T, expected.T
        else:
            x, expected = x.reshape(1, k, 1, pixels), expected.reshape(1, n, 1, pixels)
            weights = weights.reshape(n, k, 1, 1)
        operands = [
            made.dequantized(f"{name}_x", np.ascontiguousarray(x), x_quant),
            made.dequantized(f"{name}_w", weights, w_quant, constant=True),
        ]
        op, attributes = ("Gemm", {"transB": 1}) if kind == "line" else ("Conv", {})
        made.finish(name, made.node(op, operands, f"{name}_real", **attributes), y_quant, expected)
    return made


BENCHES = {zero_point: bench(zero_point) for zero_point in (0, -128, 127)}


def add_depthwise(
    made: Bench,
    name: str,
    kernel: int,
    stride: int,
    weight: int,
    dilation: int = 1,
    weight_zero: int = 0,
) -> None:
    """All weights the same, columns of bytes as low and as high as they can be in turn."""
    c, size, pad = 5, 9, kernel // 2 * dilation
    attributes = {"group": c, "pads": [pad] * 4, "strides": [stride] * 2}
    attributes["dilations"] = [dilation] * 2
    shape = Shape((1, c, size, size), (c, 1, kernel, kernel), attributes)
    zero_point = 100
    x = np.full(shape.x, -128, S8)
    x[:, 1:, :, 1::2] = 127
    x[:, 3:, :, 1::3] = -128
    w = np.full(shape.w, weight, S8)
    sums = convolve(x.astype(np.int64) - zero_point, w.astype(np.int64) - weight_zero, shape)
    x_quant = Quant(S8, np.float32(0.02), zero_point)
    w_quant = Quant(S8, np.float32(0.01), weight_zero)
    y_quant = Quant(S8, np.float32(2e-4 * np.abs(sums).max() / 120), -5)
    factor = ratio(x_quant.scale, w_quant.scale, y_quant.scale)
    expected = requantize(sums, factor, -5, -128, 127).astype(S8)
    operands = [
        made.dequantized(f"{name}_x", x, x_quant),
        made.dequantized(f"{name}_w", w, w_quant, constant=True),
    ]
    real = made.node("Conv", operands, f"{name}_real", **attributes)
    made.finish(name, real, y_quant, expected)


def depthwise_bench() -> Bench:
    made = Bench()
    for kernel, stride in ((3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (7, 3)):
        for weight in (-128, 127):
            add_depthwise(made, f"k{kernel}s{stride}w{weight}", kernel, stride, weight)
    for stride, dilation in ((1, 2), (1, 3), (2, 2), (3, 2)):
        add_depthwise(made, f"s{stride}d{dilation}", 3, stride, 127, dilation)
    for stride in (1, 2):
        add_depthwise(made, f"s{stride}_above_all", 3, stride, 127, weight_zero=-128)
        add_depthwise(made, f"s{stride}_below_all", 3, stride, -128, weight_zero=127)
    return made


DEPTHWISE = depthwise_bench()


@functools.cache
def depthwise_answers(engine: str) -> Mapping[str, np.ndarray]:
    compiled = plan_model(DEPTHWISE.model(), find_target("wasm"), Options(name="depthwise"))
    kernels = [call.choice.kernel for call in compiled.plan.calls if call.node.op.kind == "Conv"]
    assert [kernel.template for kernel in kernels] == ["depthwise/s8__interp.c.j2"] * len(kernels)
    compiled_module = build_artifact(generate(compiled), compiled.plan.target, strict=True)
    return run_in(engine, compiled_module, DEPTHWISE.feeds)


@pytest.mark.parametrize("engine", SCALAR_ENGINES)
@pytest.mark.parametrize("name", DEPTHWISE.names)
def test_depthwise_sums_at_their_limits(name, engine):
    expected = DEPTHWISE.expected[name]
    assert not (complaint := EXACT(depthwise_answers(engine)[name], expected)), complaint
    assert len(np.unique(expected)) > 2


@functools.cache
def module(zero_point: int) -> bytes:
    made = BENCHES[zero_point]
    compiled = plan_model(made.model(), find_target("wasm"), Options(name="fields"))
    kernels = [call.choice.kernel for call in compiled.plan.calls]
    assert sum("interp" in kernel.needs for kernel in kernels) == len(CASES)
    return build_artifact(generate(compiled), compiled.plan.target, strict=True)


@functools.cache
def answers(engine: str, zero_point: int) -> Mapping[str, np.ndarray]:
    return run_in(engine, module(zero_point), BENCHES[zero_point].feeds)


@pytest.mark.parametrize("engine", SCALAR_ENGINES)
@pytest.mark.parametrize("zero_point", BENCHES)
@pytest.mark.parametrize("name", CASES)
def test_sums_at_their_limits(name, zero_point, engine):
    expected = BENCHES[zero_point].expected[name]
    assert not (complaint := EXACT(answers(engine, zero_point)[name], expected)), complaint
    assert len(np.unique(expected)) > 1 or "line" in name or expected.size < 12
