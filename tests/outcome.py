"""Functions whose outcome is kept, be it a value, a failure or the skipping of a test.

What is slow here is a compilation: one that fails would be made again for each test that asks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called once for equal arguments."""
    values: dict[Hashable, Any] = {}
    failures: dict[Hashable, BaseException] = {}

    @functools.wraps(function)
    def called(*arguments: Hashable) -> Any:
        if arguments in failures:
            raise failures[arguments]
        if arguments not in values:
            try:
                values[arguments] = function(*arguments)
            except BaseException as failure:
                failures[arguments] = failure
                raise
        return values[arguments]

    return called
