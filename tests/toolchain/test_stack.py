"""The stack that a module gets is the stack that it needs."""

from __future__ import annotations

import numpy as np
import pytest
from engines import run_in, run_in_wasmtime
from tiny_models import add_one, tensor, tiny_model

from nn2wasm.codegen.source_tree import SourceTree
from nn2wasm.errors import RunError
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module, build_wasm, finish_module
from nn2wasm.toolchain.stack import stack_need

WASM = find_target("wasm")
X = {"x": np.uint8([5])}
LOCAL = "volatile unsigned char b[{n}]; for (int i = 0; i < {n}; i++) {{ b[i] = p[0]; }}"
FRAMES = (
    "__attribute__((noinline)) static unsigned char inner(const unsigned char *p) {"
    + LOCAL.format(n=400)
    + " return b[399]; } "
    "__attribute__((noinline)) static unsigned char other(const unsigned char *p) {"
    + LOCAL.format(n=900)
    + " return b[899]; } "
    "__attribute__((noinline)) static unsigned char outer(const unsigned char *p) {"
    + LOCAL.format(n=800)
    + " return (unsigned char)(b[799] + inner(p)); }"
)


def tree(statements: str, prologue: str = FRAMES) -> SourceTree:
    return tiny_model(
        "stack",
        f"const unsigned char *p = arena; arena[16] = {statements}; return 0;",
        [(tensor("x", "u8", 1), 0)],
        [(tensor("y", "u8", 1), 16)],
        prologue=prologue,
    )


def test_no_frames_no_stack():
    assert stack_need(build_wasm(add_one(), WASM)) == 0


def test_the_deepest_path_counts():
    deepest = stack_need(build_wasm(tree("(unsigned char)(outer(p) + other(p))"), WASM))
    assert deepest is not None
    assert 1200 <= deepest < 1300


@pytest.mark.parametrize("flag", ["-O1", "-O2", "-O3", "-Oz"])
def test_the_bound_is_exact(flag):
    """It runs in the least stack and traps in 16 bytes less: the stack lies below all data."""
    model = tree("outer(p)")
    target = type(WASM)(
        name="w",
        summary="",
        kind=WASM.kind,
        zig_triple=WASM.zig_triple,
        zig_flags=("-mcpu=lime1",),
        speed_flags=(flag,),
    )
    need = stack_need(build_wasm(model, target))
    assert need is not None
    for stack_bytes in (None, need):
        module = finish_module(
            build_wasm(model, target, stack_bytes=stack_bytes, page_bytes=1), model.metadata
        )
        assert run_in_wasmtime(module, X)["y"] == 10
    less = build_wasm(model, target, stack_bytes=need - 16, page_bytes=1)
    with pytest.raises(RunError, match="out of bounds"):
        run_in_wasmtime(finish_module(less, model.metadata), X)


def test_recursion_has_no_bound():
    prologue = (
        "static unsigned char g(const unsigned char *p, int n) {"
        + LOCAL.format(n=64)
        + " return n ? (unsigned char)(b[n] + g(p, n - 1)) : b[0]; }"
    )
    model = tree("g(p, p[0])", prologue)
    assert stack_need(build_wasm(model, WASM)) is None
    assert run_in("wasmtime", build_module(model, WASM), X)["y"] == 30


def test_arrays_of_variable_length_have_no_bound():
    prologue = (
        "__attribute__((noinline)) static unsigned char g(const unsigned char *p, int n) {"
        " volatile unsigned char b[n]; for (int i = 0; i < n; i++) { b[i] = p[0]; }"
        " return b[n - 1]; }"
    )
    assert stack_need(build_wasm(tree("g(p, p[0])", prologue), WASM)) is None
