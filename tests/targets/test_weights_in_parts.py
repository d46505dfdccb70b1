"""Networks whose weights come part by part into what memory there is: the same bytes in any."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from cases import run
from engines import run_in
from native_gcc import needs_sanitizers, run_program, sanitized_program
from streamed_networks import NETWORKS, NetworkWriter
from test_weights import ENGINES, reader

from nn2wasm.api import Compiled, Options, generate, plan_model
from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.codegen.runs import runs_of
from nn2wasm.errors import OverBudget
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact, read_metadata
from nn2wasm.toolchain.module_sizes import module_sizes
from nn2wasm.toolchain.wasm_file import WasmFile
from nn2wasm.tools.inspect import inspect_model

RNG = np.random.default_rng(12)


def heavy(bytes_: bool) -> onnx.ModelProto:
    """Weights are most of it: windows, a skip path, a depthwise layer, products of a line."""
    n = NetworkWriter(5, bytes_)
    a = n.conv(n.quantized("x"), 3, 20, 3, 2)
    b = n.quantized(n.node("Add", n.conv(n.conv(a, 20, 36), 36, 20), a))
    c = n.conv(n.conv(n.conv(b, 20, 52, 1), 52, 52, 3, 2, groups=52), 52, 28, 1)
    d = n.node("Flatten", n.conv(c, 28, 12, 3, groups=2))
    count = 12 * 5 * 4
    e = n.quantized(n.node("Relu", n.quantized(n.node("Gemm", d, n.weights(101, count), transB=1))))
    return n.model((1, 3, 19, 14), n.node("Gemm", e, n.weights(10, 101), transB=1))


def image(bytes_: bool) -> np.ndarray:
    if bytes_:
        return RNG.integers(-128, 128, (1, 3, 19, 14)).astype(np.int8)
    return RNG.uniform(-5, 5, (1, 3, 19, 14)).astype(np.float32)


def planned(bytes_: bool = True, target: str = "wasm", **others: object) -> Compiled:
    options = Options(name="n", io_integers=bytes_, **others)  # type: ignore[arg-type]
    return plan_model(heavy(bytes_), find_target(target), options)


def parts(compiled: Compiled) -> list[int]:
    """Of layers that have more than one."""
    return [len(call.kernels) for call in compiled.plan.calls if call.parts]


def streams_in_parts(compiled: Compiled) -> bool:
    return any(
        call.parts
        for segment in compiled.plan.segments
        if segment.stretch
        for call in segment.calls
    )


@pytest.mark.parametrize("bytes_", [False, True], ids=["f32", "s8"])
@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "wasm-simd128-cranelift"])
@pytest.mark.parametrize("feed", ["whole", "rows"])
def test_same_bytes(target, feed, bytes_):
    feeds = {"x": image(bytes_)}
    options = Options(name="n", io_integers=bytes_)
    expected = run(heavy(bytes_), feeds, target, options)
    least = planned(bytes_, target, weights="flash", optimize="memory", feed=feed)
    assert parts(least)
    arena = least.plan.memory.arena_bytes
    for room in (arena, arena * 5 // 4, arena * 2):
        more = Options(name="n", io_integers=bytes_, weights="flash", ram=room, feed=feed)
        actual = run(heavy(bytes_), feeds, target, more)
        for name, value in expected.items():
            np.testing.assert_array_equal(actual[name], value)


@pytest.mark.parametrize("engine", ENGINES["host"])
def test_hosts_read_parts(engine):
    feeds = {"x": image(True)}
    expected = run(heavy(True), feeds, "wasm", Options(name="n", io_integers=True))
    compiled = planned(weights="host", optimize="memory")
    tree = generate(compiled)
    module = build_artifact(tree, compiled.plan.target, strict=True)
    actual = run_in(engine, module, feeds, tree.weights)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)


@pytest.mark.parametrize("aim", ["speed", "memory"])
def test_c_reads_parts(tmp_path, aim):
    needs_sanitizers()
    feeds = {"x": image(True)}
    expected = run(heavy(True), feeds, "wasm", Options(name="n", io_integers=True))
    compiled = planned(target="c", weights="host", optimize=aim, ram=7000)
    assert parts(compiled)
    tree = generate(compiled)
    files = {**tree.files, "n.c": f"{tree.files['n.c']}{reader(tree.weights)}"}
    tree = type(tree)(tree.name, files, tree.arena_bytes, tree.metadata, tree.weights)
    actual = run_program(sanitized_program(tree, tmp_path), tree, feeds)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)


def test_layers_stream_in_parts():
    assert streams_in_parts(planned(target="c", weights="host", optimize="memory"))


def test_the_arena_is_little_more_than_tensors_need():
    resident = planned(optimize="memory").plan.memory.arena_bytes
    tiled = planned(optimize="memory", weights="flash").plan.memory.arena_bytes
    whole = max(call.tile_bytes for call in planned(weights="flash", optimize="speed").plan.calls)
    assert resident < tiled < resident + 5000 < whole


def test_more_memory_is_fewer_parts():
    least = planned(optimize="memory", weights="flash")
    arena = least.plan.memory.arena_bytes
    more = planned(ram=2 * arena, weights="flash")
    assert arena < more.plan.memory.arena_bytes <= 2 * arena
    assert max(parts(more)) < max(parts(least))


def test_a_page_is_free_where_nobody_asks_for_less():
    made = planned(weights="flash", optimize="speed")
    assert not parts(made)
    assert made.plan.memory.arena_bytes < 65536
    n = NetworkWriter(6, True)
    y = n.node("Gemm", n.quantized("x"), n.weights(300, 1000), transB=1)
    model = n.model((1, 1000), n.quantized(y))
    plan = plan_model(model, find_target("wasm"), Options(weights="flash", optimize="speed")).plan
    assert [len(call.kernels) for call in plan.calls if call.parts] == [6]
    assert plan.memory.arena_bytes <= 65536


def test_memory_is_counted_to_the_byte():
    compiled = planned(weights="flash", optimize="memory", page_bytes=1)
    module = build_artifact(generate(compiled), compiled.plan.target, strict=True)
    about = read_metadata(module)
    assert WasmFile.parse(module).data_bytes == compiled.plan.weight_bytes == about["weight_bytes"]
    assert module_sizes(module).memory_bytes == about["memory_bytes"]
    assert about["memory_bytes"] <= compiled.plan.memory.arena_bytes + 64


def test_inspect_shows_parts():
    options = Options(io_integers=True, weights="flash", optimize="memory")
    layers = inspect_model(heavy(True), "wasm", options).layers
    assert sorted(layer.parts for layer in layers if layer.parts > 1) == sorted(
        parts(planned(weights="flash", optimize="memory"))
    )


@pytest.mark.parametrize(
    "target", ["wasm", "wasm-simd128", "c", "cortex-m0", "cortex-m4", "cortex-m55"]
)
def test_parts_share_a_function(target):
    place = "flash" if target.startswith("wasm") else "host"
    calls = planned(target=target, weights=place, optimize="memory").plan.calls
    kernels = KernelSet(calls)
    in_parts = [call for call in calls if call.parts]
    assert in_parts
    for call in in_parts:
        assert len({kernels.name_of(part) for part in call.kernels}) == 1
        assert len(list(runs_of(call, kernels))) == 1


def test_ram_makes_smaller_parts_than_memory_alone():
    usual = planned(weights="flash", optimize="memory")
    smaller = planned(weights="flash", ram=usual.plan.memory.arena_bytes - 500)
    assert max(parts(smaller)) > max(parts(usual))


def test_what_cannot_fit_is_its_weights():
    with pytest.raises(OverBudget) as caught:
        planned(weights="flash", ram=100)
    assert "its weights" not in str(caught.value)
    least = int(str(caught.value).partition(" bytes")[0].rpartition(" ")[2])
    assert planned(weights="flash", ram=least).plan.memory.arena_bytes <= least
    with pytest.raises(OverBudget) as caught:
        planned(weights="flash", ram=least - 1)
    assert "Conv" in str(caught.value)
    assert "its weights" in str(caught.value)
    assert "in the smallest part" in str(caught.value)


@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks_in_any_room(name):
    model = NETWORKS[name](True)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": RNG.integers(-128, 128, shape).astype(np.int8)}
    expected = run(model, feeds, "wasm", Options(name="n", io_integers=True))
    options = Options(name="n", io_integers=True, weights="flash", optimize="memory")
    for name_, value in run(model, feeds, "wasm", options).items():
        np.testing.assert_array_equal(value, expected[name_])
