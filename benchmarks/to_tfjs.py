"""Writes our own lowered float32 graph as JSON and raw weights, for TensorFlow.js to run.

js/contenders/tfjs.mjs reads it and calls one (fused) operation of TensorFlow.js for each step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from lowered import Unsupported, activation, explicit_padding, lowered, padding

from nn2wasm.ir import Array, DType, Graph, Node, Tensor

ACTIVATIONS = {"NONE": "linear", "RELU": "relu", "RELU6": "relu6"}


def write_tfjs(model: Path, path: Path) -> None:
    """Writes `path` and the weights beside it, ending in .bin."""
    writer = TfjsWriter(lowered(model))
    path.write_text(json.dumps(writer.program()) + "\n")
    path.with_suffix(".bin").write_bytes(b"".join(writer.chunks))


class TfjsWriter:
    """Steps in order; tensors are numbers, constants are numbers below the count of constants."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.chunks: list[bytes] = []
        self.constants: list[list[int]] = []
        self.steps: list[dict[str, Any]] = []

    def program(self) -> dict[str, Any]:
        for node in self.graph.nodes:
            if node.output.dtype is not DType.F32:
                raise Unsupported(f"{node.describe()}: {node.output.dtype.value}")
            self.steps.append({"out": node.output.name, **self.step(node)})
        return {
            "input": self.graph.inputs[0].name,
            "output": self.graph.outputs[0].name,
            "constants": self.constants,
            "steps": self.steps,
        }

    def step(self, node: Node) -> dict[str, Any]:
        """What a node is in TensorFlow.js."""
        op: Any = node.op
        inputs = [tensor.name for tensor in node.activations]
        if op.kind == "Conv":
            return self.conv(node)
        if op.kind == "Gemm":
            w = node.input(1).value
            operands = self.operands(node, w.T if op.trans_w else w)
            return {"op": "matMul", "x": inputs[0], **operands}
        if op.kind == "Add" and len(inputs) == 2:
            return {"op": "add", "x": inputs[0], "y": inputs[1], "activation": _activation(op)}
        if op.kind == "AveragePool" and op.geometry.kernel == node.input(0).shape[1:3]:
            return {"op": "mean", "x": inputs[0]}
        if op.kind == "MaxPool":
            return {"op": "maxPool", "x": inputs[0], **self.window(node)}
        if op.kind == "Softmax":
            return {"op": "softmax", "x": inputs[0]}
        if op.kind == "Reshape":
            return {"op": "reshape", "x": inputs[0], "shape": node.output.shape}
        if op.kind == "Transpose":
            return {"op": "transpose", "x": inputs[0], "perm": op.perm}
        raise Unsupported(node.describe())

    def conv(self, node: Node) -> dict[str, Any]:
        op: Any = node.op
        x, y = node.input(0), node.output
        w = node.input(1).value.reshape(y.shape[-1], -1, *op.geometry.kernel)
        if op.groups == 1:
            kind, weights = "conv2d", w.transpose(2, 3, 1, 0)
        elif op.groups == x.shape[-1] == y.shape[-1]:
            kind, weights = "depthwiseConv2d", w.transpose(2, 3, 0, 1)
        else:
            raise Unsupported(f"{node.describe()}: groups")
        return {"op": kind, "x": x.name, **self.operands(node, weights), **self.window(node)}

    def window(self, node: Node) -> dict[str, Any]:
        geometry: Any = node.op.geometry  # type: ignore[attr-defined]
        x, y = node.input(0), node.output
        kind = padding(geometry, x, y)
        pad = kind.lower() if kind else explicit_padding(geometry, x, y)
        sizes = {"filterSize": geometry.kernel, "dilations": geometry.dilation}
        return {"strides": geometry.stride, "pad": pad, **sizes}

    def operands(self, node: Node, weights: Array) -> dict[str, Any]:
        bias: Tensor | None = node.optional(2)
        count = node.output.shape[-1]
        values = np.zeros(count, np.float32) if bias is None else bias.value.reshape(count)
        return {
            "w": self.constant(weights),
            "b": self.constant(values),
            "activation": _activation(node.op),
        }

    def constant(self, data: Array) -> int:
        self.chunks.append(np.ascontiguousarray(data, np.float32).tobytes())
        self.constants.append(list(data.shape))
        return len(self.constants) - 1


def _activation(op: Any) -> str:
    return ACTIVATIONS[activation(op.lo, op.hi)]
