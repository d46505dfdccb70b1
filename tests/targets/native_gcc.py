"""Generated C through gcc: shared libraries, and programs under the sanitizers."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nn2wasm.codegen import SourceTree
from nn2wasm.codegen.package import runtime_headers
from nn2wasm.ir import DType
from nn2wasm.resources import data_folder
from nn2wasm.toolchain.promises import ABI_VERSION

README_FLAGS = ("-std=c11", "-ffp-contract=off")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1")
INCLUDES = ("-I.", f"-I{data_folder('runtime_c') / 'include'}")  # headers of headers too
ARENA_PROGRAM = Path(__file__).with_name("run_in_arena.c")


def needs_gcc() -> str:
    """The path of gcc; the test is skipped where there is none."""
    path = shutil.which("gcc")
    if path is None:
        pytest.skip("gcc is not installed")
    return path


def needs_sanitizers() -> None:
    """Skips the test where gcc cannot link its sanitizers."""
    if not _has_sanitizers(needs_gcc()):
        pytest.skip("gcc has no libasan or libubsan here")


@cache
def _has_sanitizers(gcc: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty.c").write_text("int main(void) { return 0; }\n")
        command = [gcc, *SANITIZERS, "empty.c", "-o", "empty"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        return done.returncode == 0


def gcc_library(tree: SourceTree, *flags: str) -> bytes:
    """A shared library as zig would make it, by gcc."""
    metadata = json.dumps({"abi": ABI_VERSION, **tree.metadata}).encode()
    text = "".join(f"\\{byte:03o}" for byte in metadata)
    exports = (data_folder("runtime_c") / "src" / "module_exports.c").as_posix()
    runtime = (
        f'#include "{exports}"\n'
        f'extern const char nn_metadata_text[];\nconst char nn_metadata_text[] = "{text}";\n'
    )
    with tempfile.TemporaryDirectory(prefix="nn2wasm-") as name:
        folder = Path(name)
        write_sources(tree, folder)
        (folder / "nn_runtime.c").write_text(runtime)
        _gcc(folder, "-shared", "-fPIC", "nn_runtime.c", *_flags(tree, flags), "-o", "library.so")
        return (folder / "library.so").read_bytes()


def sanitized_program(tree: SourceTree, folder: Path) -> Path:
    """A program that runs the network in an arena of exactly its size; inputs come from stdin."""
    write_sources(tree, folder)
    _gcc(folder, str(ARENA_PROGRAM), *_flags(tree, ("-O1", *SANITIZERS)), "-o", "program")
    return folder / "program"


def run_program(
    program: Path, tree: SourceTree, feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The outputs of one run, as the program writes them.

    Raises:
        AssertionError: a sanitizer found something; the text is its report.
    """
    about = tree.metadata
    data = b"".join(np.ascontiguousarray(feeds[port["name"]]).tobytes() for port in about["inputs"])
    done = subprocess.run([str(program)], input=data, capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        report = done.stderr.decode(errors="replace")
        raise AssertionError(f"exit status {done.returncode}:\n{report[:4000]}")
    outputs, begin = {}, 0
    for port in about["outputs"]:
        end = begin + port_bytes(port)
        values = np.frombuffer(done.stdout[begin:end], DType(port["dtype"]).numpy)
        outputs[port["name"]] = values.reshape(port["shape"])
        begin = end
    assert begin == len(done.stdout)
    return outputs


def port_bytes(port: Mapping[str, Any]) -> int:
    """The size of an input or output."""
    return prod(port["shape"]) * DType(port["dtype"]).bytes


def write_sources(tree: SourceTree, folder: Path) -> None:
    """The model's own files and the runtime headers."""
    source = tree.files[f"{tree.name}.c"]
    assert isinstance(source, str)
    for path, content in {**tree.files, **runtime_headers(source)}.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)


def _flags(tree: SourceTree, flags: tuple[str, ...]) -> list[str]:
    macros = {"HEADER": f'"{tree.name}.h"', "MODEL": tree.name, "MODEL_UPPER": tree.name.upper()}
    for kind in ("input", "output"):
        macros[f"{kind.upper()}_BYTES"] = ",".join(
            str(port_bytes(port)) for port in tree.metadata[f"{kind}s"]
        )
    defined = [f"-DNN_{key}={value}" for key, value in macros.items()]
    checks = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi")  # how wide vectors are passed
    return [f"{tree.name}.c", *README_FLAGS, *checks, *defined, *INCLUDES, *flags]


def _gcc(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [needs_gcc(), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
