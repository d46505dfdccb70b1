"""Sums, products, tables and poolings of bytes on Helium, four integers or sixteen bytes at a time.

What is left of a vector is loaded and stored with a mask: nothing overlaps, so an output may lie
over its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nn2wasm.ir import DType, Node
from nn2wasm.ops.binary_simd import float_form
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.mve_linear import mve_kernel
from nn2wasm.ops.vectors import pair_rows, pairs_fit
from nn2wasm.quant.arithmetic import integer_bounds
from nn2wasm.quant.binary_forms import IntegerForm

if TYPE_CHECKING:
    from nn2wasm.ops.elementwise import Binary

OPERATORS = {"Add": "+", "Sub": "-", "Mul": "*"}


def mve_integer_pairs(form_of: Callable[[Node], IntegerForm | None]) -> Kernel:
    """Sums in the integer form that equals their definition, where there is one."""

    def fits(node: Node) -> str:
        return pairs_fit(node) or ("" if form_of(node) else "no integer form equals it")

    def lower(node: Node) -> Lowering:
        form = form_of(node)
        assert form is not None
        lowering = _rows(node)
        lowering.sizes |= {"ma": form.a, "mb": form.b, "rest": form.rest, "shift": form.shift}
        return lowering

    return mve_kernel("nn_binary_s8_int_4", "binary/s8_int", fits, lower)


def mve_float_pairs() -> Kernel:
    """Sums and products in a float form without a division that equals their definition."""
    return mve_kernel("nn_binary_s8_4", "binary/s8", _float_pairs_fit, _lower_float_pairs)


def _float_pairs_fit(node: Node) -> str:
    op: Binary = node.op  # type: ignore[assignment]
    if op.fused or op.function not in OPERATORS:
        return f"{op.function} is not computed in vectors"
    if float_form(node, op.function).divided:
        return "no form without a division equals it"
    return pairs_fit(node)


def _lower_float_pairs(node: Node) -> Lowering:
    op: Binary = node.op  # type: ignore[assignment]
    form = float_form(node, op.function)
    a, b = node.input(0).quant, node.input(1).quant
    assert a is not None
    assert b is not None
    lowering = _rows(node)
    lowering.context |= {"form": form, "operator": OPERATORS[op.function]}
    lowering.sizes |= {"a_zero": int(a.zero_point), "b_zero": int(b.zero_point)}
    lowering.constants["reals"] = np.asarray(form.reals[:2], np.float32)
    return lowering


def _rows(node: Node) -> Lowering:
    """Of operands that run side by side."""
    op: Binary = node.op  # type: ignore[assignment]
    quant = node.output.quant
    assert quant is not None
    rows = pair_rows(node.input(0).shape, node.input(1).shape, node.output.shape)
    assert rows is not None
    low, high = integer_bounds(op.lo, op.hi, quant, DType.S8)
    bounds = {"y_zero_point": int(quant.zero_point), "y_lo": low, "y_hi": high}
    context = rows.context | {"function": op.function}
    lowering = Lowering(context=context, sizes=rows.sizes | bounds, arguments=(0, 1))
    for index in lowering.arguments:
        if node.input(index).shape == node.output.shape:
            lowering.lead[index] = stream_lead(node.output.element_count, 1, 1)
    return lowering
