"""External tensor data: a file beside the model, and nothing outside the model's folder."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from nn2wasm.errors import InvalidModel, quote

_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_BESIDE = "external data must lie in the model's own folder, or below it"


def read_external(entries: Any, folder: str | None, expected_bytes: int, where: str) -> bytes:
    """The bytes of a tensor that lies in another file.

    Args:
        entries: key and value strings: location, offset and length (both optional, bytes).
        folder: the model's folder with symlinks resolved, None where the model is not a file.
        expected_bytes: what the tensor's shape and type need.
        where: what messages call the tensor.

    Raises:
        InvalidModel: a path that leaves the folder, a missing or short file, a wrong length.
    """
    facts = _entries(entries, where)
    location = facts.get("location", "")
    if folder is None:
        raise InvalidModel(
            f"{where} lies in the file {quote(location)} beside the model, "
            "but the model was not given as a file",
            hint="give the path of the .onnx file",
        )
    path = _resolve(location, folder, where)
    offset = _number(facts, "offset", where) or 0
    length = _number(facts, "length", where)
    if length is not None and length != expected_bytes:
        raise InvalidModel(
            f"{where} has {length:,} bytes of external data, but its shape and type need "
            f"{expected_bytes:,}"
        )
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidModel(f"{where}: its data file {quote(location)} is not a file")
        if offset + expected_bytes > status.st_size:
            raise InvalidModel(
                f"{where}: its data file {quote(location)} has {status.st_size:,} bytes, "
                f"but bytes {offset:,} to {offset + expected_bytes:,} are needed"
            )
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(expected_bytes)
    except FileNotFoundError as error:
        raise InvalidModel(
            f"{where}: its data file {quote(location)} does not exist",
            hint="copy it beside the model; both belong together",
        ) from error
    except OSError as error:
        raise InvalidModel(
            f"{where}: its data file {quote(location)} cannot be read: {error.strerror}"
        ) from error
    if len(data) != expected_bytes:
        raise InvalidModel(f"{where}: its data file {quote(location)} ended early")
    return data


def _entries(entries: Any, where: str) -> dict[str, str]:
    result: dict[str, str] = {}
    for entry in entries:
        if not (isinstance(entry.key, str) and isinstance(entry.value, str)):
            raise InvalidModel(f"{where}: its external data is described in text that is not UTF-8")
        if entry.key in result:
            raise InvalidModel(f"{where}: external data gives {quote(entry.key)} twice")
        result[entry.key] = entry.value
    return result


def _number(facts: dict[str, str], key: str, where: str) -> int | None:
    text = facts.get(key)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise InvalidModel(f"{where}: {key} {quote(text)} of its external data is not a number")
    return int(text)


def _resolve(location: str, folder: str, where: str) -> str:
    """The real path of `location`; symlinks may point about inside the folder only."""
    parts = re.split(r"[/\\]", location)
    if (
        not location
        or "\0" in location
        or ".." in parts
        or parts[0] == ""
        or re.match(r"[A-Za-z]:", location)
        or os.path.isabs(location)
    ):
        raise InvalidModel(
            f"{where}: external data path {quote(location)} is not a path inside "
            "the model's folder",
            hint=_BESIDE,
        )
    path = os.path.realpath(os.path.join(folder, location))
    if os.path.commonpath([path, folder]) != folder:
        raise InvalidModel(
            f"{where}: external data path {quote(location)} leaves the model's folder "
            "through a symbolic link",
            hint=_BESIDE,
        )
    return path
