"""``nn2wasm_add_model()``: models compiled as a part of somebody else's CMake build."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
from pathlib import Path

import onnx
import pytest
from build_tools import build_tool, with_command
from c_compilers import compiler

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_int8.onnx"
GENERATORS = {"Ninja": "ninja", "Unix Makefiles": "make"}

LISTS = """\
    cmake_minimum_required(VERSION 3.20)
    project(firmware C)
    execute_process(COMMAND nn2wasm rules
      OUTPUT_VARIABLE nn2wasm_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
    find_package(nn2wasm CONFIG REQUIRED)
    nn2wasm_add_model(digits models/digits.onnx OPTIONS --io int8)
    nn2wasm_add_model(reader models/digits.onnx TARGET c)
    add_executable(firmware main.c)
    target_link_libraries(firmware PRIVATE digits reader)
    """
MAIN = """\
    #include <stdio.h>
    #include "digits.h"
    #include "reader.h"

    static _Alignas(16) unsigned char arena[READER_ARENA_BYTES];

    int main(void) {
      printf("%d %d\\n", (int)sizeof(DIGITS_INPUT_0_TYPE), (int)sizeof(READER_INPUT_0_TYPE));
      return digits_run(arena) + reader_run(arena);
    }
    """


class Project:
    """A folder, and cmake in it."""

    def __init__(self, folder: Path, environment: dict[str, str], generator: str) -> None:
        self.folder = folder
        self._environment = environment
        self.generator = generator

    def write(self, lists: str = LISTS, main: str = MAIN) -> None:
        (self.folder / "CMakeLists.txt").write_text(textwrap.dedent(lists))
        (self.folder / "main.c").write_text(textwrap.dedent(main))

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [build_tool("cmake"), *map(str, arguments)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def configure(self) -> None:
        done = self.run("-S", ".", "-B", "build", "-G", self.generator)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stderr

    def build(self) -> str:
        done = self.run("--build", "build")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(params=GENERATORS)
def project(request, tmp_path):
    build_tool(GENERATORS[request.param])
    compiler("gcc")
    environment = with_command(tmp_path / "bin")
    environment.pop("MAKEFLAGS", None)
    folder = tmp_path / "a project"
    (folder / "models").mkdir(parents=True)
    return Project(folder, environment, request.param)


def test_models_compiled_by_cmake(project):
    """Once; again when the model or its external data is newer; then no more."""
    onnx.save_model(
        onnx.load(DIGITS),
        project.folder / "models" / "digits.onnx",
        save_as_external_data=True,
        location="digits.data",
        size_threshold=16,
    )
    project.write()
    project.configure()
    printed = project.build()
    assert printed.count("Compiling the neural network") == 2
    program = project.folder / "build" / "firmware"
    assert subprocess.run([program], capture_output=True).stdout == b"1 4\n"
    assert "Compiling" not in project.build()
    for changed in ("digits.onnx", "digits.data"):
        os.utime(project.folder / "models" / changed)
        assert project.build().count("Compiling the neural network") == 2
        assert "Compiling" not in project.build()


def test_files_of_cmake_may_be_newer(project):
    """The Makefiles depend on them; a model that is compiled anew for that settles it."""
    shutil.copy(DIGITS, project.folder / "models" / "digits.onnx")
    project.write()
    project.configure()
    project.build()
    project.build()
    for stamp in (project.folder / "build").rglob("compiler_depend.ts"):
        os.utime(stamp)
    project.build()
    assert "Compiling" not in project.build()


def test_ninja_compiles_no_source_that_stayed(project):
    """Another command for the same result."""
    if project.generator != "Ninja":
        pytest.skip("Makefiles go by times")
    shutil.copy(DIGITS, project.folder / "models" / "digits.onnx")
    project.write()
    project.configure()
    project.build()
    project.write(LISTS.replace("TARGET c", "TARGET c OPTIONS --optimize memory"))
    project.configure()
    printed = project.build()
    assert printed.count("Compiling the neural network") == 1
    assert "reader.c.o" not in printed


def test_other_options_compile_anew(project):
    shutil.copy(DIGITS, project.folder / "models" / "digits.onnx")
    project.write()
    project.configure()
    project.build()
    project.write(LISTS.replace("OPTIONS --io int8", ""))
    project.configure()
    project.build()
    program = project.folder / "build" / "firmware"
    assert subprocess.run([program], capture_output=True).stdout == b"4 4\n"


def test_a_model_that_cannot_be_compiled_fails_the_build(project):
    (project.folder / "models" / "digits.onnx").write_text("no model")
    project.write()
    project.configure()
    done = project.run("--build", "build")
    assert done.returncode != 0
    assert "not an ONNX model" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("nn2wasm_add_model(x models/x.onnx SPEED)", "what is SPEED?"),
        ('set(NN2WASM_EXECUTABLE "")\nnn2wasm_add_model(x models/x.onnx)', "is not on PATH"),
    ],
)
def test_wrong_calls(project, call, said):
    project.write(
        LISTS.replace("nn2wasm_add_model(digits models/digits.onnx OPTIONS --io int8)", call)
    )
    done = project.run("-S", ".", "-B", "build")
    assert done.returncode != 0
    assert said in " ".join(done.stderr.split())
