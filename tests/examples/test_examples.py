"""Every example runs as its README says, and prints what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from build_tools import build_tool, with_command

from nn2wasm.toolchain.zig import zig_path

EXAMPLES = Path(__file__).parents[2] / "examples"
WAMR = Path(__file__).with_name("wamr")
SIZES = re.compile(r"\d+(?= bytes)")
ARM_ZIG = "-target thumb-freestanding-eabihf -mcpu=cortex_m4+vfp4d16sp"


@pytest.fixture
def examples(tmp_path):
    """A copy: what is built there must not lie in the repository."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("build"))
    return tmp_path / "examples"


@pytest.fixture
def make(tmp_path):
    """Runs make in a folder; what it prints beside its commands."""
    tool = build_tool("make")
    environment = with_command(tmp_path / "bin")
    environment.pop("MAKEFLAGS", None)
    environment["CC"] = build_tool("gcc")

    def run(folder: Path, *arguments: str) -> str:
        done = subprocess.run(
            [tool, "-s", "--no-print-directory", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr
        return done.stdout

    return run


def promised(example: str) -> str:
    """The output in a README: its second block of text."""
    text = (EXAMPLES / example / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]


def same_but_for_sizes(printed: str, example: str) -> bool:
    """Sizes change with the kernels."""
    return SIZES.sub("N", printed) == SIZES.sub("N", promised(example))


def wasm3_sources() -> Path:
    """The C of wasm3, as tests/install_wasm3.sh put it, or where WASM3 says."""
    path = Path(os.environ.get("WASM3") or Path(sys.prefix) / "wasm3")
    if not (path / "wasm3.h").is_file():
        pytest.skip("the C sources of wasm3 are not here (WASM3=path names them)")
    return path


def test_the_image_is_one_of_the_test_images():
    numbers = re.findall(r"\d+(?=,)", (EXAMPLES / "digits" / "image.h").read_text().split("{")[1])
    samples = np.load(EXAMPLES / "digits" / "test_images.npz")
    assert [int(number) for number in numbers] == samples["pixels"][0].reshape(-1).tolist()
    assert samples["label"][0] == 7


def test_two_models(examples, make):
    assert same_but_for_sizes(make(examples / "two_models", "run"), "two_models")
    assert subprocess.run(
        [build_tool("make"), "-q", "build/two_models"],
        cwd=examples / "two_models",
        env={**os.environ, "PATH": f"{examples.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )


def test_steps(examples, make):
    """Whole numbers, of floats that are the same everywhere but for the C library's sine."""
    assert make(examples / "steps", "run") == promised("steps")
    model = examples / "steps" / "steps.onnx"
    before = model.read_bytes()
    subprocess.run([sys.executable, examples / "steps" / "make_model.py"], check=True)
    assert model.read_bytes() == before


def test_wasm3_host(examples, make):
    printed = make(examples / "wasm3_host", "run", f"WASM3={wasm3_sources()}")
    assert same_but_for_sizes(printed, "wasm3_host")
    assert int(SIZES.search(printed)[0]) < 16384


def test_wasm3_needs_no_byte_more_and_no_byte_less(examples, make):
    """With a limit that is 16 bytes lower, the module does not run."""
    folder = examples / "wasm3_host"
    text = (folder / "main.c").read_text()
    limit = "memory_bytes(wasm, bytes);\n  check"
    assert limit in text
    (folder / "main.c").write_text(text.replace(limit, limit.replace(";", " - 16;")))
    make(folder, "build/host", "build/digits.wasm", f"WASM3={wasm3_sources()}")
    done = subprocess.run(
        [folder / "build" / "host", folder / "build" / "digits.wasm"], check=False
    )
    assert done.returncode != 0


def test_wamr_host(examples, make, tmp_path):
    """WAMR itself is not here: its declarations, and its functions by wasm3."""
    wasm3 = wasm3_sources()
    include = tmp_path / "wamr" / "core" / "iwasm" / "include"
    include.mkdir(parents=True)
    shutil.copy(WAMR / "wasm_export.h", include)
    subprocess.run(
        [
            *(build_tool("gcc"), "-O2", "-w", "-r", "-nostdlib", f"-I{wasm3}", f"-I{include}"),
            *(str(WAMR / "wamr_by_wasm3.c"), *map(str, wasm3.glob("m3_*.c"))),
            *("-o", str(tmp_path / "iwasm.o")),
        ],
        check=True,
    )
    printed = make(
        examples / "wamr_host",
        "run",
        f"WAMR={tmp_path / 'wamr'}",
        f"LIBIWASM={tmp_path / 'iwasm.o'}",
        "CFLAGS=-O2 -Wall -Wextra -Werror",
    )
    assert printed == promised("wamr_host")


@pytest.mark.parametrize("name", ["arm-none-eabi-gcc", "zig"])
def test_cortex_m(examples, make, name):
    build_tool("qemu-system-arm")
    options = [f"CC={zig_path()} cc", f"ARCH={ARM_ZIG}", "LDLIBS="]
    if name != "zig":
        options = [f"CC={build_tool(name)}"]
    printed = make(examples / "cortex_m", "run", *options)
    assert printed == promised("cortex_m")


def test_the_makefile_of_cortex_m_says_the_flags_for_zig():
    assert ARM_ZIG in (EXAMPLES / "cortex_m" / "Makefile").read_text()
