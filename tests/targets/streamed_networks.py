"""Small networks of the kinds that stream: windows, residuals, pooling, pointwise layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

SCALE = np.float32(0.05)


@dataclass
class NetworkWriter:
    """Writes an ONNX network layer by layer, between quantizers where it is of bytes."""

    seed: int
    bytes_: bool
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def quantized(self, x: str) -> str:
        """Through a quantizer and back, where the network is of bytes."""
        if not self.bytes_:
            return x
        scale, zero = self.constant(SCALE), self.constant(np.int8(self.rng.integers(-20, 20)))
        q = self.node("QuantizeLinear", x, scale, zero)
        return self.node("DequantizeLinear", q, scale, zero)

    def weights(self, *shape: int) -> str:
        values = self.rng.integers(-100, 101, shape).astype(np.int8)
        if not self.bytes_:
            return self.constant((values / (100 * np.sqrt(np.prod(shape[1:])))).astype(np.float32))
        scale = self.constant(np.float32(0.01))
        return self.node(
            "DequantizeLinear", self.constant(values), scale, self.constant(np.int8(0))
        )

    def conv(self, x: str, c: int, oc: int, kernel: int = 3, stride: int = 1, *, pad: bool = True,
             groups: int = 1) -> str:  # fmt: skip
        pads = [kernel // 2 if pad else 0] * 4
        w = self.weights(oc, c // groups, kernel, kernel)
        y = self.node("Conv", x, w, strides=[stride] * 2, pads=pads, group=groups)
        return self.quantized(self.node("Relu", y) if self.rng.random() < 0.5 else y)

    def model(self, shape: tuple[int, ...], *outputs: str) -> onnx.ModelProto:
        kind = onnx.TensorProto.FLOAT
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        x = helper.make_tensor_value_info("x", kind, shape)
        graph = helper.make_graph(self.nodes, "g", [x], results, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def residuals(bytes_: bool) -> onnx.ModelProto:
    """ResNet's blocks: a skip path alone, and one with a convolution of stride 2."""
    n = NetworkWriter(1, bytes_)
    a = n.conv(n.quantized("x"), 3, 6)
    b = n.quantized(n.node("Add", n.conv(n.conv(a, 6, 6), 6, 6), a))
    short = n.conv(b, 6, 9, 1, 2, pad=False)
    c = n.quantized(n.node("Add", n.conv(n.conv(b, 6, 9, 3, 2), 9, 9), short))
    return n.model((1, 3, 19, 13), n.conv(c, 9, 4, 1))


def inverted(bytes_: bool) -> onnx.ModelProto:
    """MobileNetV2's: expand, depthwise, project, a skip path around them."""
    n = NetworkWriter(2, bytes_)
    a = n.conv(n.quantized("x"), 3, 5, 3, 2)
    for stride, kernel in ((1, 3), (2, 5), (1, 3)):
        wide = n.conv(a, 5, 16, 1)
        deep = n.conv(wide, 16, 16, kernel, stride, groups=16)
        narrow = n.conv(deep, 16, 5, 1)
        a = n.quantized(n.node("Add", narrow, a)) if stride == 1 else narrow
    pooled = n.quantized(n.node("GlobalAveragePool", a))
    return n.model((1, 3, 21, 17), a, n.node("Flatten", pooled))


def pools(bytes_: bool) -> onnx.ModelProto:
    """Windows without padding that leave rows over; a tensor read by three layers, two outputs."""
    n = NetworkWriter(3, bytes_)
    a = n.conv(n.quantized("x"), 2, 4, 3, pad=False)
    b = n.quantized(n.node("MaxPool", a, kernel_shape=[3, 3], strides=[2, 2]))
    c = n.quantized(n.node("AveragePool", b, kernel_shape=[2, 2], strides=[1, 1]))
    d = n.conv(b, 4, 4, 2, pad=False)
    e = n.quantized(n.node("Sigmoid", n.node("Mul", c, d)))
    f = n.quantized(n.node("Mul", e, n.constant(np.full((1, 4, 1, 1), 0.5, np.float32))))
    return n.model((1, 2, 23, 11), n.node("Add", f, c), n.conv(d, 4, 3, 1))


NETWORKS = {"residuals": residuals, "inverted": inverted, "pools": pools}
