"""Models whose weights became unsigned mean the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from nn2wasm.tools.unsigned_weights import with_unsigned_weights

RNG = np.random.default_rng(3)
W = RNG.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)


def model(x_type: type) -> onnx.ModelProto:
    values = {
        "sx": np.float32(0.1), "zx": x_type(7), "w": W, "sw": np.float32(0.02),
        "zw": np.int8(0), "sy": np.float32(0.5), "zy": x_type(9),
    }  # fmt: skip
    constants = [numpy_helper.from_array(np.asarray(v), name) for name, v in values.items()]
    names = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy"]
    node = helper.make_node("QLinearConv", names, ["y"])
    code = helper.np_dtype_to_tensor_dtype(np.dtype(x_type))
    x = helper.make_tensor_value_info("x", code, [1, 3, 6, 6])
    graph = helper.make_graph([node], "g", [x], [onnx.ValueInfoProto(name="y")], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def test_the_answer_stays():
    x = RNG.integers(0, 256, (1, 3, 6, 6)).astype(np.uint8)
    given = model(np.uint8)
    changed = with_unsigned_weights(given)
    assert {t.data_type for t in changed.graph.initializer if "unsigned" in t.name} == {
        onnx.TensorProto.UINT8
    }
    before, after = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in (given, changed))
    np.testing.assert_array_equal(before, after)
    assert len(np.unique(before)) > 10


def test_inputs_that_are_quantized_at_run_time_are_unsigned():
    given = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[3,8] x) => (int32[3,4] y)
        { q, s, z = DynamicQuantizeLinear (x) y = MatMulInteger (q, w, z) }"""
    )
    w = RNG.integers(-128, 128, (8, 4)).astype(np.int8)
    given.graph.initializer.append(numpy_helper.from_array(w, "w"))
    changed = with_unsigned_weights(given)
    assert changed.graph.node[1].input[1] == "w/unsigned"
    x = RNG.normal(size=(3, 8)).astype(np.float32)
    before, after = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in (given, changed))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("flaw", ["signed input", "no zero point"])
def test_what_onnxruntime_does_not_know_stays_as_it_is(flaw):
    given = model(np.int8 if flaw == "signed input" else np.uint8)
    if flaw == "no zero point":
        given.graph.node[0].input[2] = ""
    assert with_unsigned_weights(given) == given
