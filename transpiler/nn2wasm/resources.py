"""Where templates/ and runtime_c/ are, as real paths: zig and Jinja need files on disk."""

from __future__ import annotations

from pathlib import Path

from nn2wasm.errors import InstallError


def data_folder(name: str) -> Path:
    """Path of ``templates`` or ``runtime_c``.

    In a wheel the folder sits inside the package, in a checkout at the repository root.

    Raises:
        InstallError: neither place has it.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / name, package.parents[1] / name):
        if candidate.is_dir():
            return candidate
    raise InstallError(
        f"the folder '{name}' of nn2wasm is missing",
        facts=[("looked in", str(package)), ("and in", str(package.parents[1]))],
        hint="reinstall nn2wasm",
    )
