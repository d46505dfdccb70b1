"""wasm-opt, where it is asked for: a stand-in that notes its arguments, and the real one if any."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import run_in_wasmtime
from tiny_models import add_one

from nn2wasm.errors import InstallError, TargetError, ToolchainError
from nn2wasm.target import TARGETS, ArtifactKind, find_target
from nn2wasm.toolchain import build_module
from nn2wasm.toolchain.promises import broken_promises
from nn2wasm.toolchain.wasm_opt import FEATURE_FLAGS, run_wasm_opt

WASM = find_target("wasm")
X = {"x": np.arange(8, dtype=np.int8).reshape(1, 8)}

STAND_IN = """#!{python}
import pathlib, shutil, sys
pathlib.Path(r"{note}").write_text(" ".join(sys.argv[1:]))
shutil.copy(sys.argv[1], sys.argv[3])
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """program(text): text becomes the only wasm-opt on the path."""

    def install(text: str) -> Path:
        path = tmp_path / "wasm-opt"
        note = tmp_path / "arguments"
        path.write_text(text.format(python=sys.executable, note=note))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return note

    if os.name == "nt":
        pytest.skip("a script is no program there")
    return install


@pytest.mark.parametrize(
    "target", [t for t in TARGETS if t.kind is ArtifactKind.WASM], ids=lambda t: t.name
)
def test_what_it_is_told(target, program):
    note = program(STAND_IN)
    module = build_module(add_one(), replace(target, wasm_opt=True))
    assert module == build_module(add_one(), target)
    told = note.read_text().split()
    assert told[1] == "-o"
    assert told[3] == {"speed": "-O3", "size": "-Oz"}[target.optimize]
    assert "--low-memory-unused" not in told  # the stack lies there
    wanted = {FEATURE_FLAGS[feature] for feature in target.features}
    assert wanted == set(told) & set(FEATURE_FLAGS.values())


def test_only_modules():
    with pytest.raises(TargetError, match="no module"):
        find_target("c").optimized(None, wasm_opt=True)


def test_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallError, match="wasm-opt is missing"):
        run_wasm_opt(b"", WASM)


def test_it_refuses(program):
    program("#!{python}\nprint('[parse exception: no]')\nraise SystemExit(3)\n")
    with pytest.raises(ToolchainError, match="exit status 3") as caught:
        run_wasm_opt(b"", WASM)
    assert "parse exception" in str(caught.value.facts)


def test_it_does_not_start(program):
    program("#!/nowhere\n")
    with pytest.raises(ToolchainError, match="does not start"):
        run_wasm_opt(b"", WASM)


@pytest.mark.skipif(shutil.which("wasm-opt") is None, reason="there is no wasm-opt")
def test_the_real_one_keeps_promises_and_results():
    target = replace(WASM, wasm_opt=True)
    module = build_module(add_one(), target)
    assert module == build_module(add_one(), target)
    assert broken_promises(module) == []
    plain = build_module(add_one(), WASM)
    assert run_in_wasmtime(module, X)["y"].tolist() == run_in_wasmtime(plain, X)["y"].tolist()
