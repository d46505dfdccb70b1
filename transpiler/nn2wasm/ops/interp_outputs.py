"""Outputs of kernels for interpreters, which layers share: scales, and how sums become bytes."""

from __future__ import annotations

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.linear import Operands, output_scales
from nn2wasm.quant.arithmetic import integer_bounds


def finite_scales(node: Node) -> str:
    """Why a kernel refuses that rounds numbers only."""
    if node.output.dtype is DType.F32:
        return ""
    return "" if np.all(np.isfinite(output_scales(node))) else "a scale is not finite"


def output_operands(node: Node, scale: Array, lo: float, hi: float) -> Operands:
    """Scales as a constant `scale`, or as one number, `factor`, from its bits; bounds of bytes."""
    sizes: dict[str, int] = {}
    quant = node.output.quant
    if node.output.dtype is not DType.F32:
        assert quant is not None
        low, high = integer_bounds(lo, hi, quant, DType.S8)
        sizes |= {"y_zero_point": int(quant.zero_point), "y_lo": low, "y_hi": high}
    uniform = bool(np.all(scale == scale[:1]))
    parameter = "" if uniform else ", const float *restrict scale"
    context = {"uniform": uniform, "scale_parameter": parameter}
    if uniform:
        sizes["scale_bits"] = int(scale[:1].view(np.int32)[0])
    return Operands(context, {} if uniform else {"scale": scale}, sizes)


def lane_scales(operands: Operands, pointer: str, width: int) -> list[str]:
    """The scales of a block's outputs in C."""
    uniform = operands.context["uniform"]
    return ["factor" if uniform else f"{pointer}[{lane}]" for lane in range(width)]
