"""docs/firmware.md to the letter: its C, its Makefiles and CMakeLists.txt build a program."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from build_tools import build_tool, with_command
from c_compilers import compiler

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits_int8.onnx"
PAGE = (ROOT / "docs" / "firmware.md").read_text(encoding="utf-8")
MAIN = """\
#include <stdio.h>
#include "image.h"

int classify(const float *image);

int main(void) {
  float image[64];
  for (int i = 0; i < 64; ++i) image[i] = (float)digit_ink[i] / 16.0f;
  printf("%d\\n", classify(image));
  return 0;
}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path):
    """A folder with a program that calls the page's classify(), and nn2wasm on PATH."""
    compiler("gcc")
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    shutil.copy(DIGITS, folder / "models" / "digits.onnx")
    shutil.copy(DIGITS, folder / "digits.onnx")
    shutil.copy(DIGITS.with_name("image.h"), folder)
    (folder / "main.c").write_text(MAIN)
    (folder / "classify.c").write_text(blocks("c")[0])
    environment = {**with_command(tmp_path / "bin"), "CC": compiler("gcc")[0]}
    environment.pop("MAKEFLAGS", None)

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return folder, run


def make_package(run, kind: str) -> None:
    run("nn2wasm", "digits.onnx", "-o", "digits/", "--name", "digits", "--package", kind)


@pytest.mark.parametrize("which", ["package", "in the build"])
def test_make(project, which):
    folder, run = project
    packaged, compiled = blocks("make")
    if which == "package":
        make_package(run, "make")
    text = packaged if which == "package" else compiled
    text = text.replace("firmware.elf: main.o", "firmware.elf: main.o classify.o")
    (folder / "Makefile").write_text(text.replace("\nmain.o:", "\nmain.o classify.o:"))
    run(build_tool("make"))
    assert run("./firmware.elf") == "7\n"


@pytest.mark.parametrize("which", ["package", "in the build"])
def test_cmake(project, which):
    folder, run = project
    packaged, compiled = blocks("cmake")
    if which == "package":
        make_package(run, "cmake")
    text = packaged if which == "package" else compiled
    head = "cmake_minimum_required(VERSION 3.20)\nproject(firmware C)\n"
    program = "add_executable(firmware main.c classify.c)\n"
    (folder / "CMakeLists.txt").write_text(head + program + text)
    run(build_tool("cmake"), "-S", ".", "-B", "build")
    run(build_tool("cmake"), "--build", "build")
    assert run("build/firmware") == "7\n"


def test_the_macros_between_layers(project):
    """Each of the page's definitions, alone, compiles."""
    folder, run = project
    config = blocks("c")[1]
    definitions = re.findall(r"^#define .*$", config, re.MULTILINE)
    assert len(definitions) == 3
    run("nn2wasm", "digits.onnx", "-o", "digits.c")
    for definition in definitions:
        called = "".join(f"int {name}(void);\n" for name in re.findall(r"(\w+)\(\)", definition))
        (folder / "nn2wasm_config.h").write_text(f"extern int deadline;\n{called}{definition}\n")
        run(*compiler("gcc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-c", "digits.c")
