"""Between convolutions, which compute channels last, these ops work on the axes as they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from cases import in_onnxruntime, run
from onnx import helper, numpy_helper
from tolerance import CLOSE

from nn2wasm.api import Options, plan_model
from nn2wasm.target import find_target

rng = np.random.default_rng(25)
C = 5

BETWEEN: dict[str, tuple[str, dict[str, Any], list[np.ndarray | None]]] = {
    "softmax": ("Softmax", {"axis": 1}, []),
    "softmax_columns": ("Softmax", {"axis": 3}, []),
    "log_softmax": ("LogSoftmax", {"axis": 1}, []),
    "reduce_channels": ("ReduceMean", {"axes": [1]}, []),
    "reduce_rows": ("ReduceL2", {"axes": [2]}, []),
    "reduce_max_image": ("ReduceMax", {"axes": [2, 3]}, []),
    "nearest": ("Resize", {}, [None, np.float32([1, 1, 2, 3])]),
    "linear": ("Resize", {"mode": "linear"}, [None, np.float32([1, 1, 2, 1.5])]),
    "cubic": ("Resize", {"mode": "cubic"}, [None, np.float32([1, 1, 1.5, 2])]),
    "instance": (
        "InstanceNormalization",
        {},
        [rng.normal(size=C).astype(np.float32), rng.normal(size=C).astype(np.float32)],
    ),
    "layer": ("LayerNormalization", {"axis": 3}, [rng.normal(size=7).astype(np.float32)]),
    "lrn": ("LRN", {"size": 3, "alpha": 0.3}, []),
    "l2": ("LpNormalization", {"axis": 1}, []),
    "batch": (
        "BatchNormalization",
        {},
        [rng.uniform(0.5, 2, C).astype(np.float32) for _ in range(4)],
    ),
    "transposed": (
        "ConvTranspose",
        {"strides": [2, 2]},
        [rng.normal(size=(C, C, 3, 3)).astype(np.float32)],
    ),
}


def between_convolutions(name: str) -> onnx.ModelProto:
    op, attributes, operands = BETWEEN[name]
    channels = 1 if name == "reduce_channels" else C
    constants = {
        "w0": rng.normal(size=(C, 2, 3, 3)).astype(np.float32),
        "w1": rng.normal(size=(4, channels, 1, 1)).astype(np.float32),
    }
    names = []
    for index, value in enumerate(operands):
        names.append("" if value is None else f"k{index}")
        if value is not None:
            constants[f"k{index}"] = value
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], name="first"),
        helper.make_node("Sigmoid", ["a"], ["b"], name="function"),
        helper.make_node(op, ["b", *names], ["c"], name=name, **attributes),
        helper.make_node("Conv", ["c", "w1"], ["y"], name="last"),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 2, 8, 9))
    initializers = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, [x], [onnx.ValueInfoProto(name="y")], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("name", BETWEEN)
def test_between_convolutions(name: str) -> None:
    model = between_convolutions(name)
    feeds = {"x": rng.normal(size=(1, 2, 8, 9)).astype(np.float32)}
    plan = plan_model(model, find_target("wasm"), Options(name=name)).plan
    kinds = [call.node.op.kind for call in plan.calls]
    assert kinds.count("Transpose") <= 2, kinds
    complaint = CLOSE(run(model, feeds)["y"], in_onnxruntime(model, feeds)[0])
    assert not complaint, complaint
