"""``--package make``, and the rules that compile models in a Makefile of somebody else's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from build_tools import build_tool, with_command
from c_compilers import COMPILERS, compiler, run
from small_networks import NETWORKS

import nn2wasm
from nn2wasm.api import Options

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_int8.onnx"
S8, F32 = "gemm_s8", "conv_pool_softmax_f32"


class Project:
    """A folder, and make in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._environment = environment

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(text))

    def make(self, *arguments: str) -> str:
        done = subprocess.run(
            [build_tool("make"), *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr
        return done.stdout


@pytest.fixture
def project(tmp_path):
    compiler("gcc")
    environment = with_command(tmp_path / "bin")
    environment.pop("MAKEFLAGS", None)
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, {**environment, "CC": compiler("gcc")[0]})


def package(folder: Path, network: str) -> None:
    nn2wasm.compile_model(
        NETWORKS[network](), folder / network, options=Options(name=network), package="make"
    )


def test_alone(project):
    package(project.folder, S8)
    printed = project.make("-C", S8, "run")
    assert "output 0: " in printed
    assert project.make("-q", "-C", S8) is not None
    project.make("-C", S8, "clean")
    assert not list((project.folder / S8).glob("*.[oa]"))


MAIN = f"""\
#include <stdio.h>
#include "{S8}.h"
#include "{F32}.h"

static _Alignas(16) unsigned char first[{S8.upper()}_ARENA_BYTES];
static _Alignas(16) unsigned char second[{F32.upper()}_ARENA_BYTES];

int main(void) {{
  printf("%d\\n", {S8}_run(first) + {F32}_run(second));
  return 0;
}}
"""


@pytest.mark.parametrize("name", COMPILERS)
def test_two_packages_in_a_strange_makefile(project, name):
    """Its own compiler, first goal, flags and folder for objects stay what they are."""
    package(project.folder, S8)
    package(project.folder, F32)
    project.write("main.c", MAIN)
    project.write(
        "Makefile",
        f"""\
        {S8.upper()}_BUILD := build
        include {S8}/{S8}.mk
        include {F32}/{F32}.mk
        CC = {" ".join(compiler(name))}
        CFLAGS = -Os -Wall -Wextra -Wconversion -Werror -std=gnu99

        program: main.o $({S8.upper()}_OBJECTS) $({F32.upper()}_OBJECTS)
        \t$(CC) $^ -o $@

        main.o: CPPFLAGS += $({S8.upper()}_CPPFLAGS) $({F32.upper()}_CPPFLAGS)
        main.o: CFLAGS += -std=gnu11
        """,
    )
    project.make()
    assert subprocess.run([project.folder / "program"], capture_output=True).stdout == b"0\n"
    assert (project.folder / "build" / f"{S8}.o").is_file()
    assert not (project.folder / S8 / f"{S8}.o").exists()
    project.make("-q")
    os.utime(project.folder / F32 / f"{F32}.c")
    assert f"-c {F32}/{F32}.c" in project.make()


def test_constants_go_where_the_readme_says(project):
    package(project.folder, S8)
    line = re.search(r"^With `(.*?)` behind", (project.folder / S8 / "README.md").read_text(), re.M)
    project.write("Makefile", f"include {S8}/{S8}.mk\n{line[1]}\nall: $({S8.upper()}_OBJECTS)\n")
    project.make()
    assert ".flash" in run(["size", "-A", f"{S8}/{S8}.o"], project.folder)


RULES = """\
include $(shell nn2wasm rules)/nn2wasm.mk

program: main.o digits.o
\t$(CC) $^ -o $@

main.o: digits.h
"""
DIGITS_MAIN = """\
#include <stdio.h>
#include "digits.h"

static _Alignas(16) unsigned char arena[DIGITS_ARENA_BYTES];

int main(void) {
  printf("%d\\n", digits_run(arena));
  return 0;
}
"""


def model_with_data(project: Project) -> None:
    import onnx

    onnx.save_model(
        onnx.load(DIGITS),
        project.folder / "digits.onnx",
        save_as_external_data=True,
        location="digits.data",
        size_threshold=16,
    )


def test_models_compiled_by_make(project):
    """Once; again when the model or its external data is newer; then no more."""
    model_with_data(project)
    project.write("main.c", DIGITS_MAIN)
    project.write("Makefile", RULES)
    printed = project.make()
    assert printed.count("nn2wasm digits.onnx") == 1
    assert (project.folder / "digits.c").is_file()
    project.make("-q")
    for changed in ("digits.onnx", "digits.data"):
        os.utime(project.folder / changed)
        assert "nn2wasm digits.onnx" in project.make()
        project.make("-q")
    assert subprocess.run([project.folder / "program"], capture_output=True).stdout == b"0\n"
    project.write("Makefile", RULES + "digits.c digits.h: Makefile\n")
    assert "nn2wasm digits.onnx" in project.make()
    project.make("-q")


def test_an_object_alone_keeps_its_source(project):
    """Make deletes what it made on the way, where nobody says that it is precious."""
    shutil.copy(DIGITS, project.folder / "digits.onnx")
    project.write("Makefile", "include $(shell nn2wasm rules)/nn2wasm.mk\n")
    project.make("digits.o")
    assert (project.folder / "digits.c").is_file()


def test_a_rule_and_options_of_ones_own(project):
    """Another folder, and options for one model."""
    (project.folder / "models").mkdir()
    (project.folder / "build").mkdir()
    shutil.copy(DIGITS, project.folder / "models" / "digits.onnx")
    project.write("main.c", DIGITS_MAIN)
    project.write(
        "Makefile",
        """\
        include $(shell nn2wasm rules)/nn2wasm.mk
        program: main.o build/digits.o
        \t$(CC) $^ -o $@
        build/%.c build/%.h: models/%.onnx
        \t$(nn2wasm)
        build/digits.c build/digits.h: NN2WASMFLAGS += --io int8
        main.o: build/digits.h
        main.o: CPPFLAGS += -Ibuild
        """,
    )
    project.make()
    assert "INPUT_0_TYPE int8_t" in (project.folder / "build" / "digits.h").read_text()
    project.make("-q")


def test_the_copy_of_the_rules(project):
    """`nn2wasm rules -o`: for projects that keep them."""
    shutil.copy(DIGITS, project.folder / "digits.onnx")
    command = ["nn2wasm", "rules", "-o", "rules"]
    done = subprocess.run(command, cwd=project.folder, env=project._environment, check=True)
    assert done.returncode == 0
    project.write("main.c", DIGITS_MAIN)
    project.write("Makefile", RULES.replace("$(shell nn2wasm rules)", "rules"))
    project.make()
    project.make("-q")
