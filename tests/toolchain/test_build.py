"""Generated C to modules and libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import ENGINES, run_in, run_in_wasmtime, run_native
from tiny_models import add_one, tensor, tiny_model, two_inputs, weights_from_blob

from nn2wasm.errors import InternalError, ToolchainError
from nn2wasm.target import find_target
from nn2wasm.toolchain import (
    build_artifact,
    build_many,
    build_module,
    build_native,
    build_wasm,
    finish_module,
    module_sizes,
)
from nn2wasm.toolchain.wasm_file import WasmFile
from nn2wasm.toolchain.zig import run_zig

WASM = find_target("wasm")
SIMD = find_target("wasm-simd128")
HOST = find_target("host")


def test_same_tree_gives_same_bytes():
    first, second = (build_module(weights_from_blob(b"abc" * 999), WASM) for _ in range(2))
    assert first == second


def test_no_path_of_this_machine_gets_into_a_module():
    raw = build_wasm(add_one(), WASM)
    assert b"nn2wasm-" not in raw
    assert b"/tmp" not in raw
    assert not [s.name for s in WasmFile.parse(raw).sections if s.name == "name"]


def test_an_empty_model_stays_small():
    sizes = module_sizes(build_module(add_one(), WASM))
    assert sizes.total - sizes.custom < 400
    assert sizes.memory_bytes == 65536


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_come_in_by_embed(engine):
    weights = bytes(range(256)) * 1000
    module = build_module(weights_from_blob(weights), WASM, strict=True)
    sizes = module_sizes(module)
    assert sizes.data == len(weights)
    assert sizes.memory_bytes == 4 * 65536
    outputs = run_in(engine, module, {"x": np.int32([7])})
    assert outputs["y"] == sum(weights) + 7


def test_zeroed_memory_is_not_written_as_data():
    tree = tiny_model(
        "scratch",
        "buffer[arena[0]] = arena[1]; arena[16] = buffer[7]; return 0;",
        [(tensor("x", "u8", 2), 0)],
        [(tensor("y", "u8", 1), 16)],
        prologue="static unsigned char buffer[100000];",
    )
    sizes = module_sizes(build_module(tree, WASM))
    assert sizes.data == 0
    assert sizes.memory_bytes == 2 * 65536


@pytest.mark.parametrize("loop", ["y[i] = x[i];", "y[i] = 0;"])
def test_copy_and_fill_become_instructions(loop):
    """Not calls: memory.c must have been dropped by the linker."""
    tree = tiny_model(
        "bulk",
        "run(arena, arena + 128, arena[127]); return 0;",
        [(tensor("x", "u8", 128), 0)],
        [(tensor("y", "u8", 128), 128)],
        prologue="__attribute__((noinline)) static void run(const uint8_t *restrict x, "
        f"uint8_t *restrict y, int n) {{ (void)x; for (int i = 0; i < n; i++) {{ {loop} }} }}",
    )
    wasm = WasmFile.parse(build_wasm(tree, WASM, strict=True))
    opcode = b"\xfc\x0a\x00\x00" if "x" in loop else b"\xfc\x0b\x00"
    assert any(opcode in body for body in wasm.function_bodies)
    assert len(wasm.function_bodies) == 10


@pytest.mark.parametrize("engine", ENGINES)
def test_a_core_without_bulk_memory_gets_our_memcpy(engine):
    """The loops in memory.c must not have become calls to themselves."""
    mvp = replace(WASM, zig_flags=("-mcpu=mvp",), optimize="speed")
    tree = tiny_model(
        "moves",
        "unsigned n = arena[0];"
        " memmove(arena + 17, arena + 16, n); memmove(arena + 40, arena + 41, n);"
        " memcpy(arena + 64, arena + 16, n); memset(arena + 80, 9, n);"
        " arena[100] = memcmp(arena + 16, arena + 17, n) == 0; memcpy(arena + 128, arena, 112);"
        " return 0;",
        [(tensor("x", "u8", 112), 0)],
        [(tensor("y", "u8", 112), 128)],
    )
    x = np.random.default_rng(5).integers(1, 255, 112).astype(np.uint8)
    x[0] = 13
    want = x.copy()
    want[17:30] = x[16:29]
    want[40:53] = want[41:54].copy()
    want[64:77] = want[16:29]
    want[80:93] = 9
    want[100] = (want[16:29] == want[17:30]).all()
    module = build_module(tree, mvp, strict=True)
    assert b"\xfc\x0a" not in module
    np.testing.assert_array_equal(run_in(engine, module, {"x": x})["y"], want)


def test_simd_target():
    module = build_module(add_one(64), SIMD, strict=True)
    assert any(b"\xfd" in body for body in WasmFile.parse(module).function_bodies)
    x = np.arange(64, dtype=np.int8)[None]
    np.testing.assert_array_equal(run_in_wasmtime(module, {"x": x})["y"], x + 1)


def test_one_byte_pages_for_small_runtimes():
    tree = add_one()
    module = finish_module(build_wasm(tree, WASM, page_bytes=1), tree.metadata)
    assert module_sizes(module).memory_bytes < 100
    x = np.zeros((1, 8), np.int8)
    np.testing.assert_array_equal(run_in_wasmtime(module, {"x": x})["y"], x + 1)


def test_native_library():
    a, b = np.float32([1, 2, 3]), np.float32([4, -0.0, np.inf])
    outputs = run_native(build_native(two_inputs(), HOST, strict=True), {"first": a, "second": b})
    np.testing.assert_array_equal(outputs["sum"], a + b)
    np.testing.assert_array_equal(outputs["difference"], a - b)


def test_native_library_keeps_hostile_metadata():
    tree = add_one()
    name = 'x"); /* ??/ \\ \n%s \N{SNOWMAN}'
    tree = replace(tree, metadata=dict(tree.metadata) | {"inputs": [tensor(name, "s8", 1, 8)]})
    outputs = run_native(build_native(tree, HOST, strict=True), {name: np.zeros((1, 8), np.int8)})
    assert outputs["y"].tolist() == [[1] * 8]


def test_flags_of_a_target_come_last(tmp_path):
    """So a test can have the same C with overflow checks: here it must end the process."""
    checked = replace(
        HOST,
        zig_flags=("-fsanitize=undefined", "-fsanitize-trap=undefined"),
        speed_flags=("-O1",),
    )
    tree = tiny_model(
        "overflow",
        "int32_t *x = (void *)arena; x[4] = x[0] + 1; return 0;",
        [(tensor("x", "s32", 1), 0)],
        [(tensor("y", "s32", 1), 16)],
    )
    (tmp_path / "library").write_bytes(build_native(tree, checked))
    script = (
        "import sys; from nn2wasm.loaders import load; load(sys.argv[1]).run([int(sys.argv[2])])"
    )
    statuses = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "library"), str(value)],
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            check=False,
        ).returncode
        for value in (1, 2**31 - 1)
    ]
    assert statuses[0] == 0
    assert statuses[1] < 0


def test_many_builds_keep_their_order():
    trees = [weights_from_blob(bytes([n])) for n in range(6)]
    for n, module in enumerate(build_many(trees, WASM)):
        assert run_in_wasmtime(module, {"x": np.int32([0])})["y"] == n


def test_refused_c_names_the_line():
    tree = add_one()
    broken = replace(tree, files=dict(tree.files) | {"extra.c": "int f(void) { return y; }\n"})
    with pytest.raises(ToolchainError) as caught:
        build_wasm(broken, WASM)
    assert "the compiler refused to compile the generated C" in str(caught.value)
    assert "extra.c:1:22: error: use of undeclared identifier 'y'" in str(caught.value)


def test_warnings_are_errors_when_strict():
    tree = tiny_model("narrow", "int n = 300; signed char c = n; return c;", [], [])
    with pytest.raises(ToolchainError, match="Wimplicit-int-conversion"):
        build_wasm(tree, WASM, strict=True)
    build_wasm(tree, WASM)


def test_a_missing_function_is_told_by_the_linker():
    tree = tiny_model("call", "int elsewhere(int); return elsewhere(arena[0]);", [], [])
    with pytest.raises(ToolchainError, match="undefined symbol: elsewhere"):
        build_wasm(tree, WASM)


@pytest.mark.parametrize("path", ["../escape.h", "/escape.h", "a/../../escape.h"])
def test_files_stay_in_the_build_folder(path):
    tree = add_one()
    with pytest.raises(InternalError, match="outside the source tree"):
        build_wasm(replace(tree, files=dict(tree.files) | {path: ""}), WASM)


def test_two_c_files_of_one_name_are_refused():
    tree = add_one()
    with pytest.raises(InternalError, match="same name"):
        build_wasm(replace(tree, files=dict(tree.files) | {"sub/add_one.c": ""}), WASM)


def test_headers_may_lie_in_folders():
    tree = tiny_model(
        "deep",
        "arena[16] = (unsigned char)(arena[0] + THREE); return 0;",
        [(tensor("x", "u8", 1), 0)],
        [(tensor("y", "u8", 1), 16)],
        prologue='#include "nn2wasm/three.h"',
        files={"nn2wasm/three.h": "#define THREE 3\n"},
    )
    assert run_in_wasmtime(build_module(tree, WASM), {"x": np.uint8([4])})["y"] == 7


def test_nothing_is_built_for_the_c_target():
    with pytest.raises(InternalError, match="ends in sources"):
        build_artifact(add_one(), find_target("c"))


def test_a_step_that_takes_too_long(tmp_path):
    with pytest.raises(ToolchainError, match="zig did not wait within 0 s"):
        run_zig(["version"], tmp_path, doing="wait", timeout=0)


def test_flags_of_the_callers_environment_do_not_reach_the_compiler(monkeypatch, tmp_path):
    before = build_wasm(add_one(), WASM)
    (tmp_path / "stdint.h").write_text("#error the caller's header\n")
    monkeypatch.setenv("CPATH", str(tmp_path))
    monkeypatch.setenv("C_INCLUDE_PATH", str(tmp_path))
    assert build_wasm(add_one(), WASM) == before


def test_an_unwritable_cache_is_no_obstacle(tmp_path):
    """XDG_CACHE_HOME is a file here; even root cannot make a folder in it."""
    (tmp_path / "file").write_text("")
    script = "from nn2wasm.toolchain.zig import cache_folder\nassert cache_folder().is_dir()\n"
    script += "import sys; sys.stdout.write(str(cache_folder()))"
    environment = dict(os.environ, XDG_CACHE_HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout).parent == tmp_path
