"""Sums, differences and products of two tensors of bytes in integers, corrected by a list."""

from __future__ import annotations

import numpy as np

from nn2wasm.ir import Array, Node
from nn2wasm.ops.kernel import Lowering
from nn2wasm.ops.spatial import offset_text
from nn2wasm.quant.corrected_forms import (
    Corrections,
    find_corrected_product,
    find_corrected_sum,
)

SIGNS = {"Add": (np.add, 1), "Sub": (np.subtract, -1)}


def corrected_lowering(
    node: Node, function: str, *, fused: bool, unsigned: bool
) -> Lowering | None:
    """The form and its corrections as the template sees them; None where there is none."""
    a, b, y = node.input(0).quant, node.input(1).quant, node.output.quant
    if a is None or b is None or y is None:
        return None
    quants = [(float(quant.scale), int(quant.zero_point)) for quant in (a, b, y)]
    if function in SIGNS:
        numpy, sign = SIGNS[function]
        found = find_corrected_sum(numpy, sign, *quants, fused=fused, unsigned=unsigned)
        if found is None:
            return None
        form, corrections = found
        text = f"a * {form.a} + b * {form.b}{offset_text(form.rest)}"
        return _lowering(text, form.shift, corrections)
    if function != "Mul":
        return None
    product = find_corrected_product(*quants, fused=fused, unsigned=unsigned)
    if product is None:
        return None
    fixed, corrections = product
    a_text, b_text = (
        f"({name}{offset_text(-q[1])})" for name, q in zip("ab", quants, strict=False)
    )
    left = f" * {1 << fixed.left}" if fixed.left else ""
    text = f"nn_high({a_text} * {b_text}{left}, {fixed.multipliers[0]}){offset_text(fixed.offset)}"
    return _lowering(text, fixed.shift, corrections)


def _lowering(form: str, shift: int, corrections: Corrections) -> Lowering:
    context = {
        "form": form,
        "shift": shift,
        "near": corrections.near,
        "width": 2 * corrections.near,
        "mask": (1 << shift) - 1,
        "count": len(corrections.pairs),
        "list_parameter": "",
    }
    constants: dict[str, Array] = {}
    if len(corrections.pairs):
        context["list_parameter"] = ", const int8_t *restrict list"
        constants["list"] = corrections.pairs.reshape(-1)
    return Lowering(context=context, constants=constants)
