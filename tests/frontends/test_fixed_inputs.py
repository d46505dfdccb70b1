"""Inputs that the user fixes become constants."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import DynamicShape, InvalidModel
from nn2wasm.frontends.onnx_model import read_model
from nn2wasm.target import find_target


def summed(axes_shape: list[int] | None = None) -> onnx.ModelProto:
    """y = the sum of x [2, 3, 4] along axes that are fed at run time."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4]),
        helper.make_tensor_value_info("axes", TensorProto.INT64, axes_shape or [1]),
    ]
    double = helper.make_node("Add", ["axes", "axes"], ["twice"])
    node = helper.make_node("ReduceSum", ["x", "twice"], ["y"], keepdims=0)
    graph = helper.make_graph([double, node], "g", inputs, [onnx.ValueInfoProto(name="y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def plan(**fixed: object):
    options = Options(fixed=fixed)  # type: ignore[arg-type]
    return plan_model(summed(), find_target("wasm"), options).plan


@pytest.mark.parametrize("given", [1, [1], np.array([1]), 1.0, np.float32([1])])
def test_a_fixed_input_is_a_constant(given):
    graph = plan(axes=given).graph
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert graph.outputs[0].shape == (2, 3)


def test_the_error_names_the_inputs_that_decide():
    with pytest.raises(DynamicShape, match="--fix axes=") as caught:
        plan()
    assert caught.value.inputs == ("axes",)


@pytest.mark.parametrize(
    ("fixed", "error", "text"),
    [
        ({"axis": 1}, DynamicShape, "did you mean 'axes'"),
        ({"axes": [1, 2]}, InvalidModel, "another shape"),
        ({"axes": [[1]]}, None, ""),
        ({"axes": 1.5}, InvalidModel, "does not fit its type"),
        ({"axes": [float("nan")]}, InvalidModel, "does not fit its type"),
        ({"axes": ["a"]}, InvalidModel, "does not fit its type"),
        ({"axes": [[1], [1, 2]]}, InvalidModel, "no tensor"),
        ({"axes": []}, InvalidModel, "another shape"),
        ({"x": 1}, InvalidModel, "another shape"),
    ],
)
def test_values_that_fit(fixed, error, text):
    if error is None:
        plan(**fixed)
        return
    with pytest.raises(error, match=text):
        plan(**fixed)


def test_an_empty_list_where_the_model_says_so():
    read = read_model(summed([0]), fixed={"axes": []})
    assert read.initializers["axes"].shape == (0,)
    assert read.initializers["axes"].dtype == np.int64
