"""Small files that ask for huge work: refused by a stated limit before anything is allocated."""

import pytest
from onnx import TensorProto, helper

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import Nn2wasmError, OverBudget, QuantizationError, UnsupportedFeature
from nn2wasm.target import find_target

WASM = find_target("wasm")


def one_node(op, shape, weight=None, **attributes):
    """A model of one node on x, with a weight of zeros where a shape is given."""
    inputs, initializers = ["x"], []
    if weight is not None:
        count = 1
        for size in weight:
            count *= size
        inputs.append("w")
        initializers.append(helper.make_tensor("w", TensorProto.FLOAT, weight, [0.0] * count))
    graph = helper.make_graph(
        [helper.make_node(op, inputs, ["y"], name="bomb", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        (one_node("Conv", [1, 4, 8, 8], [4, 4, 3, 3], pads=[2**31] * 4), UnsupportedFeature, "pad"),
        (one_node("Conv", [1, 4, 8, 8], [4, 4, 3, 3], pads=[2**16] * 4), OverBudget, "elements"),
        (one_node("MaxPool", [1, 1, 8, 8], kernel_shape=[2**31] * 2), UnsupportedFeature, "window"),
        (
            one_node("MaxPool", [1, 1, 8, 8], kernel_shape=[2**27, 2], pads=[2**27 - 1, 0, 0, 0]),
            UnsupportedFeature,
            "window",
        ),
        (one_node("Transpose", [1, 1024, 1024, 200], perm=[0, 3, 1, 2]), OverBudget, "arena"),
    ],
)  # fmt: skip
def test_a_bomb_is_refused(model, error, text):
    with pytest.raises(error, match=text) as caught:
        plan_model(model, WASM)
    assert isinstance(caught.value, Nn2wasmError)


def test_there_is_nothing_to_strip_at_the_border_of_a_float_network():
    with pytest.raises(QuantizationError, match="no quantizers at the border"):
        plan_model(one_node("Relu", [1, 4]), WASM, Options(io_integers=True))
