"""What the code generator hands over: files, as a value that tests can compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The C of one model.

    Attributes:
        name: the model's C identifier; ``<name>.h`` and ``<name>.c`` are in `files`.
        files: relative POSIX path → text or bytes.
        arena_bytes: working memory that the caller of ``<name>_run`` provides.
        weights: the file of constants that are not in the C, empty where all are.
        metadata: what a module tells about itself; JSON-able.
        tiny: calls cost more than layers do.
    """

    name: str
    files: Mapping[str, str | bytes]
    arena_bytes: int
    metadata: Mapping[str, object]
    weights: bytes = b""
    tiny: bool = False
