"""Line breaks of generated C: no line is longer than `LINE_WIDTH` characters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

LINE_WIDTH = 100
CONTINUATION = 4
COMMENT_MARKS = len("/*  */")


def call_text(function: str, arguments: Sequence[str], indent: int) -> str:
    """The statement that calls a function, over as many lines as it takes."""
    lines = [" " * indent + function + "("]
    for index, argument in enumerate(arguments):
        piece = argument + (");" if index == len(arguments) - 1 else ",")
        gap = "" if lines[-1].endswith("(") else " "
        if len(lines[-1]) + len(gap) + len(piece) > LINE_WIDTH:
            lines.append(" " * (indent + CONTINUATION) + piece)
        else:
            lines[-1] += gap + piece
    return "\n".join(lines)


def comment_lines(text: str, taken: int = 0) -> str:
    """The inside of a comment, of whose first line `taken` characters are in use already."""
    lines = textwrap.wrap(
        text,
        LINE_WIDTH - COMMENT_MARKS,
        initial_indent=" " * taken,
        subsequent_indent="   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)[taken:]


def wrapped_list(items: Sequence[str], *, indent: int, first: str = "", taken: int = 0) -> str:
    """Items with commas between them, over as many lines as it takes.

    Args:
        items: what to list.
        indent: of all lines but the first.
        first: what stands before the first item.
        taken: characters in use already before `first`; more than the line has begins a new one.
    """
    lines, used = [first], taken
    for index, item in enumerate(items):
        piece = item + ("," if index < len(items) - 1 else "")
        gap = " " if (lines[-1].strip() and index) or not first else ""
        if used + len(lines[-1]) + len(gap) + len(piece) >= LINE_WIDTH:
            lines.append(" " * indent + piece)
            used = 0
        else:
            lines[-1] += gap + piece
    return "\n".join(lines)
