"""All builds of all models, made once for the session; a table of float differences at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from native_gcc import gcc_library
from target_models import TargetModel

from nn2wasm.api import generate, plan_model
from nn2wasm.codegen import SourceTree
from nn2wasm.target import ArtifactKind, find_target
from nn2wasm.toolchain import build_artifact

Builds = Callable[[TargetModel, str], Any]

C = find_target("c")
TREES = {
    "tree": C,
    "SIMD tree": replace(find_target("host"), kind=ArtifactKind.C),  # nothing that gcc cannot embed
    "DSP tree": find_target("cortex-m4"),
    "Helium tree": find_target("cortex-m55"),
}
CLANG = replace(C, name="clang", kind=ArtifactKind.NATIVE)
INTEGERS = replace(CLANG, name="integers", traits=find_target("cortex-m3").traits)


@pytest.fixture(scope="session")
def builds(request: pytest.FixtureRequest) -> Iterator[Builds]:
    """builds(model, a key of TREES | "clang" | "gcc" | "gcc -O3" | the name of a target).

    "integers" is clang's build of the kernels for cores without an FPU.

    What the session's tests ask for is built ahead of them, on all processors.
    """
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    trees: dict[tuple[TargetModel, str], SourceTree] = {}
    futures: dict[tuple[TargetModel, str], Future[Any]] = {}

    def tree(model: TargetModel, kind: str = "tree") -> SourceTree:
        if (model, kind) not in trees:
            trees[model, kind] = generate(plan_model(model.path, TREES[kind]))
        return trees[model, kind]

    def build(model: TargetModel, kind: str) -> Any:
        if kind == "integers":
            return build_artifact(generate(plan_model(model.path, INTEGERS)), INTEGERS, strict=True)
        if kind == "clang":
            return build_artifact(tree(model), CLANG, strict=True)
        if kind.startswith("gcc"):
            return gcc_library(tree(model), *(kind.split()[1:] or ["-O2"]))
        target = find_target(kind)
        return build_artifact(generate(plan_model(model.path, target)), target, strict=True)

    def future(model: TargetModel, kind: str) -> Future[Any]:
        key = (model, kind)
        if key not in futures:
            futures[key] = pool.submit(build, model, kind)
        return futures[key]

    if "PYTEST_XDIST_WORKER" not in os.environ:  # there each worker builds what it tests
        for item in request.session.items:
            wanted = item.callspec.params if hasattr(item, "callspec") else {}
            kind = wanted.get("target") or wanted.get("compiler")
            if kind and isinstance(wanted.get("model"), TargetModel):
                future(wanted["model"], kind)
    yield (
        lambda model, kind: (
            tree(model, kind) if kind.endswith("tree") else future(model, kind).result()
        )
    )
    pool.shutdown(cancel_futures=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        f"{value}"
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for key, value in getattr(report, "user_properties", ())
        if key == "float difference"
    ]
    if lines:
        terminalreporter.section("floats: largest difference between targets, share of the range")
        for line in lines:
            terminalreporter.write_line(line)
