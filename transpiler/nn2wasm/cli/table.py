"""Tables and numbers as people read them; names from models are made harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from nn2wasm.errors import quote

GAP = "  "
LONGEST_CELL = 48


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> str:
    """Rows under headings, columns aligned.

    Args:
        headings: of each column.
        rows: texts, one for each column.
        right: columns that are aligned at their ends, numbers.
    """
    lines = [list(headings), *[list(row) for row in rows]]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(headings))]
    return "\n".join(
        GAP.join(_pad(text, widths[i], at_end=i in right) for i, text in enumerate(line)).rstrip()
        for line in lines
    )


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for documents."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fields(rows: Sequence[tuple[str, str]]) -> str:
    """A label and what it stands for on each line."""
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join(f"{label:<{width}}{GAP}{text}".rstrip() for label, text in rows)


def count(value: int) -> str:
    """A count for people: 940, 1.18 k, 12.5 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def shape(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes)) if sizes else "scalar"


def harmless(name: str) -> str:
    """A name from a model: printable, and at most `LONGEST_CELL` characters, its end kept."""
    text = quote(name[-LONGEST_CELL:])[1:-1]
    if len(name) <= LONGEST_CELL and len(text) <= LONGEST_CELL:
        return text
    return "…" + text[-LONGEST_CELL + 1 :]


def _pad(text: str, width: int, *, at_end: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if at_end else text + space


def _width(text: str) -> int:
    """Columns on a terminal: East Asian characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
