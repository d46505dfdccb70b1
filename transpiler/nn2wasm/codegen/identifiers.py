"""Names from models as C: they become identifiers and comments, and nothing else."""

from __future__ import annotations

import re

KEYWORDS = frozenset(
    (
        "alignas alignof auto bool break case char class const constexpr continue default delete "
        "do double else enum extern false float for goto if inline int long main namespace new "
        "nullptr operator private public register restrict return short signed sizeof static "
        "struct switch template this thread_local true typedef typeof union unsigned using void "
        "volatile while"
    ).split()
)
HEADERS = frozenset(
    (
        "assert complex ctype errno fenv inttypes iso646 limits locale malloc math memory setjmp "
        "signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string "
        "strings tgmath threads time uchar unistd wchar wctype"
    ).split()
)
TAKEN = frozenset("all clean eof help install main nn null package test".split())
"""Macros, the package's main.c, the exports of a module, targets that CMake keeps for itself."""
RESERVED = KEYWORDS | HEADERS | TAKEN
LONGEST_IDENTIFIER = 40
LONGEST_COMMENT = 60
RESERVED_PREFIXES = ("nn_", "_")


def identifier(name: str, fallback: str = "model") -> str:
    """A C identifier in lower case, also usable as a macro's stem; `fallback` where nothing is
    left.
    """
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST_IDENTIFIER].strip("_")
    if not text:
        return fallback
    if text[0].isdigit() or text in RESERVED or text.startswith(RESERVED_PREFIXES):
        text = f"{fallback}_{text}"
    return text


def comment_text(name: str) -> str:
    """A name inside a C comment: printable ASCII that can neither end it nor continue a line."""
    text = "".join(c if " " <= c <= "~" and c not in "\\*?" else "_" for c in name)
    return text if len(text) <= LONGEST_COMMENT else text[: LONGEST_COMMENT - 3] + "..."
