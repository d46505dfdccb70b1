"""Sums in fields of 64-bit words: what the proof allows, at its limits, in compiled modules."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest
from bench import Bench, Quant
from engines import SCALAR_ENGINES, run_in
from tolerance import EXACT

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.ops.packed_fields import block_outputs, block_width, field_parts, pack_blocks
from nn2wasm.quant.arithmetic import ratio, requantize
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact

S8 = np.int8
HIGHEST = [-128] * 63 + [127, 2]
"""With the bytes that suit it best: 2^20 - 1."""
LOWEST = [127] * 64 + [64]
"""-2^20."""


def row(weights: list[int]) -> np.ndarray:
    return np.asarray([weights], S8)


def largest(weights: np.ndarray) -> int:
    wide = weights.astype(np.int64)
    return int(np.maximum(wide * -128, wide * 127).sum(1).max())


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (HIGHEST, (68, 1)),
        ([*HIGHEST[:-1], 3], (36, 2)),
        (LOWEST, (68, 1)),
        ([*LOWEST[:-1], 65], (36, 2)),
        ([-128] * 63, (64, 1)),
        ([-128] * 64, (32, 2)),
        ([127] * 64, (64, 1)),
        ([1] * 5000, (5000, 1)),
        ([0], (4, 1)),
        ([-128] * 1000, (60, 17)),
    ],
)
def test_parts(weights, expected):
    assert field_parts(row(weights)) == expected


def test_the_worst_output_decides():
    weights = np.ones((3, 64), S8)
    weights[1] = -128
    assert field_parts(weights) == (32, 2)


def test_limits_are_what_they_are_called():
    assert largest(row(HIGHEST)) == 2**20 - 1
    assert largest(-row(LOWEST).astype(np.int16)) == 2**20


@pytest.mark.parametrize(("n", "width"), [(4, 4), (7, 4), (8, 8), (12, 4), (16, 8), (19, 8)])
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


def extremes(weights: np.ndarray, pixels: int) -> np.ndarray:
    """[k][pixels]: bytes that take the first output's sum to its end, up and down in turn."""
    up = np.where(weights[0] < 0, -128, 127)
    down = np.where(weights[0] < 0, 127, -128)
    return np.stack([(up, down, up, up, down)[i % 5] for i in range(pixels)], 1).astype(S8)


CASES: dict[str, tuple[np.ndarray, int]] = {
    # name: weights [n][k], pixels of a row
    "highest": (np.tile(row(HIGHEST), (8, 1)), 6),
    "one_above": (np.tile(row([*HIGHEST[:-1], 3]), (8, 1)), 5),
    "lowest": (np.tile(row(LOWEST), (16, 1)), 7),
    "one_below": (np.tile(row([*LOWEST[:-1], 65]), (5, 1)), 4),
    "all_minus_128": (np.full((9, 64), -128, S8), 5),
    "all_127": (np.full((4, 64), 127, S8), 3),
    "long": (np.full((8, 700), -128, S8), 2),
    "mixed": (np.random.default_rng(3).integers(-128, 128, (17, 301)).astype(S8), 8),
    "one_pixel": (np.full((11, 130), 127, S8), 1),
}


def bench(zero_point: int) -> Bench:
    made = Bench()
    for name, (weights, pixels) in CASES.items():
        n, k = weights.shape
        x_quant = Quant(S8, np.float32(0.02), zero_point)
        w_quant = Quant(S8, np.full(n, 0.01, np.float32), np.zeros(n))
        x = extremes(weights, pixels)
        sums = weights.astype(np.int64) @ (x.astype(np.int64) - zero_point)
        y_quant = Quant(S8, np.float32(2e-4 * max(1, np.abs(sums).max()) / 100), 7)
        factor = ratio(x_quant.scale, w_quant.scale, y_quant.scale).reshape(-1, 1)
        expected = requantize(sums, factor, 7, -128, 127).astype(S8).reshape(1, n, 1, pixels)
        real = made.node(
            "Conv",
            [
                made.dequantized(f"{name}_x", x.reshape(1, k, 1, pixels), x_quant),
                made.dequantized(f"{name}_w", weights.reshape(n, k, 1, 1), w_quant, constant=True),
            ],
            f"{name}_conv",
        )
        made.finish(name, real, y_quant, expected)
    return made


BENCHES = {zero_point: bench(zero_point) for zero_point in (0, -128, 127)}


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
    assert len(np.unique(expected)) > 1 or expected.size < 12
