"""Convolution over images, channels last.

    y[n, oy, ox, oc] = clamp(b[oc] + sum_{ky, kx, ic} x[n, oy·sy + ky·dy − py, ox·sx + kx·dx − px,
    ic]
                                                     · w[oc, ky, kx, ic])

in float32, or on integers with exact 32-bit sums and one requantization (`quant.arithmetic`).
ONNX Conv-1..22 and QLinearConv-10, 1-D and 2-D, any group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.depthwise_fields import depthwise_field_kernel, depthwise_fields
from nn2wasm.ops.dual import dual_kernels, dual_product, dual_rows
from nn2wasm.ops.dual_depthwise import dual_depthwise, dual_depthwise_kernels
from nn2wasm.ops.fixed_rows import with_integer_rows
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, always, rows_overlap, window_overlap
from nn2wasm.ops.linear import (
    Linear,
    Operands,
    Pointers,
    bias_of,
    bias_values,
    linear_names,
    linear_s8,
    outputs_context,
    quantized_linear,
    store_context,
)
from nn2wasm.ops.linear_s16 import linear_s16, scalar_kernels, wide_form
from nn2wasm.ops.mve_depthwise import mve_depthwise_kernels
from nn2wasm.ops.mve_linear import mve_conv_kernels
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.packed_bytes import line_kernels, packed_line
from nn2wasm.ops.packed_fields import INTERP, field_kernels, field_rows
from nn2wasm.ops.quant_inputs import check_channels, read_quant
from nn2wasm.ops.small_depthwise import small_depthwise, small_depthwise_kernels
from nn2wasm.ops.spatial import (
    Geometry,
    image_context,
    image_shape,
    image_window,
    offset_text,
    read_geometry,
    spatial_size,
    steps_text,
)
from nn2wasm.ops.tiled import simd_kernels, tiled_product
from nn2wasm.ops.tiled_depthwise import tiled_depthwise
from nn2wasm.ops.tiled_s16 import simd_kernels_s16
from nn2wasm.ops.tiled_windows import tiled_rows
from nn2wasm.ops.volume_conv import emit_integer_conv, emit_volume_conv
from nn2wasm.target import SMALL

LARGEST_UNROLLED_WINDOW = 32
UNROLLED = "depthwise/s8_unrolled__scalar.c.j2"


def _needs_channel_filters(node: Node) -> str:
    op: Conv = node.op  # type: ignore[assignment]
    w = node.input(1)
    channels = op.groups > 1 and w.shape[0] == op.groups and w.shape[1] == 1
    return "" if channels else "not one filter for each channel"


def _needs_depthwise(node: Node) -> str:
    if reason := _needs_channel_filters(node):
        return reason
    w = node.input(1)
    if w.quant is not None and np.any(w.quant.zero_point):
        return "its weights have a zero point"
    return ""


def _needs_small_depthwise(node: Node) -> str:
    """Of kernels that write a window out."""
    op: Conv = node.op  # type: ignore[assignment]
    if math.prod(op.geometry.kernel) > LARGEST_UNROLLED_WINDOW:
        return f"a window of more than {LARGEST_UNROLLED_WINDOW}"
    if node.input(0).dtype is DType.F32 and node.input(0).shape[-1] < 4:
        return "fewer than 4 channels"
    return _needs_depthwise(node)


def _geometry(node: Node) -> Geometry:
    op: Conv = node.op  # type: ignore[assignment]
    return op.geometry


def _outputs_of_group(node: Node) -> int:
    op: Conv = node.op  # type: ignore[assignment]
    return node.output.shape[-1] // op.groups


def _needs_one_pixel(node: Node) -> str:
    one = math.prod(spatial_size(node.input(0).shape, True)) == 1
    return _needs_pointwise(node) or ("" if one else "more than one pixel")


def _needs_pointwise(node: Node) -> str:
    op: Conv = node.op  # type: ignore[assignment]
    return "" if op.geometry.is_pointwise and op.groups == 1 else "not 1x1, stride 1, group 1"


def _needs_one_group(node: Node) -> str:
    op: Conv = node.op  # type: ignore[assignment]
    return "" if op.groups == 1 else "groups"


DEPTHWISE = Kernel(
    symbol="nn_depthwise_s8__scalar",
    template="depthwise/s8__scalar.c.j2",
    dtype="s8",
    fits=_needs_depthwise,
)


@dataclass(frozen=True)
class Conv(Linear):
    """Inputs x, w [oc, ic/group, kh, kw], optional b [oc]."""

    onnx_types = ("Conv", "QLinearConv")
    kernels = (
        *mve_depthwise_kernels(_needs_depthwise),
        *mve_conv_kernels(),
        *small_depthwise_kernels(_needs_depthwise),
        *simd_kernels("depthwise", _needs_small_depthwise),
        *simd_kernels("gemm", _needs_pointwise),
        *simd_kernels("conv", always),
        *simd_kernels_s16("depthwise", _needs_small_depthwise),
        *simd_kernels_s16("gemm", _needs_pointwise),
        *simd_kernels_s16("conv", always),
        depthwise_field_kernel(_needs_channel_filters, _geometry),
        *line_kernels(_needs_one_pixel),
        *field_kernels(_outputs_of_group),
        *dual_depthwise_kernels(_needs_small_depthwise),
        *dual_kernels("gemm", _needs_pointwise),
        *dual_kernels("conv", _needs_one_group),
        *with_integer_rows(
            replace(DEPTHWISE, needs=frozenset({"scalar_core", SMALL})),
            Kernel(
                symbol="nn_depthwise_s8_unrolled__scalar",
                template=UNROLLED,
                dtype="s8",
                needs=frozenset({"scalar_core"}),
                fits=_needs_small_depthwise,
            ),
            DEPTHWISE,
            Kernel(
                symbol="nn_gemm_s8_1x4__scalar",
                template="gemm/s8__scalar.c.j2",
                dtype="s8",
                fits=_needs_pointwise,
            ),
            Kernel(symbol="nn_conv_s8_1x4__scalar", template="conv/s8__scalar.c.j2", dtype="s8"),
        ),
        *scalar_kernels("depthwise", _needs_depthwise),
        *scalar_kernels("gemm", _needs_pointwise),
        *scalar_kernels("conv"),
        Kernel(
            symbol="nn_depthwise_f32__scalar",
            template="depthwise/f32__scalar.c.j2",
            dtype="f32",
            fits=_needs_depthwise,
        ),
        Kernel(
            symbol="nn_gemm_f32_1x4__scalar",
            template="gemm/f32__scalar.c.j2",
            dtype="f32",
            fits=_needs_pointwise,
        ),
        Kernel(symbol="nn_conv_f32_1x4__scalar", template="conv/f32__scalar.c.j2", dtype="f32"),
    )

    geometry: Geometry
    groups: int = 1
    channels_last: bool = False
    lo: float = -math.inf
    hi: float = math.inf
    output_dtype: DType | None = None

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        quantized = node.op_type == "QLinearConv"
        x, w = node.input(0), node.input(3 if quantized else 1)
        if len(w.shape) < 3:
            raise node.invalid(f"weight has rank {len(w.shape)}")
        computed = [t for t in (w, node.optional(8 if quantized else 2)) if t is not None]
        if len(w.shape) > 4 or not all(node.is_static(tensor) for tensor in computed):
            (emit_integer_conv if quantized else emit_volume_conv)(node, x, w)
            return
        kernel = w.shape[2:]
        if (node.attr_ints("kernel_shape", kernel) or kernel) != kernel:
            raise node.invalid("kernel_shape disagrees with the weight")
        geometry = read_geometry(node, x.shape, kernel)
        groups = node.attr_int("group", 1)
        if groups < 1 or x.shape[1] % groups or w.shape[0] % groups:
            raise node.invalid(f"group = {groups} does not divide the channels")
        if w.shape[1] * groups != x.shape[1]:
            raise node.invalid(
                f"weight has {w.shape[1] * groups} input channels, input has {x.shape[1]}",
                hint=f"expected weight shape [out, {x.shape[1] // groups}, ...] for this group",
            )
        if min(geometry.out_size(spatial_size(x.shape, False))) < 1:
            raise node.invalid("the kernel is larger than the padded input")
        op = cls(geometry, groups)
        if quantized:
            y_quant = read_quant(node, 6, 7)
            w_quant = read_quant(node, 4, 5, axis=0)
            check_channels(node, w, w_quant)
            bias = bias_of(node, node.optional(8), w.shape[0])
            x, w = quantized_linear(node, x, read_quant(node, 1, 2), w, w_quant)
            y_zero_point = node.optional(7)
            dtype = y_zero_point.dtype if y_zero_point is not None else DType.U8
            node.emit(replace(op, output_dtype=dtype), [x, w, bias], quant=y_quant)
        else:
            bias = bias_of(node, node.optional(2), w.shape[0])
            node.emit(op, [x, w, bias])

    @property
    def weight_axis(self) -> int:
        return 0

    def output_axis(self, rank: int) -> int:
        return -1 if self.channels_last else 1 - rank

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        size = self.geometry.out_size(spatial_size(x.shape, self.channels_last))
        shape = image_shape(x.shape[0], size, w.shape[0], self.geometry.rank, self.channels_last)
        return [TensorType(self.output_dtype or x.dtype, shape)]

    def macs(self, node: Node) -> int:
        return node.output.element_count * math.prod(node.input(1).shape[1:])

    def to_channels_last(self) -> Op:
        return replace(self, channels_last=True)

    # -- lowering ------------------------------------------------------------------------------

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        kind = kernel.template.partition("/")[0]
        if kernel.tiling is not None:
            tiled = {
                "gemm": self._tiled_pointwise,
                "depthwise": self._tiled_depthwise,
                "conv": self._tiled_rows,
            }
            return tiled[kind](node, kernel)
        if kernel.isa == "dsp":
            return self._dual(node, kernel)
        if kernel.needs >= INTERP:
            weights = self._weights(node)
            if kind == "gemm":
                return packed_line(node, weights.reshape(len(weights), -1), self.lo, self.hi)
            if kind == "depthwise":
                return depthwise_fields(node, weights, self.geometry, self.lo, self.hi)
            return field_rows(node, weights, self.geometry, self.groups, self.lo, self.hi)
        forms = {"gemm": self._pointwise, "depthwise": self._depthwise, "conv": self._patches}
        return forms[kind](node, kernel)

    def channel_weights(self, node: Node) -> Array:
        return self._weights(node).reshape(node.output.shape[-1], -1)

    def folds_zero_point(self, node: Node) -> bool:
        return bool(_needs_depthwise(node))

    def _tiled_pointwise(self, node: Node, kernel: Kernel) -> Lowering:
        """A matrix product for a number of pixels at a time."""
        oc, c = node.output.shape[-1], node.input(0).shape[-1]
        return tiled_product(node, kernel, self._weights(node).reshape(oc, c), self.lo, self.hi)

    def _tiled_rows(self, node: Node, kernel: Kernel) -> Lowering:
        """The rows under a window are staged, then multiplied: weights [oc][ky][kx · ic]."""
        return tiled_rows(
            node, kernel, self._weights(node), self.geometry, self.groups, self.lo, self.hi
        )

    def _tiled_depthwise(self, node: Node, kernel: Kernel) -> Lowering:
        """Vectors of channels, the rows under a window staged beside each other where that pays."""
        assert kernel.tiling is not None
        lower = small_depthwise if kernel.tiling.uniform else tiled_depthwise
        return lower(node, kernel, self._weights(node), self.geometry, self.lo, self.hi)

    def _dual(self, node: Node, kernel: Kernel) -> Lowering:
        """Two products an instruction."""
        weights, kind = self._weights(node), kernel.template.partition("/")[0]
        if kind == "depthwise":
            return dual_depthwise(node, weights, self.geometry, self.lo, self.hi)
        if kind == "gemm":
            flat = weights.reshape(weights.shape[0], -1)
            return dual_product(node, kernel, flat, self.lo, self.hi)
        return dual_rows(node, kernel, weights, self.geometry, self.lo, self.hi)

    def _pointwise(self, node: Node, kernel: Kernel) -> Lowering:
        """A matrix product for each row of pixels."""
        x, y = node.input(0), node.output
        w, c, oc = x.shape[-2], x.shape[-1], y.shape[-1]
        operands = self._operands(node, kernel, self._weights(node).reshape(oc, c))
        pointers = Pointers("    " if w > 1 else "  ", "x")
        operands.context |= {"m": w, "many": w > 1}
        operands.context |= outputs_context(pointers, c, oc, *linear_names(operands.context))
        rows = Rows(
            count=x.element_count // (w * c), in_row_elements=w * c, out_row_elements=w * oc
        )
        lowering = Lowering(context=operands.context, constants=operands.constants, walk=rows)
        return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)

    def _depthwise(self, node: Node, kernel: Kernel) -> Lowering:
        """One filter a channel: weights [ky][kx][channel]."""
        operands = self._operands(node, kernel, self.channel_weights(node))
        operands.constants["w"] = np.ascontiguousarray(operands.constants["w"].T)
        context = operands.context
        context["scale_c"] = context.get("scale") or "scale[c]"
        if kernel.template == UNROLLED:
            context |= _unrolled_window(self.geometry, node.output.shape[-1])
        return self._windowed(node, operands)

    def _patches(self, node: Node, kernel: Kernel) -> Lowering:
        """The inputs under a window are gathered, then multiplied with weights [oc][ky][kx][ic]."""
        x, oc = node.input(0), node.output.shape[-1]
        packed = self._weights(node).transpose(0, 2, 3, 1).reshape(oc, -1)
        operands = self._operands(node, kernel, packed)
        operands.context |= self._patch_context(x.shape, oc, linear_names(operands.context))
        lowering = self._windowed(node, operands)
        lowering.scratch_bytes = math.prod(self.geometry.kernel) * x.shape[-1] * x.dtype.bytes
        lowering.scratch_type = x.dtype.c_name
        return lowering

    def _weights(self, node: Node) -> Array:
        """[oc][ic / groups][kh][kw]."""
        oc, c = node.output.shape[-1], node.input(0).shape[-1]
        return node.input(1).value.reshape(oc, c // self.groups, *self.geometry.kernel)

    def _operands(self, node: Node, kernel: Kernel, weights: Array) -> Operands:
        """Context and constants that all forms share; `weights` is [oc, k]."""
        if node.input(0).dtype is DType.F32:
            context = store_context(self.lo, self.hi)
            context |= {"fill": "0.0f", "x_zero_point": 0}
            bias = bias_values(node, weights.shape[0])
            return Operands(context, {"w": np.ascontiguousarray(weights), "b": bias})
        fold = self.folds_zero_point(node)
        if kernel.dtype == "s16":
            wide = wide_form(node) if kernel.integers else None
            operands = linear_s16(node, weights, self.lo, self.hi, fold=fold, form=wide)
        else:
            operands = linear_s8(
                node, weights, self.lo, self.hi, uniform_scale=True,
                fold=fold or kernel.template == UNROLLED,
                form=self.fixed_point(node) if kernel.integers else None,
            )  # fmt: skip
            operands.constants = {"w": np.ascontiguousarray(weights), **operands.constants}
        zero_point = operands.context["x_zero_point"]
        operands.context |= {"fill": zero_point, "centre": offset_text(-zero_point)}
        return operands

    def _windowed(self, node: Node, operands: Operands) -> Lowering:
        x, y = node.input(0), node.output
        fill = operands.context["x_zero_point"]
        window = image_window(self.geometry, x, y, 0.0 if x.dtype is DType.F32 else fill)
        context = operands.context | image_context(self.geometry, x, y)
        lowering = Lowering(context=context, constants=operands.constants, walk=window)
        return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)

    def _patch_context(self, x: Shape, oc: int, names: tuple[str, str]) -> dict[str, Any]:
        """Facts about the patch, the inputs under one window, and the sums over it."""
        kh, kw = self.geometry.kernel
        w, c = x[-2], x[-1]
        group_c, group_oc, k = c // self.groups, oc // self.groups, kh * kw * c // self.groups
        grouped = self.groups > 1
        pointers = (
            Pointers("      ", "in", "wg", "bg", "sg", "wzg", "yg")
            if grouped
            else Pointers("    ", "patch")
        )
        tap = steps_text(f"(ky * {kw} + kx)", group_c)
        index = f"{tap} + i"
        if grouped:
            group = steps_text(f"i / {group_c}" if group_c > 1 else "i", k)
            index = f"{group} + {tap}" + (f" + i % {group_c}" if group_c > 1 else "")
        return {
            "grouped": grouped,
            "groups": self.groups,
            "group_text": f"{self.groups} groups" if grouped else "one group",
            "group_weights": group_oc * k,
            "patch_shape": f"{[self.groups] if grouped else ''}[{kh}][{kw}][{group_c}]",
            "patch_index": index,
            "row_patch": kw * c,
            "ky_patch": steps_text("ky", kw * c),
            "left_elements": steps_text("left", c),
            "row": w * c,
            "contiguous": not grouped and self.geometry.dilation[1] == 1,
        } | outputs_context(pointers, k, group_oc, *names)


def _unrolled_window(geometry: Geometry, channels: int) -> dict[str, Any]:
    """The taps of a window, each where it lies from a row's begin and among the weights."""
    kh, kw = geometry.kernel
    dilation = geometry.dilation[1]
    return {
        "reach": (kw - 1) * dilation + 1,
        "window_rows": [
            {
                "index": ky,
                "taps": [
                    {
                        "x_at": offset_text(kx * dilation * channels),
                        "w_at": offset_text((ky * kw + kx) * channels),
                    }
                    for kx in range(kw)
                ],
            }
            for ky in range(kh)
        ],
    }
