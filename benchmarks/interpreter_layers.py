"""Layers of one kind each, as models on bytes and as calls of plain_loops.c."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution with same padding, or a fully connected layer where `size` is None.

    Attributes:
        kind: what the table calls it.
        size: rows and columns of the input.
        c: channels of the input.
        oc: of the output.
        kernel: rows and columns of the window.
        stride: of rows and columns.
        groups: of channels; as many as channels where each has filters of its own.
    """

    kind: str
    c: int
    oc: int
    size: tuple[int, int] | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    groups: int = 1

    @property
    def name(self) -> str:
        if self.size is None:
            return f"{self.kind}, {self.c} → {self.oc}"
        h, w = self.size
        step = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{self.kind}, {h}x{w}x{self.c} → {self.oc}{step}"

    @property
    def plain(self) -> tuple[str, tuple[int, ...]]:
        """The function of plain_loops.c and its arguments."""
        if self.size is None:
            return "line", (self.c, self.oc)
        sizes = (*self.size, self.c, self.oc, *self.kernel, self.stride, self.groups)
        return "conv", sizes

    def model(self) -> onnx.ModelProto:
        """Between channels-last tensors of bytes, so that nothing but the layer runs."""
        rng = np.random.default_rng(1)
        depth = self.c // self.groups
        window = () if self.size is None else self.kernel
        weights = np.clip(rng.normal(0, 25, (self.oc, depth, *window)), -127, 127).astype(np.int8)
        y_scale = 0.05 * 0.01 * 25 * 70 * np.sqrt(depth * math.prod(self.kernel)) / 100
        scales = rng.uniform(0.008, 0.012, self.oc).astype(np.float32)
        constants = [
            numpy_helper.from_array(np.asarray(value, dtype), name)
            for name, value, dtype in (
                ("x_scale", 0.05, np.float32),
                ("y_scale", y_scale, np.float32),
                ("zero", 3, np.int8),
                ("weights", weights, np.int8),
                ("scales", scales, np.float32),
                ("zeros", np.zeros(self.oc), np.int8),
            )
        ]
        quantized = ["transposed", "x_scale", "zero"], ["weights", "scales", "zeros"]
        nodes = [
            helper.make_node("DequantizeLinear", quantized[0], ["x_real"]),
            helper.make_node("DequantizeLinear", quantized[1], ["w_real"], axis=0),
            self._operator(),
            helper.make_node("QuantizeLinear", ["y_real", "y_scale", "zero"], ["quantized"]),
        ]
        first, last = ("Identity", "Identity")
        perms: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        if self.size is not None:
            first = last = "Transpose"
            perms = {"perm": [0, 3, 1, 2]}, {"perm": [0, 2, 3, 1]}
        nodes.insert(0, helper.make_node(first, ["x"], ["transposed"], **perms[0]))
        nodes.append(helper.make_node(last, ["quantized"], ["y"], **perms[1]))
        shape = [1, *(self.size or ()), self.c]
        x = helper.make_tensor_value_info("x", TensorProto.INT8, shape)
        graph = helper.make_graph(nodes, "layer", [x], [onnx.ValueInfoProto(name="y")], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)

    def _operator(self) -> onnx.NodeProto:
        if self.size is None:
            return helper.make_node("Gemm", ["x_real", "w_real"], ["y_real"], transB=1)
        return helper.make_node(
            "Conv",
            ["x_real", "w_real"],
            ["y_real"],
            group=self.groups,
            pads=[extent // 2 for extent in self.kernel] * 2,
            strides=[self.stride] * 2,
        )


def _layers(kind: str, *shapes: tuple[int, int, int], kernel: int = 1, **more: int) -> list[Layer]:
    """Of square images and windows: (size, c, oc)."""
    window = (kernel, kernel)
    return [Layer(kind=kind, size=(s, s), c=c, oc=oc, kernel=window, **more) for s, c, oc in shapes]


def _depthwise(kernel: int, *shapes: tuple[int, int, int], stride: int = 1) -> list[Layer]:
    """The same with filters for each channel."""
    kind = f"depthwise {kernel}x{kernel}"
    layers = (_layers(kind, s, kernel=kernel, stride=stride, groups=s[1]) for s in shapes)
    return [layer for made in layers for layer in made]


LAYERS = [
    *_layers("1x1", (24, 16, 32), (24, 32, 32), (12, 64, 64), (6, 128, 128)),
    *_layers("1x1", (24, 17, 17), (24, 32, 3)),
    *_layers("3x3", (16, 16, 16), (16, 32, 32), (8, 64, 64), kernel=3),
    *_layers("3x3", (32, 3, 16), kernel=3, stride=2),
    *_layers("3x3, 8 groups", (12, 32, 32), (12, 24, 24), kernel=3, groups=8),
    Layer(kind="1x9", size=(1, 98), c=16, oc=24, kernel=(1, 9)),
    *_depthwise(3, (48, 8, 8), (24, 32, 32), (12, 64, 64)),
    *_depthwise(3, (24, 32, 32), stride=2),
    *_depthwise(3, (12, 32, 64)),
    *_depthwise(5, (12, 32, 32)),
    *_depthwise(5, (12, 32, 32), stride=2),
    Layer(kind="depthwise 1x9", size=(1, 49), c=64, oc=64, kernel=(1, 9), groups=64),
    Layer(kind="fully connected", c=640, oc=128),
    Layer(kind="fully connected", c=128, oc=128),
    Layer(kind="fully connected", c=784, oc=100),
    Layer(kind="fully connected", c=27, oc=16),
]
