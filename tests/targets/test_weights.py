"""Weights that do not lie in memory: the same bytes, less of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from engines import run_in
from native_gcc import needs_sanitizers, run_program, sanitized_program
from streamed_networks import NETWORKS

from nn2wasm.api import Options, compile_model, generate, plan_model
from nn2wasm.errors import RunError, TargetError
from nn2wasm.loaders import load
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact, read_metadata
from nn2wasm.toolchain.module_sizes import module_sizes
from nn2wasm.toolchain.wasm_file import WasmFile

PLACES = ("resident", "flash", "host")
AIMS = ("size", "memory")
ENGINES = {"resident": ("wasmtime",), "flash": ("wasmtime", "node"),
           "host": ("wasmtime", "node", "wasm3")}  # wasm3 has no memory.init  # fmt: skip
IMAGE = np.random.default_rng(3).integers(-128, 128, (1, 3, 21, 17)).astype(np.int8)


@cache
def built(place: str, aim: str, page_bytes: int = 65536) -> tuple[bytes, bytes]:
    """The module and its file of weights."""
    options = Options(
        name="n", io_integers=True, optimize=aim, weights=place, page_bytes=page_bytes
    )  # type: ignore[arg-type]
    compiled = plan_model(NETWORKS["inverted"](True), find_target("wasm"), options)
    tree = generate(compiled)
    return build_artifact(tree, compiled.plan.target, strict=True), tree.weights


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize(("place", "engine"), [(p, e) for p in PLACES for e in ENGINES[p]])
def test_same_bytes(place, engine, aim):
    module, weights = built(place, aim)
    expected = run_in("wasmtime", built("resident", "size")[0], {"x": IMAGE})
    for _ in range(2):
        answer = run_in(engine, module, {"x": IMAGE}, weights if place == "host" else b"")
        for name, value in expected.items():
            np.testing.assert_array_equal(answer[name], value)


@pytest.mark.parametrize("aim", AIMS)
def test_memory_is_the_arena_the_stack_and_a_tile(aim):
    whole = module_sizes(built("resident", aim, 1)[0]).memory_bytes
    for place in ("flash", "host"):
        module, weights = built(place, aim, 1)
        memory, about = module_sizes(module).memory_bytes, read_metadata(module)
        assert memory == about["memory_bytes"] < whole
        assert memory <= about["arena_bytes"] + 64
        assert len(weights) > 1000
        assert WasmFile.parse(module).data_bytes == (len(weights) if place == "flash" else 0)


def test_pages_are_what_is_asked_for():
    big, small = built("flash", "memory")[0], built("flash", "memory", 1)[0]
    assert module_sizes(big).memory_bytes == 65536
    about = read_metadata(big)["memory_bytes"]
    assert module_sizes(small).memory_bytes == read_metadata(small)["memory_bytes"] == about
    assert (
        run_in("wasmtime", small, {"x": IMAGE}).keys()
        == run_in("wasmtime", big, {"x": IMAGE}).keys()
    )


def test_the_file_lies_beside_the_module_and_is_checked(tmp_path):
    options = Options(io_integers=True, weights="host")
    made = compile_model(NETWORKS["inverted"](True), tmp_path / "n.wasm", options=options)
    assert made.files == ("n.wasm", "n.weights")
    with load(tmp_path / "n.wasm") as session:
        session.run({"x": IMAGE})
    module, weights = (tmp_path / "n.wasm").read_bytes(), (tmp_path / "n.weights").read_bytes()
    with load(module, weights) as session:
        session.run({"x": IMAGE})
    for wrong in (b"", weights[:-1], bytes(len(weights))):
        with pytest.raises(RunError, match="weights"):
            load(module, wrong)
    (tmp_path / "n.weights").unlink()
    with pytest.raises(RunError, match="weights are missing"):
        load(tmp_path / "n.wasm")


def test_javascript_wants_the_weights_too():
    module, weights = built("host", "size")
    with pytest.raises(RunError, match="weights"):
        run_in("node", module, {"x": IMAGE}, weights[:-8])


def test_c_asks_the_firmware_for_weights(tmp_path):
    needs_sanitizers()
    answers = []
    for place in ("resident", "host"):
        target = replace(find_target("c"), least_memory=True).with_weights(place)
        model = NETWORKS["inverted"](True)
        options = Options(name="n", io_integers=True, weights=place)
        tree = generate(plan_model(model, target, options))
        folder = tmp_path / place
        folder.mkdir()
        if place == "host":
            source = f"{tree.files['n.c']}{reader(tree.weights)}"
            tree = replace(tree, files={**tree.files, "n.c": source})
        answers.append(run_program(sanitized_program(tree, folder), tree, {"x": IMAGE}))
    for name, value in answers[0].items():
        np.testing.assert_array_equal(answers[1][name], value)


def reader(weights: bytes) -> str:
    """Firmware whose weights lie in an array."""
    values = ",".join(str(byte) for byte in weights)
    return f"""static const unsigned char file[{len(weights)}] = {{{values}}};
void n_read(void *to, uint32_t offset, uint32_t bytes) {{ memcpy(to, file + offset, bytes); }}
"""


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("c", Options(weights="flash")),
        ("host", Options(weights="host")),
        ("wasm", Options(weights="rom")),  # type: ignore[arg-type]
        ("wasm", Options(page_bytes=4096)),
        ("c", Options(page_bytes=1)),
    ],
)
def test_what_makes_no_sense_is_refused(target, options):
    with pytest.raises(TargetError):
        plan_model(NETWORKS["pools"](True), find_target(target), options)
