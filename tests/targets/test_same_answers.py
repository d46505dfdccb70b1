"""One model, one answer: every target in every engine, compared byte by byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from platform import machine

import numpy as np
import pytest
from engines import (
    JAVASCRIPT_ENGINES,
    SCALAR_ENGINES,
    SIMD_ENGINES,
    node,
    run_all_in,
    run_in,
    run_native,
    skip_without_relaxed,
    target_taken,
)
from native_gcc import needs_gcc, needs_sanitizers, run_program, sanitized_program
from target_models import MODELS, TargetModel
from tolerance import CLOSE, EXACT

from nn2wasm.errors import RunError
from nn2wasm.ir import DType
from nn2wasm.resources import data_folder

WASM_RUNS = [
    pytest.param(target, engine, id=f"{target}-in-{engine}")
    for target, engines in (
        ("wasm", SCALAR_ENGINES[1:]),
        ("wasm-simd128", SIMD_ENGINES),
        ("wasm-simd128-cranelift", SIMD_ENGINES),
        ("wasm-relaxed", ("node",)),
    )
    for engine in engines
]
BEST_FIRST = ("wasm-relaxed", "wasm-simd128", "wasm")
NATIVE_BUILDS = ("clang", "gcc", "gcc -O3", "host", "integers")


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
    if engine in JAVASCRIPT_ENGINES:
        try:
            answers = run_all_in(engine, [(module, feeds) for feeds in model.feeds], times=3)
        except RunError as problem:
            if target == "wasm-relaxed":
                skip_without_relaxed(problem)
            raise
    else:
        answers = [run_in(engine, module, feeds) for feeds in model.feeds]
    compare(model, f"{target} in {engine}", answers, reference(model), record_property)


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("target", ["wasm-relaxed"])
def test_relaxed_in_wasmtime_is_right_or_refused(model, target, builds, reference):
    """Which of them, depends on the processor: on most, wasmtime has no exact products of bytes."""
    refusals = []
    try:
        answers = [run_in("wasmtime", builds(model, target), feeds) for feeds in model.feeds]
    except RunError as problem:
        refusals.append(problem.hint)
    if refusals:
        assert refusals[0].endswith("--target wasm-simd128-cranelift")
    else:
        compare(model, f"{target} in wasmtime", answers, reference(model))


@pytest.mark.parametrize("engine", JAVASCRIPT_ENGINES)
def test_of_a_list_the_best_that_is_right_is_taken(engine, builds, reference):
    model = MODELS[0]
    modules = [builds(model, target) for target in BEST_FIRST]
    taken = target_taken(engine, modules, model.feeds[0])
    try:
        run_all_in(engine, [(modules[0], model.feeds[0])])
    except RunError:
        assert taken == "wasm-simd128"
    else:
        assert taken == "wasm-relaxed"
    assert target_taken(engine, modules[1:], model.feeds[0]) == "wasm-simd128"


@pytest.mark.skipif(machine().lower() not in ("x86_64", "amd64"), reason="a matter of x86")
def test_a_processor_whose_products_saturate_gets_the_next_module(builds, tmp_path):
    """Without AVX, V8 has no exact products of bytes: what it is told to believe here."""
    for target in BEST_FIRST:
        (tmp_path / f"{target}.wasm").write_bytes(builds(MODELS[0], target))
    loader = data_folder("templates") / "model" / "loader.mjs"
    paths = json.dumps([str(tmp_path / f"{target}.wasm") for target in BEST_FIRST])
    script = tmp_path / "choose.mjs"
    script.write_text(
        f"import {{ load }} from {json.dumps(loader.as_uri())};"
        f"console.log((await load({paths})).metadata.target);"
    )
    assert node("--no-enable-avx", str(script)).strip() == "wasm-simd128"


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("compiler", NATIVE_BUILDS)
def test_native(model, compiler, builds, reference, record_property):
    if compiler.startswith("gcc"):
        needs_gcc()
    library = builds(model, compiler)
    answers = [run_native(library, feeds) for feeds in model.feeds]
    compare(model, compiler, answers, reference(model), record_property, floats=EXACT)


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("kind", ["tree", "SIMD tree", "DSP tree", "Helium tree"])
def test_under_sanitizers(model, kind, builds, reference, tmp_path):
    """WebAssembly does not check bounds inside its memory, nor signed overflow: gcc's checks do."""
    needs_sanitizers()
    tree = builds(model, kind)
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
    floats=CLOSE,
) -> None:
    """Integers and what is computed from them must be equal; other floats as `floats` says."""
    worst = 0.0
    for answer, want in zip(answers, expected, strict=True):
        assert list(answer) == list(want)
        for name, array in want.items():
            exact = model.is_integer or DType.of(array) is not DType.F32
            complaint = (EXACT if exact else floats)(answer[name], array)
            assert not complaint, f"{model} by {where}, output {name!r}: {complaint}"
            if not exact:
                distance = np.abs(answer[name] - array).max(initial=0.0)
                worst = max(worst, float(distance / np.abs(array).max(initial=1e-30)))
    if not model.is_integer and record_property is not None:
        record_property("float difference", f"{model!s:16} {where:24} {worst:.2g}")
