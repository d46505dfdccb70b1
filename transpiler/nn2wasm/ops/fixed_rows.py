"""Kernels on bytes that requantize in integers, for targets where that is cheaper than in floats.

They are the scalar kernels with another way from a sum to a byte (`quant.fixed_point`): rows of
their own before each scalar row, so that reports tell which a layer got, and why not the cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from nn2wasm.ir import Array, Node
from nn2wasm.ops.kernel import Kernel
from nn2wasm.quant.arithmetic import requantize
from nn2wasm.quant.fixed_point import FixedPoint, find_fixed_point

FIXED_POINT = frozenset({"fixed_point"})
HEADER = "nn2wasm/fixed_point.h"


class Requantizing(Protocol):
    """An op whose sums become bytes by one multiplication."""

    def fixed_point(self, node: Node) -> FixedPoint | None:
        """The form in integers that gives the bytes of the float form; None: there is none."""


def with_integer_rows(*kernels: Kernel) -> tuple[Kernel, ...]:
    """Scalar kernels on bytes, before each of them those that requantize in integers."""
    return tuple(row for kernel in kernels for row in (*_integer_rows(kernel), kernel))


def _integer_rows(kernel: Kernel) -> tuple[Kernel, ...]:
    return tuple(
        replace(
            kernel,
            symbol=kernel.symbol.replace("__", f"_{form}__"),
            needs=kernel.needs | FIXED_POINT,
            fits=_fits(kernel.fits, guarded=form == "guarded"),
            headers=(HEADER,),
            integers=True,
        )
        for form in ("fixed", "guarded")
    )


def _fits(beside: Callable[[Node], str], *, guarded: bool) -> Callable[[Node], str]:
    def fits(node: Node) -> str:
        if reason := beside(node):
            return reason
        if node.output.quant is None:
            return "its result is real numbers"
        op: Requantizing = node.op  # type: ignore[assignment]
        form = op.fixed_point(node)
        if form is None:
            return "no integer form gives the bytes of the float form for all sums"
        if form.guarded and not guarded:
            return "no multiplier gives the bytes of the float form for all sums"
        return ""

    return fits


@lru_cache(maxsize=16)
def form_of(node: Node) -> FixedPoint | None:
    """The form of a node whose parts ask for it one after the other."""
    op: Requantizing = node.op  # type: ignore[assignment]
    return op.fixed_point(node)


def scaled_form(scale: Array, bound: Array, zero_point: int, lo: int, hi: int) -> FixedPoint | None:
    """The form for sums that are multiplied by float32 numbers and requantized.

    Args:
        scale: [n], float32.
        bound: [n], the largest size of a sum.
        zero_point: of the result.
        lo: least result.
        hi: largest.
    """
    sizes = np.ascontiguousarray(bound, np.int64).tobytes()
    return _scaled_form(scale.astype(np.float32).tobytes(), sizes, zero_point, lo, hi)


@lru_cache(maxsize=512)
def _scaled_form(
    scale: bytes, bound: bytes, zero_point: int, lo: int, hi: int
) -> FixedPoint | None:
    factors = np.frombuffer(scale, np.float32)

    def truth(acc: Array) -> Array:
        with np.errstate(over="ignore"):
            return requantize(acc, factors[:, None], zero_point, lo, hi)

    return find_fixed_point(factors, np.frombuffer(bound, np.int64), zero_point, lo, hi, truth)


def fixed_context(form: FixedPoint) -> dict[str, Any]:
    """How templates make a byte of a sum: what stands before it, before and behind its factor."""
    name = "nn_requantize_guarded" if form.guarded else "nn_requantize_fixed"
    left = f" * {1 << form.left}" if form.left else ""
    return {
        "sum_open": f"{name}(",
        "sum_middle": f"{left}, ",
        "sum_close": f", {form.offset}, {form.shift}, {form.lo}, {form.hi})",
        "scale_type": "int32_t",
    }
