"""Columns of window contents summed back into images of any rank: ONNX Col2Im-18..

y[n, c, at(l, k)] += x[n, c · kernel + k, l]        l: the window, k: the element in it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from nn2wasm.ir import Array, DType, Node, Shape, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp


@dataclass(frozen=True)
class Col2Im(KernelOp):
    """`places`: for each element of the window and each window its pixel, −1 in the padding."""

    onnx_types = ("Col2Im",)
    kernels = (
        Kernel(
            symbol="nn_col2im_f32__scalar", template="indexing/col2im_f32__scalar.c.j2", dtype="f32"
        ),
    )

    image: Shape
    kernel: Shape
    places: Array = field(repr=False, compare=False)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, image, kernel = node.input(0), node.ints(1, "image_shape"), node.ints(2, "block_shape")
        if x.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
        if len(x.shape) != 3 or not image or not kernel or len(image) != len(kernel):
            raise node.invalid("its input is not [batch, columns, windows], or its sizes differ")
        rank = len(image)
        strides, dilations, pads = (
            node.attr_ints(name, (default,) * count) or ()
            for name, default, count in (
                ("strides", 1, rank), ("dilations", 1, rank), ("pads", 0, 2 * rank),
            )
        )  # fmt: skip
        if (len(strides), len(dilations), len(pads)) != (rank, rank, 2 * rank):
            raise node.invalid("its strides, dilations or pads differ in number from its sizes")
        if min(*image, *kernel, *strides, *dilations) < 1 or min(pads) < 0:
            raise node.invalid("a size, stride or dilation below 1, or negative padding")
        axes = []
        for i in range(rank):
            room = image[i] + pads[i] + pads[rank + i] - (kernel[i] - 1) * dilations[i] - 1
            if room < 0:
                raise node.invalid("its window is larger than the padded image")
            axes.append((room // strides[i] + 1, strides[i], dilations[i], pads[i]))
        windows = prod(count for count, *_ in axes)
        if x.shape[1] % prod(kernel) or x.shape[2] != windows:
            raise node.invalid(
                f"columns of {list(x.shape[1:])} for windows of {list(kernel)}, {windows} of them"
            )
        if x.shape[1] * x.shape[2] > node.fold_elements:
            raise node.unsupported(f"columns of more than {node.fold_elements:,} elements")
        places = np.zeros((1, 1), np.int64)
        outside = np.zeros((1, 1), np.bool_)
        for i, (count, stride, dilation, pad) in enumerate(axes):
            taps = np.arange(kernel[i])[:, None] * dilation - pad
            at = taps + np.arange(count)[None, :] * stride
            places = _grid(places * image[i], at)
            outside = _grid(outside.astype(np.int64), (at < 0) | (at >= image[i])) > 0
        node.emit(cls(image, kernel, np.where(outside, -1, places).astype(np.int32)), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, (x.shape[0], x.shape[1] // prod(self.kernel), *self.image))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        taps = prod(self.kernel)
        parts = x.reshape(-1, taps * x.shape[2])
        y = np.zeros((prod(self.image) + 1, len(parts)), x.dtype)
        np.add.at(y, self.places.reshape(-1), parts.T)
        return [y[:-1].T.reshape(x.shape[0], x.shape[1] // taps, *self.image)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, taps = node.input(0), prod(self.kernel)
        context = {
            "images": x.shape[0] * x.shape[1] // taps,
            "pixels": prod(self.image),
            "columns": taps * x.shape[2],
            "taps": taps,
        }
        return Lowering(context=context, constants={"place": self.places.reshape(-1)})


def _grid(outer: Array, inner: Array) -> Array:
    """[k, l] and [k', l'] added up to [k · k', l · l']."""
    both = outer[:, None, :, None] + inner[None, :, None, :]
    return np.asarray(both.reshape(both.shape[0] * both.shape[1], -1))
