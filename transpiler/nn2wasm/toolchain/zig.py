"""Run zig: the C compiler and the WebAssembly linker, both in the package ziglang.

The binary is called directly; ``python -m ziglang`` would only add a Python start (15 ms).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nn2wasm.errors import InstallError, ToolchainError

TIMEOUT_SECONDS = 900.0
SHOWN_LINES = 12

# Nothing else of the caller's environment reaches the compiler: CPATH, NIX_CFLAGS_COMPILE and
# their like would make the same model compile to different bytes.
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE")


@functools.cache
def zig_path() -> Path:
    """The zig binary.

    Raises:
        InstallError: the package ziglang is not installed, or has no binary for this machine.
    """
    spec = importlib.util.find_spec("ziglang")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder) / ("zig.exe" if os.name == "nt" else "zig")
        if path.is_file():
            return path
    raise InstallError(
        "the compiler zig is missing",
        facts=[("looked for", "the Python package ziglang")],
        hint="pip install ziglang",
    )


@functools.cache
def cache_folder() -> Path:
    """Where zig keeps what it builds once for a machine (its C library, about 50 MB).

    ``$XDG_CACHE_HOME/nn2wasm/zig``, or below ``~/.cache``; a fresh temporary folder where that
    cannot be written.
    """
    root = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
        folder = base / "nn2wasm" / "zig"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return Path(tempfile.mkdtemp(prefix="nn2wasm-zig-"))


def environment(scratch: Path) -> dict[str, str]:
    """Variables for one build; object files go to `scratch` and vanish with it.

    Kept in a lasting cache, each build would leave a copy of its weights there for ever.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "ZIG_GLOBAL_CACHE_DIR": str(cache_folder()),
        "ZIG_LOCAL_CACHE_DIR": str(scratch / "zig-cache"),
    }


def run_zig(
    arguments: Sequence[str], folder: Path, *, doing: str, timeout: float = TIMEOUT_SECONDS
) -> None:
    """Run zig in `folder`.

    Args:
        arguments: what follows ``zig``.
        folder: working directory, removed by the caller.
        doing: the step, in the error: "compile the generated C".
        timeout: in seconds.

    Raises:
        InstallError: there is no zig.
        ToolchainError: zig cannot start, took too long or refused (its first errors).
    """
    try:
        done = subprocess.run(
            [str(zig_path()), *arguments],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolchainError(f"zig did not {doing} within {timeout:g} s") from None
    except OSError as problem:
        raise ToolchainError(
            f"zig does not start: {problem.strerror or problem}",
            facts=[("program", str(zig_path()))],
            hint="reinstall the package ziglang",
        ) from problem
    if done.returncode != 0:
        output = done.stdout.decode("utf-8", "replace").splitlines()
        first = next((i for i, line in enumerate(output) if "error:" in line), -SHOWN_LINES)
        raise ToolchainError(
            f"the compiler refused to {doing} (exit status {done.returncode})",
            facts=[("zig", line) for line in output[first:][:SHOWN_LINES]],
            hint="the generated C is at fault, not your model: please report it",
        )
