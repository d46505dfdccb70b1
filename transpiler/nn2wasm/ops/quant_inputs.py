"""Scales and zero points as ONNX's quantized operators give them: two constant inputs each."""

from __future__ import annotations

import numpy as np

from nn2wasm.errors import QuantizationError, quote
from nn2wasm.ir import QuantParams, Tensor
from nn2wasm.ops.onnx_node import OnnxNode


def read_quant(
    node: OnnxNode, scale_index: int, zero_point_index: int, *, axis: int | None = None
) -> QuantParams:
    """The pair at those inputs; `axis` is used where the scale is a vector of more than one.

    Raises:
        QuantizationError: a scale that is not positive and finite, shapes that disagree.
        DynamicShape: they are computed at run time.
    """
    scale = np.asarray(node.constant(scale_index, "scale"))
    if scale.dtype != np.float32:
        raise node.unsupported(f"a scale of type {scale.dtype}; float32 is compiled")
    if node.optional(zero_point_index) is None:
        zero_point = np.zeros(scale.shape, np.int32)
    else:
        zero_point = np.asarray(node.constant(zero_point_index, "zero point"))
        if zero_point.dtype.kind not in "iu":
            raise node.unsupported(f"a zero point of type {zero_point.dtype}")
        zero_point = zero_point.astype(np.int32)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        bad = scale.reshape(-1)[~(np.isfinite(scale) & (scale > 0)).reshape(-1)][0]
        raise QuantizationError(
            f"{node.describe()}: a scale is {bad}; scales are positive and finite",
            facts=[("scale", quote(node.input(scale_index).name))],
        )
    if scale.size == 1 and zero_point.size == 1:
        return QuantParams(scale.reshape(()), zero_point.reshape(()))
    if scale.ndim > 1:
        raise node.unsupported(f"blocks of scales, shape {list(scale.shape)}")
    if zero_point.size == 1:
        zero_point = np.broadcast_to(zero_point.reshape(()), scale.shape).copy()
    if axis is None or scale.shape != zero_point.shape:
        raise QuantizationError(
            f"{node.describe()}: scale and zero point do not belong together",
            facts=[("scale", str(list(scale.shape))), ("zero point", str(list(zero_point.shape)))],
        )
    return QuantParams(scale, zero_point, axis)


def check_channels(node: OnnxNode, tensor: Tensor, quant: QuantParams) -> None:
    """A per-channel parameter must have one pair for each index of its axis."""
    if quant.axis is None:
        return
    if quant.axis >= len(tensor.shape) or tensor.shape[quant.axis] != quant.scale.size:
        raise QuantizationError(
            f"{node.describe()}: {quant.scale.size} scales for axis {quant.axis} "
            f"of {list(tensor.shape)}",
        )
