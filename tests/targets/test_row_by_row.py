"""Layers that run together row by row give the bytes of layers that run one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from cases import in_onnxruntime, run
from native_gcc import needs_sanitizers, run_program, sanitized_program
from streamed_networks import NETWORKS, NetworkWriter

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.errors import OverBudget
from nn2wasm.plan import Plan
from nn2wasm.target import ArtifactKind, find_target

KINDS = pytest.mark.parametrize("bytes_", [False, True], ids=["f32", "s8"])
SIMD = replace(find_target("host"), kind=ArtifactKind.C, least_memory=True)  # gcc cannot embed


def image(model: onnx.ModelProto, bytes_: bool) -> np.ndarray:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(5)
    if bytes_:
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.uniform(-5, 5, shape).astype(np.float32)


def options(bytes_: bool, **others: Any) -> Options:
    """Networks of bytes are fed with bytes: as floats their input would be the largest tensor."""
    return Options(name="n", io_integers=bytes_, **others)


def plan(model: onnx.ModelProto, bytes_: bool, **others: Any) -> Plan:
    return plan_model(model, find_target("wasm"), options(bytes_, **others)).plan


def streamed(made: Plan) -> int:
    return sum(len(segment.calls) for segment in made.segments if segment.stretch is not None)


@KINDS
@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "wasm-simd128-cranelift", "host"])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_bytes(name, target, bytes_):
    model = NETWORKS[name](bytes_)
    feeds = {"x": image(model, bytes_)}
    expected, actual = (
        run(model, feeds, aim, options(bytes_)) for aim in (target, f"{target} memory")
    )
    for output, value in expected.items():
        np.testing.assert_array_equal(actual[output], value)


@pytest.mark.parametrize("name", NETWORKS)
def test_floats_are_right(name):
    model = NETWORKS[name](False)
    feeds = {"x": image(model, False)}
    actual = run(model, feeds, "wasm memory")
    for output, expected in zip(actual.values(), in_onnxruntime(model, feeds), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-3)


@KINDS
@pytest.mark.parametrize("name", ["residuals", "inverted"])
def test_it_streams_and_saves(name, bytes_):
    model = NETWORKS[name](bytes_)
    before = plan(model, bytes_, optimize="speed")
    after = plan(model, bytes_, optimize="memory")
    assert streamed(before) == 0
    assert streamed(after) > 1
    assert after.memory.arena_bytes < before.memory.arena_bytes


@KINDS
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_beyond_the_arena(name, bytes_, tmp_path):
    """SIMD kernels, whose vectors are longer than some rows, in an arena of exactly their size."""
    needs_sanitizers()
    model = NETWORKS[name](bytes_)
    x, answers = image(model, bytes_), []
    for target in (find_target("c"), SIMD):
        tree = generate(plan_model(model, target, options(bytes_)))
        folder = tmp_path / target.name
        folder.mkdir()
        answers.append(run_program(sanitized_program(tree, folder), tree, {"x": x}))
    for output, value in answers[0].items():
        np.testing.assert_array_equal(answers[1][output], value)


def test_what_leaves_the_cache_streams_where_there_is_one():
    n = NetworkWriter(4, False)
    model = n.model(
        (1, 3, 64, 64), n.conv(n.conv(n.conv("x", 3, 96, 1), 96, 96, groups=96), 96, 4, 1)
    )
    speed = Options(optimize="speed")
    plans = {
        name: plan_model(model, find_target(name), speed).plan for name in ("wasm", "wasm-simd128")
    }
    assert streamed(plans["wasm"]) == 0
    assert streamed(plans["wasm-simd128"]) == 3
    small = NETWORKS["residuals"](False)
    assert streamed(plan_model(small, find_target("wasm-simd128")).plan) == 0


def test_a_budget_is_kept_by_the_cheapest_plan():
    model = NETWORKS["inverted"](True)
    whole, least = (
        plan(model, True, optimize=aim).memory.arena_bytes for aim in ("speed", "memory")
    )
    middle = (whole + least) // 2
    between = plan(model, True, ram=middle, optimize="speed")
    assert least <= between.memory.arena_bytes <= middle
    assert 0 < streamed(between) <= streamed(plan(model, True, ram=least, optimize="speed"))
    assert streamed(plan(model, True, ram=whole, optimize="speed")) == 0
    with pytest.raises(OverBudget, match="arena"):
        plan(model, True, ram=least - 1)
