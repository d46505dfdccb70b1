"""--fix: inputs that become constants."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper


def summed() -> onnx.ModelProto:
    """y = the sum of x along axes that are fed at run time."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4]),
        helper.make_tensor_value_info("axes", TensorProto.INT64, [1]),
    ]
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"])
    graph = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name="y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_from_the_command_line(nn2wasm, tmp_path):
    onnx.save(summed(), tmp_path / "m.onnx")
    np.save(tmp_path / "axes.npy", np.array([1]))
    for value in ("1", "[1]", f"@{tmp_path / 'axes.npy'}"):
        words = (tmp_path / "m.onnx", "-o", tmp_path / "m.wasm", "--fix", f"axes={value}")
        assert nn2wasm(*words).code == 0
    for value in ("", "one", "[1", "@nothing.npy", "1,"):
        outcome = nn2wasm(tmp_path / "m.onnx", "-o", tmp_path / "n.wasm", "--fix", f"axes={value}")
        assert outcome.code == 2
        assert "--fix" in outcome.err
    assert not (tmp_path / "n.wasm").exists()
