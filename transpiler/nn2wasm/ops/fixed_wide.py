"""Kernels on 16 bits that requantize in integers, for targets where that is cheaper than in floats:
those without an FPU, and sums of 64 bits, which no FPU converts.

They are the scalar kernels with another way from a sum to a result (`quant.wide_forms`): rows of
their own, before the row that they stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, Node, Tensor
from nn2wasm.ops.fixed_rows import FIXED_POINT, HEADER
from nn2wasm.ops.kernel import Kernel
from nn2wasm.ops.spatial import offset_text
from nn2wasm.quant.wide_forms import Factor, Point, WideForm

NO_FPU = FIXED_POINT | {"no_fpu"}
HEADERS = (HEADER, "nn2wasm/positive_floats.h", "nn2wasm/fixed_wide.h")
NO_FORM = "its sums may be thousands of times as large as its results"


def with_wide_rows(*kernels: Kernel, form: Callable[[Node], WideForm | None]) -> tuple[Kernel, ...]:
    """Scalar kernels on 16 bits, before each of them those that requantize in integers."""
    return tuple(
        row
        for kernel in kernels
        for row in (
            _wide_row(kernel, form, NO_FPU, any_sums=True),
            _wide_row(kernel, form, FIXED_POINT, any_sums=False),
            kernel,
        )
    )


def _wide_row(
    kernel: Kernel,
    form: Callable[[Node], WideForm | None],
    needs: frozenset[str],
    *,
    any_sums: bool,
) -> Kernel:
    def fits(node: Node) -> str:
        if reason := kernel.fits(node):
            return reason
        if node.output.quant is None:
            return "its result is real numbers"
        found = form(node)
        if found is None:
            return NO_FORM
        return "" if any_sums or found.left < 0 else "floats cost less for sums of 32 bits"

    return replace(
        kernel,
        symbol=kernel.symbol.replace("__", "_fixed__"),
        needs=kernel.needs | needs,
        fits=fits,
        headers=HEADERS,
        integers=True,
    )


def float_bits(value: float) -> int:
    """The bits of a positive float32, as C functions take scales."""
    return int(np.float32(value).view(np.int32))


def wide_scales(form: WideForm) -> Array:
    """What the form's C takes for scales, int32: the bits of floats for sums as they are moved."""
    moved = form.scales * np.float32(2.0 ** -max(form.left, 0))
    return np.ascontiguousarray(moved.astype(np.float32)).view(np.int32)


def wide_form_context(form: WideForm, y_type: str) -> dict[str, Any]:
    """How templates make a result of a sum: what stands before it, before and behind its scale."""
    top = 127 + form.top - max(form.left, 0)
    point = form.point
    numbers = (top, point.offset, point.shift, point.guard, point.lo, point.hi)
    tail = f", {', '.join(map(str, numbers))})"
    if form.left < 0:
        return {
            "sum_open": f"({y_type})nn_requantize_long(",
            "sum_middle": ", ",
            "sum_close": f", {-form.left}{tail}",
            "scale_type": "int32_t",
        }
    return {
        "sum_open": f"({y_type})nn_requantize_wide(",
        "sum_middle": f"{moved_text(form.left)}, ",
        "sum_close": tail,
        "scale_type": "int32_t",
    }


def largest_size(tensor: Tensor) -> int:
    """Of its integers less their zero point."""
    assert tensor.quant is not None
    zero_point = int(tensor.quant.zero_point)
    return max(tensor.dtype.maximum - zero_point, zero_point - tensor.dtype.minimum)


def factor_terms(value: str, factor: Factor) -> str:
    """floor(value · 2^left · m / 2^32) in C."""
    return f"nn_high({value}{moved_text(factor.left)}, {factor.m})"


def point_context(point: Point) -> dict[str, Any]:
    """What templates say of v."""
    return {
        "offset": offset_text(point.offset),
        "shift": point.shift,
        "guard": point.guard,
        "zero_point": offset_text(point.zero_point),
        "lo": point.lo,
        "hi": point.hi,
    }


def moved_text(left: int) -> str:
    """What moves an integer up in C."""
    return f" * {1 << left}" if left else ""
