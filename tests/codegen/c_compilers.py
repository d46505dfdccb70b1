"""The C compilers of this machine, and how tests call them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nn2wasm.toolchain.zig import zig_path

WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wundef",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wdouble-promotion",
    "-Wcast-qual",
    "-Werror",
)
COMPILERS = ("gcc", "clang")


def compiler(name: str) -> list[str]:
    """The command of gcc, g++, or the clang inside zig; the test is skipped without it."""
    if name == "clang":
        return [str(zig_path()), "cc"]
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return [path]


def run(command: list[str], folder: Path) -> str:
    """What a command prints; the test fails if the command does."""
    done = run_unchecked(command, folder)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"[:4000]
    return done.stdout


def run_unchecked(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def compile_c(name: str, folder: Path, *arguments: str) -> str:
    """Compiles in a folder; what the compiler says."""
    return run([*compiler(name), *arguments], folder)
