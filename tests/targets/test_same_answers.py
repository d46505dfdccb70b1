"""One model, one answer: every target in every engine, compared byte by byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from engines import SCALAR_ENGINES, SIMD_ENGINES, run_all_in_node, run_in, run_native
from native_gcc import needs_gcc, needs_sanitizers, run_program, sanitized_program
from target_models import MODELS, TargetModel
from tolerance import CLOSE, EXACT

from nn2wasm.ir import DType

WASM_RUNS = [
    *(pytest.param("wasm", engine, id=f"wasm-in-{engine}") for engine in SCALAR_ENGINES[1:]),
    *(pytest.param("wasm-simd128", engine, id=f"simd128-in-{engine}") for engine in SIMD_ENGINES),
]
NATIVE_BUILDS = ("clang", "gcc", "gcc -O3", "host")


@pytest.fixture(scope="session")
def reference(builds):
    """reference(model): outputs of `wasm` in wasmtime, which the others must equal."""
    known = {}

    def outputs(model):
        if model not in known:
            module = builds(model, "wasm")
            known[model] = [run_in("wasmtime", module, feeds) for feeds in model.feeds]
        return known[model]

    return outputs


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize(("target", "engine"), WASM_RUNS)
def test_modules(model, target, engine, builds, reference, record_property):
    module = builds(model, target)
    if engine == "node":
        answers = run_all_in_node([(module, feeds) for feeds in model.feeds])
    else:
        answers = [run_in(engine, module, feeds) for feeds in model.feeds]
    compare(model, f"{target} in {engine}", answers, reference(model), record_property)


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("compiler", NATIVE_BUILDS)
def test_native(model, compiler, builds, reference, record_property):
    if compiler.startswith("gcc"):
        needs_gcc()
    library = builds(model, compiler)
    answers = [run_native(library, feeds) for feeds in model.feeds]
    compare(model, compiler, answers, reference(model), record_property)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_under_sanitizers(model, builds, reference, tmp_path):
    """WebAssembly does not check bounds inside its memory, nor signed overflow: gcc's checks do."""
    needs_sanitizers()
    tree = builds(model, "tree")
    program = sanitized_program(tree, tmp_path)
    answers = [run_program(program, tree, feeds) for feeds in model.feeds]
    compare(model, "sanitizers", answers, reference(model))


def test_sanitizers_see_an_arena_that_is_too_small(builds, tmp_path):
    """The check of the check: the arena's last bytes are taken away."""
    needs_sanitizers()
    model = MODELS[0]
    tree = builds(model, "tree")
    header = tree.files[f"{tree.name}.h"]
    size = f"_ARENA_BYTES {tree.arena_bytes}\n"
    assert header.count(size) == 1
    smaller = header.replace(size, f"_ARENA_BYTES {tree.arena_bytes - 1}\n")
    tree = replace(tree, files={**tree.files, f"{tree.name}.h": smaller})
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        run_program(sanitized_program(tree, tmp_path), tree, model.feeds[0])


def compare(
    model: TargetModel,
    where: str,
    answers: list[Mapping[str, np.ndarray]],
    expected: list[Mapping[str, np.ndarray]],
    record_property=None,
) -> None:
    """Integers and what is computed from them must be equal; other floats may differ a little."""
    worst = 0.0
    for answer, want in zip(answers, expected, strict=True):
        assert list(answer) == list(want)
        for name, array in want.items():
            exact = model.is_integer or DType.of(array) is not DType.F32
            complaint = (EXACT if exact else CLOSE)(answer[name], array)
            assert not complaint, f"{model} by {where}, output {name!r}: {complaint}"
            if not exact:
                distance = np.abs(answer[name] - array).max(initial=0.0)
                worst = max(worst, float(distance / np.abs(array).max(initial=1e-30)))
    if not model.is_integer and record_property is not None:
        record_property("float difference", f"{model!s:16} {where:24} {worst:.2g}")
