"""Every error that a user can meet.

::

    Nn2wasmError
    ├─ ModelError
    │  ├─ InvalidModel          not ONNX, inconsistent shapes, dangling names
    │  ├─ UnsupportedOp         every unsupported operator of the model, all at once
    │  ├─ UnsupportedFeature    the operator is known, this attribute, dtype or rank is not
    │  └─ DynamicShape          a size that must be known; names the option that fixes it
    ├─ QuantizationError        scales or zero points that mean nothing
    ├─ TargetError
    │  ├─ UnknownTarget         no such target or board; suggests the nearest
    │  └─ OverBudget            a size above a stated limit or budget
    ├─ ToolchainError           the compiler is missing or refused our C
    ├─ RunError                 wrong input name, shape or dtype; a trap
    ├─ VerificationFailed       outputs differ by more than the tolerance
    ├─ InstallError             package data is missing
    └─ InternalError            a broken invariant: our fault, not the user's

Text has one form: what · where · expected and found · what to do. Model names are quoted by
`quote`, so that a hostile name can neither move the cursor nor fill the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

LONGEST_NAME = 80


LONGEST_PATH = 4096


def quote(name: str, longest: int = LONGEST_NAME) -> str:
    """A name from a model in quotes: printable characters only, at most `longest` of them."""
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in name)
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return f"'{text}'"


class Nn2wasmError(Exception):
    """Base of all errors that nn2wasm raises on purpose.

    Args:
        message: what is wrong and where, one line.
        facts: label and value of what was expected or found, a line each.
        hint: what the user can do.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, facts: Sequence[tuple[str, str]] = (), hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.facts = tuple(facts)
        self.hint = hint

    def __str__(self) -> str:
        width = max((len(label) for label, _ in self.facts), default=0)
        lines = [self.message]
        lines += [f"  {label:<{width}}  {value}" for label, value in self.facts]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ModelError(Nn2wasmError):
    """The model cannot be compiled."""

    exit_code = 10


class InvalidModel(ModelError):
    exit_code = 11


class UnsupportedOp(ModelError):
    exit_code = 12


class UnsupportedFeature(ModelError):
    exit_code = 13


class DynamicShape(ModelError):
    """A size, or a value that decides sizes, is not known.

    Args:
        inputs: those of the network that decide it: fixed, they make it known.
    """

    exit_code = 14

    def __init__(
        self,
        message: str,
        *,
        facts: Sequence[tuple[str, str]] = (),
        hint: str = "",
        inputs: Sequence[str] = (),
    ) -> None:
        super().__init__(message, facts=facts, hint=hint)
        self.inputs = tuple(inputs)


class QuantizationError(Nn2wasmError):
    exit_code = 15


class TargetError(Nn2wasmError):
    exit_code = 20


class UnknownTarget(TargetError):
    exit_code = 21


class OverBudget(TargetError):
    exit_code = 22


class ToolchainError(Nn2wasmError):
    exit_code = 30


class RunError(Nn2wasmError):
    exit_code = 40


class VerificationFailed(Nn2wasmError):
    exit_code = 50


class InstallError(Nn2wasmError):
    exit_code = 60


class InternalError(Nn2wasmError):
    exit_code = 70
