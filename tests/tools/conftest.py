"""Models for the tests of this folder: the example's, the shared ones, and tiny ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def digits() -> Path:
    return ROOT / "examples" / "digits" / "digits_int8.onnx"


@pytest.fixture
def digits_f32() -> Path:
    return ROOT / "examples" / "digits" / "digits_f32.onnx"


@pytest.fixture
def shared():
    """Path of a model that is no part of the repository; without it the test is skipped."""

    def path(name: str) -> Path:
        found = ROOT.parent / "shared" / "models" / f"{name}.onnx"
        if not found.is_file():
            pytest.skip(f"{found} is not here")
        return found

    return path


@pytest.fixture
def chain():
    """x → Relu(x · w0) → Relu(… · w1) …, 4 wide."""

    def make(layers: int = 3, scale: float = 1.0) -> onnx.ModelProto:
        dice = np.random.default_rng(7)
        nodes, weights, name = [], [], "x"
        for index in range(layers):
            w = dice.normal(size=(4, 4)).astype(np.float32) * np.float32(scale)
            weights.append(numpy_helper.from_array(w, f"w{index}"))
            nodes.append(
                helper.make_node("MatMul", [name, f"w{index}"], [f"m{index}"], f"mul{index}")
            )
            name = "y" if index == layers - 1 else f"r{index}"
            nodes.append(helper.make_node("Relu", [f"m{index}"], [name], f"relu{index}"))
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "chain",
            [value("x", TensorProto.FLOAT, [1, 4])],
            [value("y", TensorProto.FLOAT, [1, 4])],
            weights,
        )
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    return make
