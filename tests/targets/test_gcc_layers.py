"""gcc must leave no layer out: 12.2 took this one's transposition for a function without effect."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from engines import run_native
from native_gcc import gcc_library, needs_gcc
from onnx import helper

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.target import find_target


@pytest.mark.parametrize("level", ["-O1", "-O2", "-O3"])
@pytest.mark.parametrize("target", ["c", "cortex-m55"])
def test_the_last_layer_runs(target, level):
    needs_gcc()
    x = helper.make_tensor_value_info("x", onnx.TensorProto.INT8, [6, 6, 4])
    node = helper.make_node("Transpose", ["x"], ["y"], perm=[2, 0, 1])
    graph = helper.make_graph([node], "g", [x], [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    tree = generate(plan_model(model, find_target(target), Options(name="moved")))
    value = np.arange(6 * 6 * 4, dtype=np.int8).reshape(6, 6, 4)
    answer = run_native(gcc_library(tree, level), {"x": value})["y"]
    np.testing.assert_array_equal(answer, value.transpose(2, 0, 1))
