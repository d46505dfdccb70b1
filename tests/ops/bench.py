"""Many little quantized graphs side by side in one model: compiling and onnxruntime's start are
paid once.

    BENCH = Bench("conv")
    BENCH.conv("same_3x3", ...)
    result, expected, reference = BENCH.answers()["same_3x3"]

`result` is ours, `expected` the exact integer arithmetic where the bench knows it, `reference`
onnxruntime's
with optimizations off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from cases import MICROSOFT, run
from onnx import helper, numpy_helper
from outcome import once

from nn2wasm.tools.unsigned_weights import with_unsigned_weights

rng = np.random.default_rng(99)


class Answer(NamedTuple):
    result: np.ndarray
    expected: np.ndarray | None
    reference: np.ndarray


class Quant(NamedTuple):
    """How the integers of a tensor are meant."""

    dtype: Any
    scale: Any
    zero_point: Any

    @property
    def limits(self) -> tuple[int, int]:
        info = np.iinfo(self.dtype)
        return int(info.min), int(info.max)

    def integers(self, *shape: int) -> np.ndarray:
        low, high = self.limits
        return rng.integers(low, high + 1, shape).astype(self.dtype)


class Bench:
    """Collects graphs; names of tensors are prefixed with the name of their graph."""

    def __init__(self, opset: int = 21) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.feeds: dict[str, np.ndarray] = {}
        self.expected: dict[str, np.ndarray | None] = {}

    @property
    def names(self) -> list[str]:
        return list(self.expected)

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def input(self, name: str, value: np.ndarray) -> str:
        code = helper.np_dtype_to_tensor_dtype(value.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, code, value.shape))
        self.feeds[name] = value
        return name

    def node(
        self, op: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any
    ) -> str:
        self.nodes.append(
            helper.make_node(op, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    def pair(self, name: str, quant: Quant, suffix: str = "") -> list[str]:
        """Scale and zero point as constants."""
        scale = self.constant(f"{name}_scale{suffix}", np.asarray(quant.scale, np.float32))
        zero = self.constant(f"{name}_zero{suffix}", np.asarray(quant.zero_point, quant.dtype))
        return [scale, zero]

    def dequantized(
        self, name: str, value: np.ndarray, quant: Quant, *, constant: bool = False, axis: int = 0
    ) -> str:
        """The tensor behind a DequantizeLinear."""
        q = self.constant(f"{name}_q", value) if constant else self.input(f"{name}_q", value)
        extra = {"axis": axis} if np.ndim(quant.scale) else {}
        return self.node("DequantizeLinear", [q, *self.pair(name, quant)], name, **extra)

    def finish(self, name: str, real: str, quant: Quant, expected: np.ndarray | None) -> None:
        """Quantizes a float tensor as the graph's output."""
        self.done(
            name,
            self.node("QuantizeLinear", [real, *self.pair(f"{name}_out", quant)], name),
            expected,
        )

    def done(self, name: str, output: str, expected: np.ndarray | None = None) -> None:
        assert name == output
        self.expected[name] = expected

    def model(self) -> onnx.ModelProto:
        outputs = [onnx.ValueInfoProto(name=name) for name in self.expected]
        graph = helper.make_graph(self.nodes, "bench", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    @once
    def answers(self, target: str = "wasm") -> Mapping[str, Answer]:
        results, references = run(self.model(), self.feeds, target), self.references()
        return {
            name: Answer(results[name], expected, references[name])
            for name, expected in self.expected.items()
        }

    @once
    def references(self) -> Mapping[str, np.ndarray]:
        """What onnxruntime answers."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            with_unsigned_weights(self.model()).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        return dict(zip(self.names, session.run(self.names, self.feeds), strict=True))
