"""Networks small enough to read the C they become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSETS: dict[Any, tuple[int, int]] = {np.int8: (17, 8), np.int16: (21, 10)}
"""Opset and IR version in which activations may have that type."""


class Network:
    """Collects nodes and constants; every node has one output, named like the node."""

    def __init__(self, name: str, activations: Any = np.int8) -> None:
        self.name = name
        self._activations = activations
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any) -> str:
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def quantized(self, x: str, name: str, scale: float, zero_point: int = 0) -> str:
        """A float tensor that passes through integers."""
        quant = [
            self.constant(f"{name}_scale", np.float32(scale)),
            self.constant(f"{name}_zero_point", self._activations(zero_point)),
        ]
        q = self.node("QuantizeLinear", f"{name}_q", [x, *quant])
        return self.node("DequantizeLinear", name, [q, *quant])

    def weights(self, name: str, shape: Sequence[int], scale: float = 0.01) -> str:
        """Int8 weights, dequantized."""
        quant = [
            self.constant(f"{name}_scale", np.float32(scale)),
            self.constant(f"{name}_zero_point", np.int8(0)),
        ]
        q = self.constant(f"{name}_q", some_numbers(shape, 127).astype(np.int8))
        return self.node("DequantizeLinear", name, [q, *quant])

    def model(self, x_shape: Sequence[int], y: str, y_shape: Sequence[int]) -> onnx.ModelProto:
        """The network from the input ``x`` to the tensor `y`."""
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, y_shape)],
            self._constants,
        )
        opset, ir_version = OPSETS[self._activations]
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def some_numbers(shape: Sequence[int], largest: int) -> np.ndarray:
    """Integers up to `largest` in both directions, the same every time, without a generator."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 37 + 11) % (2 * largest + 1) - largest).reshape(shape)


def conv_s8() -> onnx.ModelProto:
    net = Network("conv_s8")
    x = net.quantized("x", "x_s8", 0.05, 3)
    y = net.node("Conv", "conv", [x, net.weights("w", (4, 1, 3, 3))], pads=[1, 1, 1, 1])
    y = net.node("Relu", "relu", [y])
    return net.model((1, 1, 3, 3), net.quantized(y, "y", 0.02, -128), (1, 4, 3, 3))


def gemm_s8() -> onnx.ModelProto:
    net = Network("gemm_s8")
    x = net.node("Flatten", "flat", [net.quantized("x", "x_s8", 0.05, 3)])
    y = net.node("Gemm", "dense", [x, net.weights("w", (9, 5))])
    return net.model((1, 1, 3, 3), net.quantized(y, "y", 0.1), (1, 5))


def conv_pool_softmax_f32() -> onnx.ModelProto:
    net = Network("conv_pool_softmax_f32")
    w = net.constant("w", some_numbers((4, 1, 3, 3), 8).astype(np.float32) / 16)
    b = net.constant("b", np.float32([0.5, -0.25, 0, 1e-9]))
    y = net.node("Conv", "conv", ["x", w, b])
    y = net.node("MaxPool", "pool", [net.node("Relu", "relu", [y])], kernel_shape=[2, 2])
    y = net.node("Flatten", "flat", [y])
    return net.model((1, 1, 4, 4), net.node("Softmax", "y", [y]), (1, 4))


def depthwise_add_s8() -> onnx.ModelProto:
    net = Network("depthwise_add_s8")
    x = net.quantized("x", "x_s8", 0.05, 3)
    w = net.weights("w", (4, 1, 3, 3))
    y = net.node("Conv", "depthwise", [x, w], pads=[1, 1, 1, 1], group=4)
    y = net.quantized(y, "depthwise_s8", 0.02, -5)
    y = net.node("Add", "residual", [y, x])
    return net.model((1, 4, 4, 4), net.quantized(y, "y", 0.07, 1), (1, 4, 4, 4))


def groups_s16() -> onnx.ModelProto:
    net = Network("groups_s16", np.int16)
    x = net.quantized("x", "x_s16", 0.0003, 300)
    y = net.node("Conv", "conv", [x, net.weights("w", (4, 2, 3, 3))], pads=[1, 1, 1, 1], group=2)
    y = net.node("Relu", "relu", [y])
    return net.model((1, 4, 3, 3), net.quantized(y, "y", 0.0002, -32768), (1, 4, 3, 3))


def mean_add_dense_s16() -> onnx.ModelProto:
    net = Network("mean_add_dense_s16", np.int16)
    x = net.quantized("x", "x_s16", 0.0003, 300)
    y = net.quantized(net.node("GlobalAveragePool", "mean", [x]), "mean_s16", 0.0002, 5)
    y = net.quantized(net.node("Add", "twice", [y, y]), "twice_s16", 0.0005, -7)
    y = net.node("Gemm", "dense", [net.node("Flatten", "flat", [y]), net.weights("v", (4, 5))])
    return net.model((1, 4, 3, 3), net.quantized(y, "y", 0.0001), (1, 5))


def relu_f32() -> onnx.ModelProto:
    """No constants: their section must vanish."""
    net = Network("relu_f32")
    return net.model((2, 3), net.node("Relu", "y", ["x"]), (2, 3))


NETWORKS = {
    network.__name__: network
    for network in (
        conv_s8,
        gemm_s8,
        conv_pool_softmax_f32,
        depthwise_add_s8,
        groups_s16,
        mean_add_dense_s16,
        relu_f32,
    )
}
