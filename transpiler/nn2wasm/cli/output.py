"""JSON for programs, and a line on the terminal for people who wait."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import threading
import time
from types import TracebackType
from typing import Any

PATIENCE_SECONDS = 0.5
STEP_SECONDS = 0.2
_CLEAR = "\r\x1b[K"


def print_json(value: Any) -> None:
    """The value on one line of its own or several; dataclasses as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class Progress:
    """A line on stderr that says what is being done, and for how long, once that takes a while.

    Shown on terminals only, and gone when the work is done.
    """

    def __init__(self, text: str, *, shown: bool = True) -> None:
        self._text = text
        self._shown = shown and sys.stderr.isatty()
        self._done = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __call__(self, text: str) -> None:
        """What is being done now."""
        self._text = text

    def __enter__(self) -> Progress:
        if self._shown:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._done.set()
            self._thread.join()
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def _watch(self) -> None:
        wait = PATIENCE_SECONDS
        while not self._done.wait(wait):
            seconds = time.monotonic() - self._began
            sys.stderr.write(f"{_CLEAR}{self._text} … {seconds:.0f} s")
            sys.stderr.flush()
            wait = STEP_SECONDS
