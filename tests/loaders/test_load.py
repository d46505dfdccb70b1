"""load() looks at what a file holds, not at its name."""

from __future__ import annotations

import numpy as np
import pytest
import wasmtime
from tiny_models import add_one

from nn2wasm.errors import RunError
from nn2wasm.loaders import NativeSession, WasmtimeSession, load
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module, build_native
from nn2wasm.toolchain.promises import SECTION_NAME
from nn2wasm.toolchain.wasm_file import WasmFile

X = np.zeros((1, 8), np.int8)


@pytest.fixture(scope="module")
def module() -> bytes:
    return build_module(add_one(), find_target("wasm"))


@pytest.fixture(scope="module")
def library() -> bytes:
    return build_native(add_one(), find_target("host"))


@pytest.mark.parametrize("as_path", [str, lambda path: path, lambda path: path.read_bytes()])
def test_a_module(module, tmp_path, as_path):
    path = tmp_path / "a file.bin"
    path.write_bytes(module)
    with load(as_path(path)) as session:
        assert isinstance(session, WasmtimeSession)
        assert session.run(X)["y"].tolist() == [[1] * 8]


def test_a_library(library, tmp_path):
    path = tmp_path / "model.wasm"  # the name lies
    path.write_bytes(library)
    with load(path) as session:
        assert isinstance(session, NativeSession)
        assert session.run(X)["y"].tolist() == [[1] * 8]


def test_a_missing_file(tmp_path):
    with pytest.raises(RunError, match="No such file"):
        load(tmp_path / "none.wasm")


@pytest.mark.parametrize("content", [b"", b"\x08\x0a\x12\x07pytorch", b"hello"])
def test_other_files(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"nn2wasm compile model\.onnx"):
        load(path)


def test_a_module_from_elsewhere():
    with pytest.raises(RunError, match="not made by nn2wasm"):
        load(wasmtime.wat2wasm("(module)"))


def test_a_module_with_imports_is_not_run(module):
    """Even with our metadata: somebody changed the code."""
    text = WasmFile.parse(module).custom(SECTION_NAME)
    assert text is not None
    stranger = wasmtime.wat2wasm('(module (import "env" "f" (func)) (memory (export "memory") 1))')
    stranger = WasmFile.parse(stranger).with_custom(SECTION_NAME, text).to_bytes()
    with pytest.raises(RunError, match=r"imports 'env\.f'"):
        load(stranger)


def test_an_invalid_module(module):
    """All promises kept on paper, but the code of nn_run (its last bytes) makes no sense."""
    place = module.rindex(b"\x0b", 0, module.index(b"nn2wasm") - 4)
    damaged = module[: place - 1] + b"\x6a" + module[place:]
    with pytest.raises(RunError, match="wasmtime refuses the module"):
        load(damaged)


def test_a_library_from_elsewhere():
    tree = add_one()
    library = build_native(tree, find_target("host"))
    other = library.replace(b"nn_metadata\0", b"xx_metadata\0")
    with pytest.raises(RunError, match="not made by nn2wasm"):
        load(other)


def test_a_damaged_library(library):
    with pytest.raises(RunError, match="this machine cannot load the library"):
        load(library[:200])
