"""Binaryen's wasm-opt on a linked module, where the caller asks for it; nothing needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nn2wasm.errors import InstallError, ToolchainError
from nn2wasm.target import Target

PROGRAM = "wasm-opt"
TIMEOUT_SECONDS = 900.0
SHOWN_LINES = 12

# Lime1, then what the target adds: wasm-opt may use no more than the module was compiled for.
# Not --low-memory-unused: the stack comes first, and may lie at address 16.
BASE_FLAGS = (
    "--mvp-features",
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-extended-const",
)
KEPT_FLAGS = ("--skip-pass=precompute", "--skip-pass=precompute-propagate")
FEATURE_FLAGS: Mapping[str, str] = {
    "simd128": "--enable-simd",
    "relaxed": "--enable-relaxed-simd",
}
LEVELS: Mapping[str, str] = {"speed": "-O3", "size": "-Oz"}


def run_wasm_opt(module: bytes, target: Target) -> bytes:
    """The module as wasm-opt rewrites it.

    Raises:
        InstallError: it is not on the path.
        ToolchainError: it cannot start, took too long or refused the module.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise InstallError(
            "wasm-opt is missing",
            facts=[("looked for", f"{PROGRAM} on the path")],
            hint="install binaryen (apt, brew, npm), or compile without wasm-opt",
        )
    enabled = [FEATURE_FLAGS[name] for name in sorted(target.features)]
    flags = [LEVELS[target.optimize], *KEPT_FLAGS, *BASE_FLAGS, *enabled]
    with tempfile.TemporaryDirectory(prefix="nn2wasm-") as name:
        before, after = Path(name) / "linked.wasm", Path(name) / "optimized.wasm"
        before.write_bytes(module)
        _run([program, os.fspath(before), "-o", os.fspath(after), *flags])
        return after.read_bytes()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolchainError(f"wasm-opt did not finish within {TIMEOUT_SECONDS:g} s") from None
    except OSError as problem:
        raise ToolchainError(
            f"wasm-opt does not start: {problem.strerror or problem}",
            facts=[("program", command[0])],
            hint="reinstall binaryen, or compile without wasm-opt",
        ) from problem
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").splitlines()[:SHOWN_LINES]
        raise ToolchainError(
            f"wasm-opt refused the module (exit status {done.returncode})",
            facts=[("wasm-opt", line) for line in lines],
            hint="a newer binaryen may take it; compile without wasm-opt",
        )
