"""Sizes, counts and times as people type and read them: 64K, 1.5M."""

from __future__ import annotations

import argparse
import re

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)([kmg]?)(i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}


def byte_count(text: str) -> int:
    """Bytes: K, M and G are powers of 1024, a B or iB may follow."""
    return _quantity(text, 1024, "a size such as 65536, 64K or 1.5M", may_be_bytes=True)


def decimal_count(text: str) -> int:
    """Things that are counted: k, M and G are powers of 1000."""
    return _quantity(text, 1000, "a number such as 7500000, 7.5M or 64k", may_be_bytes=False)


def _quantity(text: str, base: int, meaning: str, *, may_be_bytes: bool) -> int:
    match = _QUANTITY.fullmatch(text.strip())
    value = 0
    if match is not None and (may_be_bytes or not match[3]):
        value = round(float(match[1]) * base ** _POWERS[match[2].lower()])
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not {meaning}")
    return value


def bytes_text(value: int) -> str:
    """A size for a table: 940, 96 K, 1.5 M; exact below a kilobyte only."""
    for unit, size in (("M", 1024**2), ("K", 1024)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return str(value)


def time_text(seconds: float) -> str:
    """A time to two digits: 0.42 ms, 35 ms, 1.2 s."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_two_digits(seconds / size)} {unit}"
    return f"{_two_digits(seconds / 1e-6)} µs"


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
