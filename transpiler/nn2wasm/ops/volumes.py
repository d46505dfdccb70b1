"""Windows over one to three spatial axes, channels first: what plain kernels need of them.

All have three axes here (depth, height, width); those that a tensor lacks have size 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nn2wasm.ir import Shape
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.spatial import Steps, read_steps

Triple = tuple[int, int, int]
AXES = ("d", "h", "w")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A sliding window.

    Attributes:
        rank: spatial axes of the tensors, 1 to 3.
        kernel, stride, dilation: of each axis.
        begin, end: padding.
        ceil: round the output's size up; windows that begin in the end padding are dropped.
    """

    rank: int
    kernel: Triple
    stride: Triple = (1, 1, 1)
    dilation: Triple = (1, 1, 1)
    begin: Triple = (0, 0, 0)
    end: Triple = (0, 0, 0)
    ceil: bool = False

    def out_size(self, shape: Shape) -> Shape:
        """Sizes of the output's spatial axes for an input [n, c, sizes …]."""
        return tuple(self._out(i, size) for i, size in enumerate(sizes_of(shape)))[3 - self.rank :]

    def _out(self, i: int, size: int) -> int:
        room = size + self.begin[i] + self.end[i] - (self.kernel[i] - 1) * self.dilation[i] - 1
        if room < 0:
            return 0
        count = room // self.stride[i] + 1
        if self.ceil and room % self.stride[i] and count * self.stride[i] < size + self.begin[i]:
            count += 1
        return count

    def misses(self, shape: Shape) -> bool:
        """Whether some window has no element of the input."""
        for i, size in enumerate(sizes_of(shape)):
            begin = np.arange(self._out(i, size)) * self.stride[i] - self.begin[i]
            first = -(np.minimum(begin, 0) // self.dilation[i])
            if ((first >= self.kernel[i]) | (begin + first * self.dilation[i] >= size)).any():
                return True
        return False

    def context(self, in_shape: Shape, out_shape: Shape) -> dict[str, Any]:
        """Sizes for templates: of the window along each axis, of the tensors."""
        sizes, out = sizes_of(in_shape), sizes_of(out_shape)
        found: dict[str, Any] = {}
        for i, axis in enumerate(AXES):
            found |= {
                f"{axis}": sizes[i],
                f"o{axis}": out[i],
                f"k{axis}": self.kernel[i],
                f"s{axis}": self.stride[i],
                f"t{axis}": self.dilation[i],
                f"p{axis}": self.begin[i],
                f"padded_{axis}": sizes[i] + self.end[i],
            }
        return found | {
            "plane": prod(sizes),
            "out_plane": prod(out),
            "area": sizes[1] * sizes[2],
            "out_area": out[1] * out[2],
            "taps": prod(self.kernel),
            "window": "x".join(str(k) for k in self.kernel),
        }


def sizes_of(shape: Shape) -> Triple:
    """Depth, height and width of a tensor [n, c, sizes …]."""
    d, h, w = ((1,) * (5 - len(shape)) + shape[2:])[-3:]
    return d, h, w


def triple(values: Sequence[int], filler: int) -> Triple:
    d, h, w = (filler,) * (3 - len(values)) + tuple(values)
    return d, h, w


def volume_of(node: OnnxNode, steps: Steps) -> Volume:
    """The window that a node's attributes say, of one to three axes."""
    rank = len(steps.kernel)
    if rank not in (1, 2, 3):
        raise node.unsupported(f"{rank} spatial axes; 1 to 3 are compiled")
    return Volume(
        rank=rank,
        kernel=triple(steps.kernel, 1),
        stride=triple(steps.strides, 1),
        dilation=triple(steps.dilations, 1),
        begin=triple(steps.begin, 0),
        end=triple(steps.end, 0),
        ceil=steps.ceil,
    )


def read_volume(node: OnnxNode, shape: Shape, kernel: Sequence[int]) -> Volume:
    """The window of an ONNX node over one to three axes of an input of that shape.

    Raises:
        InvalidModel: lengths or values that mean nothing, a window larger than the padded input.
        UnsupportedFeature: more axes, negative padding.
    """
    volume = volume_of(node, read_steps(node, shape, kernel))
    if min(volume.out_size(shape)) < 1:
        raise node.invalid("the kernel is larger than the padded input")
    return volume
