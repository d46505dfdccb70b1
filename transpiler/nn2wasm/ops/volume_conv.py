"""Convolutions by plain kernels, channels first: over one to three axes, of weights that may be
computed at run time.

    y[n, oc, o] = b[oc] + sum_{ic, k} (x[n, ic, o·s + k·t − p] − xz) · (w[oc, ic, k] − wz[oc])

For ONNX Conv, ConvTranspose, QLinearConv and ConvInteger where `ops.conv` and `ops.conv_transpose`
have no kernel. Sums of integers have 32 bits and wrap around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nn2wasm.ir import DType, Node, Tensor, TensorType
from nn2wasm.ops.gathering import INDEXING
from nn2wasm.ops.integer_products import requantized
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.quant_inputs import check_channels, read_quant
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.softmax import shape_text
from nn2wasm.ops.spatial import read_steps, transposed_sizes
from nn2wasm.ops.volumes import Volume, read_volume, volume_of
from nn2wasm.quant.arithmetic import ratio


@dataclass(frozen=True)
class VolumeConv(KernelOp):
    """f32: inputs x, w [oc, ic/group, kernel …], b [oc]."""

    kernels = (
        Kernel(
            symbol="nn_volume_conv_f32__scalar",
            template="conv/volume_f32__scalar.c.j2",
            dtype="f32",
            headers=INDEXING,
        ),
    )

    volume: Volume
    groups: int = 1

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        return [TensorType(x.dtype, (x.shape[0], w.shape[0], *self.volume.out_size(x.shape)))]

    def macs(self, node: Node) -> int:
        return node.output.element_count * prod(node.input(1).shape[1:])

    def context(self, node: Node) -> dict[str, Any]:
        x, w, y = node.input(0), node.input(1), node.output
        return self.volume.context(x.shape, y.shape) | {
            "images": x.shape[0],
            "oc": y.shape[1],
            "group_c": x.shape[1] // self.groups,
            "group_oc": y.shape[1] // self.groups,
            "image": prod(x.shape[1:]),
            "result": prod(y.shape[1:]),
            "filter": prod(w.shape[1:]),
            "shape": shape_text(x.shape),
            "out_shape": shape_text(y.shape),
        }

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        return Lowering(context=self.context(node), arguments=(0, 1, 2))


@dataclass(frozen=True)
class VolumeConvTranspose(VolumeConv):
    """f32: inputs x, w [ic, oc/group, kernel …], b [oc]; `volume` is the convolution whose gradient
    this is, its padding at the end unused.
    """

    kernels = (
        Kernel(
            symbol="nn_volume_conv_transpose_f32__scalar",
            template="conv_transpose/volume_f32__scalar.c.j2",
            dtype="f32",
            headers=INDEXING,
        ),
    )

    out_sizes: tuple[int, ...] = ()

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        return [TensorType(x.dtype, (x.shape[0], w.shape[1] * self.groups, *self.out_sizes))]

    def macs(self, node: Node) -> int:
        return node.input(0).element_count * prod(node.input(1).shape[1:])


@dataclass(frozen=True)
class IntegerConv(VolumeConv):
    """s8 or u8: inputs x, w, xz (one), wz (one, or one for each output), b (s32 [oc]); s32."""

    kernels = (
        Kernel(
            symbol="nn_integer_conv__scalar",
            template="conv/integer__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        return [TensorType(DType.S32, super().infer(inputs)[0].shape)]

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        context = self.context(node) | {
            "x_type": node.input(0).dtype.c_name,
            "w_type": node.input(1).dtype.c_name,
            "wz_at": "oc" if node.input(3).element_count > 1 else "0",
        }
        return Lowering(context=context, arguments=(0, 1, 2, 3, 4))


def read_conv(node: OnnxNode, x: Tensor, w: Tensor) -> tuple[Volume, int]:
    """Window and groups of a convolution node, checked against its operands."""
    if len(w.shape) < 3 or len(x.shape) != len(w.shape):
        raise node.invalid(f"weight has rank {len(w.shape)}, input {len(x.shape)}")
    kernel = w.shape[2:]
    if (node.attr_ints("kernel_shape", kernel) or kernel) != kernel:
        raise node.invalid("kernel_shape disagrees with the weight")
    groups = node.attr_int("group", 1)
    if groups < 1 or x.shape[1] % groups or w.shape[0] % groups:
        raise node.invalid(f"group = {groups} does not divide the channels")
    if w.shape[1] * groups != x.shape[1]:
        raise node.invalid(
            f"weight has {w.shape[1] * groups} input channels, input has {x.shape[1]}"
        )
    return read_volume(node, x.shape, kernel), groups


def bias_tensor(node: OnnxNode, index: int, channels: int, dtype: DType) -> Tensor:
    """The bias, zeros where it is left out; it may be computed at run time."""
    bias = node.optional(index)
    if bias is None:
        return node.value(np.zeros(channels, dtype.numpy), "bias")
    if bias.element_count != channels or bias.dtype is not dtype:
        raise node.invalid(f"a bias of {bias.element_count} {bias.dtype.value}, not {channels}")
    return bias


def emit_volume_conv(node: OnnxNode, x: Tensor, w: Tensor) -> None:
    """Conv by the plain kernel."""
    if x.dtype is not DType.F32 or w.dtype is not DType.F32:
        raise node.unsupported(f"operands of type {x.dtype.value} and {w.dtype.value}")
    bias = bias_tensor(node, 2, w.shape[0], DType.F32)
    node.emit(VolumeConv(*read_conv(node, x, w)), [x, w, bias])


def emit_volume_transpose(node: OnnxNode, x: Tensor, w: Tensor) -> None:
    """ConvTranspose by the plain kernel."""
    if x.dtype is not DType.F32 or w.dtype is not DType.F32:
        raise node.unsupported(f"operands of type {x.dtype.value} and {w.dtype.value}")
    kernel, groups = w.shape[2:], node.attr_int("group", 1)
    if (node.attr_ints("kernel_shape", kernel) or kernel) != kernel:
        raise node.invalid("kernel_shape disagrees with the weight")
    if len(x.shape) != len(w.shape) or w.shape[0] != x.shape[1]:
        raise node.invalid(
            f"weight has {w.shape[0]} input channels, input has {x.shape[1:2]}",
            hint="expected weight shape [input channels, out / group, ...]",
        )
    if groups < 1 or x.shape[1] % groups:
        raise node.invalid(f"group = {groups} does not divide the channels")
    steps = read_steps(node, x.shape, kernel)
    begins, sizes = transposed_sizes(node, x.shape, steps)
    volume = volume_of(node, steps._replace(begin=begins))
    bias = bias_tensor(node, 2, w.shape[1] * groups, DType.F32)
    node.emit(VolumeConvTranspose(volume, groups, sizes), [x, w, bias])


def emit_integer_conv(node: OnnxNode, x: Tensor, w: Tensor) -> None:
    """QLinearConv by the plain kernel: sums, then one product and one rounding."""
    x_quant, w_quant, y_quant = (
        read_quant(node, at, at + 1, axis=axis) for at, axis in ((1, None), (4, 0), (6, None))
    )
    check_channels(node, w, w_quant)
    if not x.dtype.is_byte or not w.dtype.is_byte:
        raise node.unsupported(f"operands of type {x.dtype.value} and {w.dtype.value}")
    operands = [
        x,
        w,
        node.value(x_quant.zero_point.reshape(1).astype(x.dtype.numpy), "x_zero"),
        node.value(w_quant.zero_point.reshape(-1).astype(w.dtype.numpy), "w_zero"),
        bias_tensor(node, 8, w.shape[0], DType.S32),
    ]
    sums = node.add(IntegerConv(*read_conv(node, x, w)), operands, suffix="sums")
    factor = ratio(x_quant.scale, w_quant.scale, y_quant.scale).reshape(-1)
    factor = factor.reshape(-1, *[1] * (len(w.shape) - 2))
    node.alias(requantized(node, sums, factor, y_quant, node.optional(7)))
