"""Pooling over images, channels last; the global forms are a window of the image's size.

    max:      y[n, oy, ox, c] = max over the window of x
    average:  y[n, oy, ox, c] = (sum over the window of x) / count

ONNX MaxPool-8.., AveragePool-7.., GlobalMaxPool, GlobalAveragePool, ReduceMean over the image;
com.microsoft QLinearAveragePool, QLinearGlobalAveragePool. On 8-bit integers the average is the
exact sum times the float32 ratio x_scale / (y_scale · count), requantized once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, QuantParams, Tensor, TensorType
from nn2wasm.ops.fixed_rows import fixed_context, scaled_form, with_integer_rows
from nn2wasm.ops.fixed_wide import wide_form_context, wide_scales, with_wide_rows
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.linear import factor_text, float_literal, requantize_context
from nn2wasm.ops.linear_s16 import wide_context
from nn2wasm.ops.mve_linear import mve_kernel
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.pool_simd import (
    bytes_context,
    channel_context,
    half_fits,
    lanes_fit,
    window_fits,
)
from nn2wasm.ops.quant_inputs import read_quant
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import reinterpret
from nn2wasm.ops.spatial import (
    Geometry,
    image_context,
    image_shape,
    image_window,
    offset_text,
    read_geometry,
    spatial_size,
)
from nn2wasm.ops.vectors import simd_kernel
from nn2wasm.ops.volume_pool import emit_volume_average, emit_volume_max
from nn2wasm.ops.wide_activations import AVERAGE_POOL, MAX_POOL, S16_SPAN, average_context
from nn2wasm.quant.fixed_point import FixedPoint
from nn2wasm.quant.wide_forms import WideForm, find_wide_form

QLINEAR = ("com.microsoft.QLinearAveragePool", "com.microsoft.QLinearGlobalAveragePool")


@dataclass(frozen=True)
class MaxPool(KernelOp):
    onnx_types = ("MaxPool", "GlobalMaxPool")
    moves = True
    kernels = (
        mve_kernel("nn_maxpool_s8_16", "pool/max_s8"),
        simd_kernel("nn_maxpool_s8_16", "pool/max", "s8", half_fits),
        simd_kernel("nn_maxpool_f32_4", "pool/max", "f32", half_fits),
        Kernel(symbol="nn_maxpool_s8__scalar", template="pool/max__scalar.c.j2", dtype="s8"),
        MAX_POOL,
        Kernel(symbol="nn_maxpool_f32__scalar", template="pool/max__scalar.c.j2", dtype="f32"),
    )

    geometry: Geometry
    channels_last: bool = False

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        indices = len([name for name in node.output_names if name]) > 1
        if indices or len(x.shape) > 4 or not (x.dtype is DType.F32 or x.dtype.is_byte):
            emit_volume_max(node, x)
            return
        if x.dtype.is_byte and x.quant is None:
            x = reinterpret(node, x, QuantParams.per_tensor(1.0, 0))
        node.emit(cls(pool_geometry(node, x, "Global" in node.op_type)), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        return _infer(self, inputs)

    def to_channels_last(self) -> Op:
        return replace(self, channels_last=True)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        is_float = kernel.dtype == "f32"
        fill = -math.inf if is_float else node.input(0).dtype.minimum
        lowering = pool_lowering(self.geometry, node, fill)
        lowering.context |= {
            "type": node.input(0).dtype.c_name,
            "lowest": float_literal(fill) if is_float else str(fill),
        }
        if kernel.needs:
            lowering.context |= channel_context(node.input(0))
        return lowering


@dataclass(frozen=True)
class AveragePool(KernelOp):
    """`include_pad`: padding counts as elements of value 0."""

    onnx_types = ("AveragePool", "GlobalAveragePool", *QLINEAR)
    quantizable = True
    kernels = (
        mve_kernel("nn_avgpool_s8_4", "pool/average_s8"),
        simd_kernel("nn_avgpool_s8_16", "pool/average_s8", "s8", window_fits),
        simd_kernel("nn_avgpool_f32_4", "pool/average_f32", "f32", lanes_fit),
        *with_integer_rows(
            Kernel(
                symbol="nn_avgpool_s8__scalar", template="pool/average_s8__scalar.c.j2", dtype="s8"
            )
        ),
        *with_wide_rows(AVERAGE_POOL, form=lambda node: _wide_form(node)),
        Kernel(
            symbol="nn_avgpool_f32__scalar", template="pool/average_f32__scalar.c.j2", dtype="f32"
        ),
    )

    geometry: Geometry
    include_pad: bool = False
    channels_last: bool = False

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        qlinear = node.op_type.startswith("QLinear")
        if qlinear and node.attr_int("channels_last", 0):
            raise node.unsupported("channels_last")
        if not qlinear and x.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {x.dtype.value}")
        if not qlinear and (len(x.shape) > 4 or _is_ambiguous(node)):
            emit_volume_average(node, x)
            return
        geometry = pool_geometry(node, x, "Global" in node.op_type)
        include_pad = bool(node.attr_int("count_include_pad", 0))
        if include_pad and not qlinear:
            geometry, include_pad = _counted(node, geometry, x)
        op = cls(geometry, include_pad)
        if qlinear:
            x = reinterpret(node, x, read_quant(node, 1, 2))
            node.emit(op, [x], quant=read_quant(node, 3, 4))
        else:
            node.emit(op, [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        return _infer(self, inputs)

    def to_channels_last(self) -> Op:
        return replace(self, channels_last=True)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        geometry = self.geometry
        taps = math.prod(geometry.kernel)
        varying = self._varies(node)
        fill: int | float = 0.0
        context: dict[str, Any] = {"taps": taps, "varying": varying, "counts_parameter": ""}
        if varying:
            context["counts_parameter"] = "int valid_rows, "
        if kernel.dtype != "f32":
            assert x.quant is not None
            assert y.quant is not None
            fill = int(x.quant.zero_point)
            context["centre"] = offset_text(-fill)
            factors, texts = self._factors(node, kernel)
            context |= texts
            context |= {
                "x_zero_factor": factor_text(fill),
                "y_zero_factor": factor_text(int(y.quant.zero_point)),
            }
            if kernel.needs and not kernel.integers:
                context |= bytes_context(geometry.kernel, x.quant, y.quant)
        lowering = pool_lowering(geometry, node, fill, counts_rows=varying)
        lowering.context |= context
        if kernel.needs and not kernel.integers:
            lowering.context |= channel_context(x)
        if kernel.dtype == "s16":
            lowering.context |= average_context(taps)
        if kernel.dtype != "f32" and varying:
            lowering.constants["ratios"] = factors
            c_type = lowering.context["scale_type"]
            lowering.context["counts_parameter"] += f"const {c_type} *restrict ratios, "
        return lowering

    def _ratios(self, node: Node) -> Array:
        """x_scale / (y_scale · count) for 1 … all elements of a window."""
        x, y = node.input(0).quant, node.output.quant
        assert x is not None
        assert y is not None
        counts = np.arange(1, math.prod(self.geometry.kernel) + 1, dtype=np.float32)
        return np.asarray(x.scale / (y.scale * counts), np.float32)

    def _factors(self, node: Node, kernel: Kernel) -> tuple[Array, dict[str, Any]]:
        """What sums of so many elements are multiplied by, and how templates make bytes of them."""
        y = node.output
        assert y.quant is not None
        if kernel.dtype == "s16":
            context = wide_context(-math.inf, math.inf, y)
        else:
            context = requantize_context(-math.inf, math.inf, y.quant)
        factors = self._ratios(node)
        if not kernel.integers:
            return factors, context | {"ratio": float_literal(float(factors[-1]))}
        if kernel.dtype == "s16":
            wide = self.wide_form(node)
            assert wide is not None
            factors = wide_scales(wide)
            context |= wide_form_context(wide, y.dtype.c_name)
        else:
            form = self.fixed_point(node)
            assert form is not None
            factors = form.multipliers.astype(np.int32)
            context |= fixed_context(form)
        return factors, context | {"ratio": str(factors[-1])}

    def fixed_point(self, node: Node) -> FixedPoint | None:
        """How sums become bytes in integers, for every count of elements."""
        x, y = node.input(0).quant, node.output.quant
        assert x is not None
        assert y is not None
        reach = 128 + abs(int(x.zero_point))
        ratios = self._ratios(node)
        bound = reach * np.arange(1, len(ratios) + 1)
        if not self._varies(node):
            ratios, bound = ratios[-1:], bound[-1:]
        return scaled_form(ratios, bound, int(y.zero_point), -128, 127)

    def wide_form(self, node: Node) -> WideForm | None:
        """The same for integers of 16 bits."""
        y = node.output
        assert y.quant is not None
        ratios = self._ratios(node)
        bound = np.asarray([S16_SPAN * len(ratios)])  # of the type that sums have
        if not self._varies(node):
            ratios = ratios[-1:]
        low, high = y.dtype.minimum, y.dtype.maximum
        return find_wide_form(ratios, bound, int(y.quant.zero_point), low, high)

    def _varies(self, node: Node) -> bool:
        """Whether windows differ in how many elements they count."""
        sizes = (spatial_size(tensor.shape, True) for tensor in (node.input(0), node.output))
        return _leaves_image(self.geometry, *sizes) and not self.include_pad


def _wide_form(node: Node) -> WideForm | None:
    op: AveragePool = node.op  # type: ignore[assignment]
    return op.wide_form(node)


def _counted(node: OnnxNode, geometry: Geometry, x: Tensor) -> tuple[Geometry, bool]:
    """The geometry and `include_pad` of a float pooling that counts its padding, but never what
    ceil_mode adds beyond it; onnxruntime's QLinearAveragePool counts both.
    """
    size, floor = spatial_size(x.shape, False), replace(geometry, ceil=False)
    if not geometry.is_padded:
        return geometry, False
    assert floor.out_size(size) == geometry.out_size(size)
    return floor, True


def _is_ambiguous(node: OnnxNode) -> bool:
    """Whether padding counts and ceil_mode may add to it: the plain kernel tells them apart."""
    pads, auto = node.attr_ints("pads", ()) or (), node.attr_str("auto_pad", "NOTSET")
    is_padded = any(pads) or auto.startswith("SAME")
    counted = node.attr_int("count_include_pad", 0) and node.attr_int("ceil_mode", 0)
    return bool(is_padded and counted)


def pool_geometry(node: OnnxNode, x: Tensor, whole: bool) -> Geometry:
    if whole:
        if len(x.shape) not in (3, 4):
            raise node.unsupported(f"rank {len(x.shape)}; 3 and 4 are compiled")
        return Geometry(rank=len(x.shape) - 2, kernel=spatial_size(x.shape, False))
    kernel = node.attr_ints("kernel_shape")
    if kernel is None:
        raise node.invalid("kernel_shape is missing")
    geometry = read_geometry(node, x.shape, kernel)
    if min(geometry.out_size(spatial_size(x.shape, False))) < 1:
        raise node.invalid("the kernel is larger than the padded input")
    if any(p >= k for p, k in zip(geometry.pad_begin, geometry.kernel, strict=True)):
        raise node.unsupported("padding as wide as the kernel")
    return geometry


def pool_lowering(
    geometry: Geometry, node: Node, fill: int | float, *, counts_rows: bool = False
) -> Lowering:
    """The walk that both poolings share."""
    x, y = node.input(0), node.output
    window = image_window(geometry, x, y, fill, counts_rows=counts_rows)
    lowering = Lowering(context=image_context(geometry, x, y), walk=window)
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _leaves_image(geometry: Geometry, size: tuple[int, int], out: tuple[int, int]) -> bool:
    return any(
        geometry.pad_begin[i] > 0
        or (out[i] - 1) * geometry.stride[i]
        + (geometry.kernel[i] - 1) * geometry.dilation[i]
        - geometry.pad_begin[i]
        >= size[i]
        for i in range(2)
    )


def _infer(op: MaxPool | AveragePool, inputs: Sequence[Tensor | None]) -> list[TensorType]:
    x = inputs[0]
    assert x is not None
    size = op.geometry.out_size(spatial_size(x.shape, op.channels_last))
    channels = x.shape[-1 if op.channels_last else 1]
    shape = image_shape(x.shape[0], size, channels, op.geometry.rank, op.channels_last)
    return [TensorType(x.dtype, shape)]
