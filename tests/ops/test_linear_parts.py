"""Layers whose constants come part by part: the same bytes as with all constants at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from engines import run_in_node, run_in_wasmtime, run_native, skip_without_relaxed
from outcome import once

from nn2wasm.api import Compiled, Options, generate, plan_model
from nn2wasm.errors import RunError
from nn2wasm.plan import Call, Segment, lay_out
from nn2wasm.plan.parts import LEAST_OUTPUTS, PartMaker
from nn2wasm.target import ArtifactKind, find_target
from nn2wasm.toolchain import build_artifact

TARGETS = (
    "wasm",
    "wasm-simd128",
    "wasm-simd128 size",
    "wasm-relaxed",
    "c",
    "cortex-m0",
    "cortex-m4",
    "cortex-m55",
)
"""Those among which kernels differ, and how they lay out weights."""
S8, S16, F32 = np.int8, np.int16, np.float32
X = {S8: Quant(S8, np.float32(0.02), -7), S16: Quant(S16, np.float32(1e-4), 0)}
Y = {S8: Quant(S8, np.float32(0.07), 11), S16: Quant(S16, np.float32(1e-3), 0)}


def real(bench: Bench, name: str, shape: tuple[int, ...], dtype: Any) -> str:
    """An input, dequantized where it is of integers."""
    if dtype is F32:
        return bench.input(f"{name}_x", rng.standard_normal(shape, F32))
    return bench.dequantized(f"{name}_x", X[dtype].integers(*shape), X[dtype])


def linear(
    bench: Bench, name: str, op: str, x: tuple[int, ...], w: tuple[int, ...], outputs: int,
    dtype: Any = S8, *, axis: int = 0, channels: bool = True, zero: int = 0, **attributes: Any,
) -> None:  # fmt: skip
    """A node with constant weights and a bias; integers get the output's scale behind it."""
    operands = [real(bench, name, x, dtype)]
    w_scale = np.float32(0.01)
    if dtype is F32:
        operands.append(bench.constant(f"{name}_w", rng.standard_normal(w, F32)))
    else:
        if channels:
            w_scale = rng.uniform(0.002, 0.02, w[axis]).astype(F32)
        quant = Quant(S8, w_scale, np.full(np.shape(w_scale), zero))
        weights = quant.integers(*w)
        by_output = np.moveaxis(weights, axis, 0)
        by_output[: len(by_output) // 2] //= 20  # what is proven of these parts is more than of all
        operands.append(bench.dequantized(f"{name}_w", weights, quant, constant=True, axis=axis))
    if op != "MatMul":
        b = rng.integers(-9000, 9000, outputs)
        if dtype is F32:
            operands.append(bench.constant(f"{name}_b", (b / 5000).astype(F32)))
        else:
            scale = X[dtype].scale * np.resize(w_scale, outputs if channels else 1)
            scale = scale.astype(F32) if channels else F32(scale[0])
            quant = Quant(np.int32, scale, np.zeros(np.shape(scale)))
            operands.append(
                bench.dequantized(f"{name}_b", b.astype(np.int32), quant, constant=True)
            )
    y = bench.node(op, operands, name if dtype is F32 else f"{name}_real", **attributes)
    if dtype is F32:
        bench.done(name, y)
    else:
        bench.finish(name, y, Y[dtype], None)


def layers(bench: Bench) -> None:
    """Odd numbers of outputs, groups, zero points, one pixel and many."""
    same = {"pads": [1, 1, 1, 1]}
    for dtype, mark in ((S8, ""), (S16, "_s16"), (F32, "_f32")):
        for n in (2, 5, 12, 17, 30, 37, 64, 100):
            linear(bench, f"line{mark}_{n}", "Gemm", (1, 70), (n, 70), n, dtype, transB=1)
        linear(bench, f"columns{mark}", "Gemm", (3, 41), (41, 29), 29, dtype, axis=1)
        linear(bench, f"lines{mark}", "Gemm", (7, 24), (40, 24), 40, dtype, transB=1)
        linear(bench, f"pointwise{mark}", "Conv", (1, 19, 5, 3), (36, 19, 1, 1), 36, dtype)
        linear(bench, f"narrow{mark}", "Conv", (1, 21, 10, 4), (33, 21, 1, 1), 33, dtype)
        linear(bench, f"windows{mark}", "Conv", (1, 5, 7, 6), (26, 5, 3, 3), 26, dtype, **same)
        linear(
            bench, f"strided{mark}", "Conv", (2, 6, 9, 8), (20, 6, 3, 3), 20, dtype,
            strides=[2, 2], **same,
        )  # fmt: skip
        linear(
            bench, f"groups{mark}", "Conv", (1, 6, 6, 5), (34, 3, 3, 3), 34, dtype, group=2, **same
        )
        linear(bench, f"one_pixel{mark}", "Conv", (1, 40, 1, 1), (48, 40, 1, 1), 48, dtype)
        linear(bench, f"sound{mark}", "Conv", (1, 4, 23), (18, 4, 5), 18, dtype, strides=[2])
    for dtype, mark in ((S8, ""), (F32, "_f32")):
        transposed = {"group": 2, "strides": [2, 2]}
        linear(
            bench, f"transposed{mark}", "ConvTranspose", (1, 60, 4, 3), (60, 17, 3, 3), 34, dtype,
            channels=False, **transposed,
        )  # fmt: skip
    linear(bench, "zero_point", "Gemm", (1, 50), (36, 50), 36, zero=5, transB=1)
    linear(bench, "zero_point_windows", "Conv", (1, 5, 5, 5), (28, 5, 3, 3), 28, zero=-3, **same)
    linear(bench, "one_scale", "Conv", (1, 9, 5, 5), (27, 9, 3, 3), 27, channels=False, **same)
    linear(bench, "batched", "MatMul", (2, 3, 11), (2, 11, 37), 37, F32)


@once
def bench() -> Bench:
    made = Bench()
    layers(made)
    return made


@once
def planned(target: str, weights: str) -> Compiled:
    name, _, optimize = target.partition(" ")
    place = {"wasm": "flash"}.get(find_target(name).kind.value, "host") if weights else "resident"
    options = Options(name="n", weights=place, optimize=optimize or None)  # type: ignore[arg-type]
    return plan_model(bench().model(), find_target(name), options)


def answers(compiled: Compiled) -> dict[str, np.ndarray]:
    """What a plan gives; C runs on this machine, with its file of weights in an array."""
    tree, target = generate(compiled), compiled.plan.target
    if target.kind is ArtifactKind.C:
        target = replace(target, kind=ArtifactKind.NATIVE, zig_triple="", zig_flags=())
        if tree.weights:
            tree = replace(
                tree, files={**tree.files, "n.c": tree.files["n.c"] + reader(tree.weights)}
            )
        return run_native(build_artifact(tree, target, strict=True), bench().feeds)
    module = build_artifact(tree, target, strict=True)
    if "relaxed" not in target.features:
        return run_in_wasmtime(module, bench().feeds)
    try:
        return run_in_node(module, bench().feeds)
    except RunError as problem:
        skip_without_relaxed(problem)
        raise


def reader(weights: bytes) -> str:
    """Firmware whose weights lie in an array."""
    values = ",".join(str(byte) for byte in weights)
    return f"""static const unsigned char file[{len(weights)}] = {{{values}}};
void n_read(void *to, uint32_t offset, uint32_t bytes) {{ memcpy(to, file + offset, bytes); }}
"""


@once
def expected(target: str) -> dict[str, np.ndarray]:
    return answers(planned(target, ""))


ROOMS: dict[str, Callable[[Call], int]] = {
    "two": lambda call: call.scratch_bytes - 1,
    "some": lambda call: call.scratch_bytes * 2 // 5,
    "least": lambda call: 0,
}


def in_parts(compiled: Compiled, room: str, *, by_rows: bool) -> Compiled:
    """The plan with each layer alone, in parts whose scratch has that room."""
    plan = compiled.plan
    maker = PartMaker(plan.target, LEAST_OUTPUTS)
    calls = [maker.fit(call, ROOMS[room](call), by_rows=by_rows) for call in plan.calls]
    segments = [Segment((call,)) for call in calls]
    return replace(compiled, plan=lay_out(plan.graph, plan.target, segments))


@pytest.mark.parametrize(
    ("room", "by_rows"), [("two", True), ("some", False), ("least", True), ("least", False)]
)
@pytest.mark.parametrize("target", TARGETS)
def test_parts_give_the_same_bytes(target, room, by_rows):
    made = in_parts(planned(target, "elsewhere"), room, by_rows=by_rows)
    kinds = {call.node.op.kind for call in made.plan.calls if call.parts}
    assert kinds >= {"Gemm", "Conv"}
    results = answers(made)
    for name, value in expected(target).items():
        np.testing.assert_array_equal(results[name], value, err_msg=name)
