"""Convolution whose window's elements are displaced at run time: ONNX DeformConv-19..

    y[n, oc, p] = b[oc] + sum_{ic, k} w[oc, ic, k] · mask[n, k, p]
                          · x[n, ic, p · stride − pad + k · dilation + offset[n, k, p]]

with p = (oy, ox), x linear between its pixels, 0 outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import DType, Node, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.softmax import shape_text
from nn2wasm.ops.spatial import Geometry, read_geometry, spatial_size


@dataclass(frozen=True)
class DeformConv(KernelOp):
    """Inputs x, w [oc, ic/group, kh, kw], offset [n, 2 · offsets · kh · kw, oh, ow], b [oc], mask.

    Channels are in `offset_groups` groups that share displacements.
    """

    onnx_types = ("DeformConv",)
    kernels = (
        Kernel(
            symbol="nn_deform_conv_f32__scalar",
            template="conv/deform_f32__scalar.c.j2",
            dtype="f32",
            headers=("nn2wasm/sampling.h",),
        ),
    )

    geometry: Geometry
    groups: int
    offset_groups: int

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, w, offset = node.input(0), node.input(1), node.input(2)
        if any(t is not None and t.dtype is not DType.F32 for t in node.inputs):
            raise node.unsupported("operands that are not f32")
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise node.unsupported("an input or weights that are not of rank 4")
        kernel = w.shape[2:]
        if (node.attr_ints("kernel_shape", kernel) or kernel) != kernel:
            raise node.invalid("kernel_shape disagrees with the weight")
        groups, shared = node.attr_int("group", 1), node.attr_int("offset_group", 1)
        if min(groups, shared) < 1 or x.shape[1] % groups or w.shape[0] % groups:
            raise node.invalid(f"group = {groups} does not divide the channels")
        if w.shape[1] * groups != x.shape[1] or x.shape[1] % shared:
            raise node.invalid(f"weights {list(w.shape)}, offset_group = {shared}")
        geometry = read_geometry(node, x.shape, kernel)
        size = geometry.out_size(spatial_size(x.shape, False))
        if min(size) < 1:
            raise node.invalid("the kernel is larger than the padded input")
        taps = kernel[0] * kernel[1] * shared
        if offset.shape != (x.shape[0], 2 * taps, *size):
            raise node.invalid(f"offsets of {list(offset.shape)}")
        bias, mask = node.optional(3), node.optional(4)
        if bias is None:
            bias = node.value(np.zeros(w.shape[0], np.float32), "bias")
        if mask is None:
            mask = node.value(np.ones((1, taps, *size), np.float32), "mask")
        elif mask.shape != (x.shape[0], taps, *size):
            raise node.invalid(f"a mask of {list(mask.shape)}")
        if bias.shape != (w.shape[0],):
            raise node.invalid(f"a bias of {list(bias.shape)}")
        node.emit(cls(geometry, groups, shared), [x, w, offset, bias, mask])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        size = self.geometry.out_size(spatial_size(x.shape, False))
        return [TensorType(x.dtype, (x.shape[0], w.shape[0], *size))]

    def macs(self, node: Node) -> int:
        w = node.input(1)
        return node.output.element_count * w.shape[1] * w.shape[2] * w.shape[3]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        """Scratch holds the displaced inputs under one window, [c][k]."""
        x, w, y = node.input(0), node.input(1), node.output
        g = self.geometry
        taps, pixels = g.kernel[0] * g.kernel[1], y.shape[2] * y.shape[3]
        one_mask = node.input(4).shape[0] == 1
        context = {
            "images": x.shape[0], "c": x.shape[1], "h": x.shape[2], "w": x.shape[3],
            "oc": w.shape[0], "oh": y.shape[2], "ow": y.shape[3], "pixels": pixels,
            "kw": g.kernel[1], "taps": taps, "plane": x.shape[2] * x.shape[3],
            "sy": g.stride[0], "sx": g.stride[1], "dy": g.dilation[0], "dx": g.dilation[1],
            "py": g.pad_begin[0], "px": g.pad_begin[1],
            "group_c": w.shape[1], "group_oc": w.shape[0] // self.groups,
            "sharing": x.shape[1] // self.offset_groups, "patch": w.shape[1] * taps,
            "image": x.shape[1] * x.shape[2] * x.shape[3], "result": w.shape[0] * pixels,
            "offsets": 2 * taps * self.offset_groups * pixels,
            "masks": 0 if one_mask else taps * self.offset_groups * pixels,
            "shape": shape_text(x.shape), "out_shape": shape_text(y.shape),
        }  # fmt: skip
        return Lowering(
            context=context,
            arguments=(0, 1, 2, 3, 4),
            scratch_bytes=4 * x.shape[1] * taps,
            scratch_type="float",
        )
