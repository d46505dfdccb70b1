"""The build tools of this machine: make, cmake, ninja."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest


def build_tool(name: str) -> str:
    """On PATH or beside this Python; the test is skipped without it."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def nn2wasm_command(folder: Path) -> Path:
    """A command nn2wasm in the folder, which runs the package that is tested."""
    package = Path(__file__).parents[1] / "transpiler"
    command = folder / "nn2wasm"
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH="{package}" exec "{sys.executable}" -m nn2wasm "$@"\n'
    )
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return command


def with_command(folder: Path) -> dict[str, str]:
    """An environment in which `nn2wasm` is on PATH, by a command in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    nn2wasm_command(folder)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
