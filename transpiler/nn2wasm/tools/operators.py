"""The ONNX operators that can be compiled, from the registry."""

from __future__ import annotations

from dataclasses import dataclass

import nn2wasm.ops  # registers the operations
from nn2wasm.ops.registry import KernelOp, registered

assert nn2wasm.ops

ALL = ("any",)
_ANY = {"q": "integers"}


@dataclass(frozen=True, slots=True)
class OperatorReport:
    """An operator.

    Attributes:
        name: ONNX operator type.
        domain: empty for ai.onnx.
        op: the class that imports it.
        dtypes: element types that its kernels compute on; empty where it has none.
    """

    name: str
    domain: str
    op: str
    dtypes: tuple[str, ...]


def list_operators() -> tuple[OperatorReport, ...]:
    """All of them, by domain and name."""
    found = []
    for full_name, cls in registered():
        domain, _, name = full_name.rpartition(".")
        kernels = cls.kernels if issubclass(cls, KernelOp) else ()
        dtypes = tuple(dict.fromkeys(_ANY.get(kernel.dtype, kernel.dtype) for kernel in kernels))
        found.append(OperatorReport(name, domain, cls.__name__, dtypes))
    return tuple(found)
