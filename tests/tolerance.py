"""How close is close enough, by name; no test has a number of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Tolerance = Callable[[np.ndarray, np.ndarray], str]
"""The complaint about (actual, expected), empty where there is none."""


def EXACT(actual: np.ndarray, expected: np.ndarray) -> str:
    """The same values; NaN equals NaN."""
    return _complaint(actual, expected, ~_same(actual, expected))


def CLOSE(actual: np.ndarray, expected: np.ndarray) -> str:
    """Within 1e-5 of the largest magnitude: another order of the same float32 operations."""
    return _within(actual, expected, 1e-5)


def APPROX(actual: np.ndarray, expected: np.ndarray) -> str:
    """Within 1e-3 of the largest magnitude: other formulas for the same function."""
    return _within(actual, expected, 1e-3)


def ROUNDED_STATES(actual: np.ndarray, expected: np.ndarray) -> str:
    """Within 3e-2 of the largest magnitude: one side rounds recurrent states to 8 bits."""
    return _within(actual, expected, 3e-2)


def ONE_STEP(actual: np.ndarray, expected: np.ndarray) -> str:
    """Integers that differ by one at most."""
    distance = np.abs(actual.astype(np.int64) - expected.astype(np.int64))
    return _complaint(actual, expected, distance > 1)


def ulp(count: int) -> Tolerance:
    """At most `count` floats apart."""

    def compare(actual: np.ndarray, expected: np.ndarray) -> str:
        with np.errstate(all="ignore"):
            near = np.abs(actual - expected) <= count * np.spacing(np.abs(expected))
        return _complaint(actual, expected, ~(_same(actual, expected) | near))

    return compare


def _within(actual: np.ndarray, expected: np.ndarray, share: float) -> str:
    finite = expected[np.isfinite(expected)]
    allowed = share * float(np.abs(finite).max(initial=0.0))
    with np.errstate(all="ignore"):
        near = np.abs(actual - expected) <= allowed
    return _complaint(actual, expected, ~(_same(actual, expected) | near))


def _same(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    same = actual == expected
    if expected.dtype.kind == "f":
        same = same | (np.isnan(actual) & np.isnan(expected))
    return np.asarray(same)


def _complaint(actual: np.ndarray, expected: np.ndarray, bad: np.ndarray) -> str:
    if not bad.any():
        return ""
    where = tuple(int(i) for i in np.argwhere(bad)[0]) if bad.ndim else ()
    return (
        f"{int(bad.sum())} of {bad.size} elements differ; "
        f"at {list(where)}: {actual[where]!r}, expected {expected[where]!r}"
    )
