"""Writing what was made: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nn2wasm.errors import RunError


def write_file(path: Path, content: str | bytes) -> None:
    """Puts the content at the path by way of a temporary file beside it.

    Raises:
        RunError: the folder is missing or cannot be written.
    """
    write_files(path.parent, {path.name: content}, make_folder=False)


def write_files(
    folder: Path, files: Mapping[str, str | bytes], *, make_folder: bool = True
) -> None:
    """Puts all files into the folder: first all beside their places, then all in place.

    Other files of the folder stay as they are.

    Raises:
        RunError: the folder cannot be made or written.
    """
    staged: list[tuple[str, Path]] = []
    place = folder
    try:
        if make_folder:
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            place = folder / name
            if make_folder:
                place.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".nn2wasm-")
            staged.append((temporary, place))
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
        umask = os.umask(0)
        os.umask(umask)
        for temporary, place in staged:
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, place)
    except OSError as error:
        for temporary, _ in staged:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise RunError(
            f"cannot write '{place}': {error.strerror or error}",
            hint="does the folder exist, and may it be written?",
        ) from error
