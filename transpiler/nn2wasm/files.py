"""Writing what was made: whole or not at all, and only what changed."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nn2wasm.errors import RunError, quote

_SPECIAL_IN_MAKE = re.compile(r"(\\*)([ \t#]|(?<!^[A-Za-z]):)")


def write_file(path: Path, content: str | bytes, *, sources: Iterable[str] = ()) -> None:
    """Puts the content at the path by way of a temporary file beside it.

    Raises:
        RunError: the folder is missing or cannot be written, or the path is one of a folder, a
            device or a pipe.
    """
    write_files(path.parent, {path.name: content}, make_folder=False, sources=sources)


def write_files(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    make_folder: bool = True,
    sources: Iterable[str] = (),
) -> None:
    """Puts all files into the folder: first all beside their places, then all in place.

    A file that is already right is left alone, its time too, so that nothing that depends on it is
    built again; unless it is older than a source, because then Make would ask again and again.
    Other files of the folder stay as they are.

    Args:
        folder: where to.
        files: path below the folder → content.
        make_folder: the folder, and folders in it, are made where they are missing.
        sources: paths of the files that the content was made from.

    Raises:
        RunError: the folder cannot be made or written, or a path is one of a folder, a device or a
            pipe; no file is changed then.
    """
    staged: list[tuple[str, Path]] = []
    place = folder
    try:
        newest = max((os.stat(source).st_mtime_ns for source in sources), default=0)
        if make_folder:
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            place = folder / name
            _check_place(place)
            data = content.encode() if isinstance(content, str) else content
            if _is_there(place, data):
                if place.stat().st_mtime_ns < newest:
                    os.utime(place)
                continue
            if make_folder:
                place.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".nn2wasm-")
            staged.append((temporary, place))
            with os.fdopen(handle, "wb") as file:
                file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        for temporary, place in staged:
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, place)
    except OSError as error:
        raise RunError(
            f"cannot write '{place}': {error.strerror or error}",
            hint="does the folder exist, and may it be written?",
        ) from error
    finally:  # also where the user interrupts
        for temporary, _ in staged:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _check_place(place: Path) -> None:
    """Refuses to put a file in the place of a folder, a device or a pipe.

    Symbolic links are replaced, not followed: what they point to stays as it is.
    """
    try:
        mode = os.lstat(place).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise RunError(f"cannot write '{place}': it is {what}", hint="choose another path")


def _is_there(place: Path, data: bytes) -> bool:
    """Whether the file holds these bytes already."""
    try:
        return place.stat().st_size == len(data) and place.read_bytes() == data
    except OSError:
        return False


def depfile_text(outputs: Sequence[str], sources: Sequence[str]) -> str:
    """What the outputs depend on, for Make and Ninja.

    Sources but the first have an empty rule, as with gcc's -MP: one that is no longer needed may be
    deleted.

    Args:
        outputs: paths as the build knows them.
        sources: paths of what was read, the model first.

    Raises:
        RunError: a path that cannot be written in that syntax.
    """
    targets, needs = [_in_make(path) for path in outputs], [_in_make(path) for path in sources]
    rule = " \\\n  ".join([f"{' '.join(targets)}:", *needs])
    empty = [f"{path}:\n" for path in needs[1:] if "%" not in path]  # that would be a pattern
    return "".join([f"{rule}\n", *empty])


def _in_make(path: str) -> str:
    if any(c in path for c in "\n\r\0"):
        raise RunError(f"a depfile cannot hold the path {quote(path)}")
    return _SPECIAL_IN_MAKE.sub(r"\1\1\\\2", path).replace("$", "$$")
