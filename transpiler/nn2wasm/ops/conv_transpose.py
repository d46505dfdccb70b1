"""Transposed convolution over images, channels last.

    y[n, oy, ox, oc] = clamp(b[oc] + sum x[n, iy, ix, ic] · w[ic, oc, ky, kx])
        over all iy, ky with iy·sy + ky·dy = oy + py, and likewise for columns

in float32, or on integers with exact 32-bit sums and one requantization (`quant.arithmetic`).
ONNX ConvTranspose-1.., 1-D and 2-D, any group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, QuantParams, Shape, Tensor, TensorType
from nn2wasm.ops.conv_transpose_simd import bytes_fit, channels_fit, vector_operands
from nn2wasm.ops.fixed_rows import with_integer_rows
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import Linear, bias_of, bias_values, linear_s8, store_context
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.softmax import shape_text
from nn2wasm.ops.spatial import (
    Geometry,
    Pair,
    image_shape,
    read_geometry,
    read_steps,
    spatial_size,
    transposed_sizes,
)
from nn2wasm.ops.vectors import simd_kernel
from nn2wasm.ops.volume_conv import emit_volume_transpose
from nn2wasm.quant.fixed_point import FixedPoint


@dataclass(frozen=True)
class ConvTranspose(Linear):
    """Inputs x, w [ic, oc/group, kh, kw], optional b [oc].

    `geometry` is that of the convolution whose gradient this is, its end padding unused;
    `out_size` is the output's height and width.
    """

    onnx_types = ("ConvTranspose",)
    kernels = (
        simd_kernel("nn_conv_transpose_s8_1x32", "conv_transpose/s8", "s8", bytes_fit),
        simd_kernel("nn_conv_transpose_f32_1x32", "conv_transpose/f32", "f32", channels_fit),
        *with_integer_rows(
            Kernel(
                symbol="nn_conv_transpose_s8__scalar",
                template="conv_transpose/s8__scalar.c.j2",
                dtype="s8",
            )
        ),
        Kernel(
            symbol="nn_conv_transpose_f32__scalar",
            template="conv_transpose/f32__scalar.c.j2",
            dtype="f32",
        ),
    )

    geometry: Geometry
    out_size: Pair
    groups: int = 1
    channels_last: bool = False
    lo: float = -math.inf
    hi: float = math.inf
    output_dtype: DType | None = None

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, w = node.input(0), node.input(1)
        if x.dtype is not DType.F32 or w.dtype is not DType.F32:
            raise node.unsupported(f"operands of type {x.dtype.value} and {w.dtype.value}")
        if len(w.shape) < 3:
            raise node.invalid(f"weight has rank {len(w.shape)}")
        computed = [tensor for tensor in (w, node.optional(2)) if tensor is not None]
        if len(w.shape) > 4 or not all(node.is_static(tensor) for tensor in computed):
            emit_volume_transpose(node, x, w)
            return
        kernel = w.shape[2:]
        if (node.attr_ints("kernel_shape", kernel) or kernel) != kernel:
            raise node.invalid("kernel_shape disagrees with the weight")
        groups = node.attr_int("group", 1)
        if len(x.shape) != len(w.shape) or w.shape[0] != x.shape[1]:
            raise node.invalid(
                f"weight has {w.shape[0]} input channels, input has {x.shape[1:2]}",
                hint="expected weight shape [input channels, out / group, ...]",
            )
        if groups < 1 or x.shape[1] % groups:
            raise node.invalid(f"group = {groups} does not divide the channels")
        geometry, out_size = _read_transposed(node, x, kernel)
        bias = bias_of(node, node.optional(2), w.shape[1] * groups)
        node.emit(cls(geometry, out_size, groups), [x, w, bias])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        channels = w.shape[1] * self.groups
        rank = self.geometry.rank
        shape = image_shape(x.shape[0], self.out_size, channels, rank, self.channels_last)
        return [TensorType(self.output_dtype or x.dtype, shape)]

    @property
    def weight_axis(self) -> int:
        return 1

    def output_axis(self, rank: int) -> int:
        return -1 if self.channels_last else 1 - rank

    def along_weights(self, factor: Array, shape: Shape) -> Array:
        """Rows of the weights belong to a group, columns to an output channel of each group."""
        rows = np.repeat(factor.reshape(self.groups, -1), shape[0] // self.groups, axis=0)
        return rows.reshape(*rows.shape, *[1] * (len(shape) - 2))

    def macs(self, node: Node) -> int:
        return node.input(0).element_count * math.prod(node.input(1).shape[1:])

    def to_channels_last(self) -> Op:
        return replace(self, channels_last=True)

    def channel_weights(self, node: Node) -> Array:
        packed = self._packed(node)
        return np.asarray(packed.transpose(1, 0, 2).reshape(packed.shape[1], -1))

    def folds_zero_point(self, node: Node) -> bool:
        return False

    def fixed_point(self, node: Node) -> FixedPoint | None:
        return super().fixed_point(_with_channel_quant(node, node.output.shape[-1]))

    def _packed(self, node: Node) -> Array:
        """[kh · kw][oc][ic / group], from [group, ic / group, oc / group, kh, kw]."""
        c, oc = node.input(0).shape[-1], node.output.shape[-1]
        sizes = (self.groups, c // self.groups, oc // self.groups, *self.geometry.kernel)
        weights = node.input(1).value.reshape(sizes)
        return np.asarray(weights.transpose(3, 4, 0, 2, 1).reshape(-1, oc, c // self.groups))

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        """Weights are packed as [ky][kx][oc][ic / group]; scratch holds the sums of one pixel."""
        quantized = kernel.dtype == "s8"
        x, y, geometry = node.input(0), node.output, self.geometry
        h, w = spatial_size(x.shape, True)
        oh, ow = self.out_size
        c, oc = x.shape[-1], y.shape[-1]
        group_c, group_oc = c // self.groups, oc // self.groups
        packed = self._packed(node)
        context: dict[str, Any] = {
            "images": x.shape[0], "h": h, "w": w, "c": c, "oh": oh, "ow": ow, "oc": oc,
            "kh": geometry.kernel[0], "kw": geometry.kernel[1],
            "sy": geometry.stride[0], "sx": geometry.stride[1],
            "dy": geometry.dilation[0], "dx": geometry.dilation[1],
            "py": geometry.pad_begin[0], "px": geometry.pad_begin[1],
            "row": w * c, "in_image": h * w * c, "pixels": oh * ow,
            "groups": self.groups, "grouped": self.groups > 1,
            "group_c": group_c, "group_oc": group_oc,
            "tap_weights": oc * group_c, "group_weights": group_oc * group_c,
            "depthwise": group_c == 1 and group_oc == 1,
            "n_main": group_oc - group_oc % 4, "lanes": (0, 1, 2, 3),
            "has_main": group_oc >= 4, "has_tail": group_oc % 4 > 0,
            "shape": shape_text(x.shape), "out_shape": shape_text(y.shape),
        }  # fmt: skip
        if kernel.needs and not kernel.integers:
            source = _with_channel_quant(node, oc) if quantized else node
            operands = vector_operands(source, packed, self.lo, self.hi)
            return Lowering(context=context | operands.context, constants=operands.constants)
        if quantized:
            linear = linear_s8(
                _with_channel_quant(node, oc), self.channel_weights(node),
                self.lo, self.hi, fold=False,
                form=self.fixed_point(node) if kernel.integers else None,
            )  # fmt: skip
            context |= linear.context
            packed = _less_zero_point(packed, node.input(1).quant)
            constants = {"w": np.ascontiguousarray(packed)} | linear.constants
            constants.pop("wz", None)
            context["w_type"] = DType.of(packed).c_name
        else:
            constants = {"w": np.ascontiguousarray(packed, np.float32)}
            constants["b"] = bias_values(node, oc)
            context |= store_context(self.lo, self.hi)
        return Lowering(
            context=context,
            constants=constants,
            scratch_bytes=4 * oc,
            scratch_type="int32_t" if quantized else "float",
        )


def _with_channel_quant(node: Node, oc: int) -> Node:
    """The node with a scale and zero point for each output channel, groups counted."""
    w = node.input(1)
    assert w.quant is not None
    if w.quant.scale.size in (1, oc):
        return node
    repeats = oc // w.quant.scale.size
    quant = QuantParams(
        np.tile(w.quant.scale, repeats), np.tile(w.quant.zero_point, repeats), w.quant.axis
    )
    tiled = Tensor.constant(w.name, w.value, quant)
    inputs = [node.inputs[0], tiled, *node.inputs[2:]]
    return Node(node.name, node.op, inputs, node.outputs, node.origin)


def _less_zero_point(packed: Array, quant: QuantParams | None) -> Array:
    """Weights [tap, oc, ic] less their zero point; 16 bits wide where they have one."""
    assert quant is not None
    zero_point = quant.zero_point.reshape(-1)
    if not zero_point.any():
        return packed
    if zero_point.size > 1:
        zero_point = np.tile(zero_point, packed.shape[1] // zero_point.size)
    return packed.astype(np.int16) - zero_point.astype(np.int16)[None, :, None]


def _read_transposed(node: OnnxNode, x: Tensor, kernel: Sequence[int]) -> tuple[Geometry, Pair]:
    """Geometry with the padding that counts (above, left), and the output's height and width."""
    geometry = read_geometry(node, x.shape, kernel)
    begins, sizes = transposed_sizes(node, x.shape, read_steps(node, x.shape, kernel))
    above = (0, begins[0]) if geometry.rank == 1 else (begins[0], begins[1])
    out_size = (1, sizes[0]) if geometry.rank == 1 else (sizes[0], sizes[1])
    return replace(geometry, pad_begin=above, pad_end=(0, 0)), out_size
