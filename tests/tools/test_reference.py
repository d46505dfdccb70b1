from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from nn2wasm.errors import InstallError, RunError
from nn2wasm.tools.reference import open_reference

X = np.float32([[1, -2, 3, -4]])


@pytest.mark.parametrize("engine", ["onnxruntime", "onnx"])
def test_both_engines_return_intermediate_tensors(chain, engine):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    model = chain()
    before = model.SerializeToString()
    reference = open_reference(model, engine=engine, wanted=["m0", "m0", "y", "x", "nothing"])
    assert reference.engine.startswith(engine)
    assert reference.extra == ("m0",)
    values = reference.run({"x": X})
    assert sorted(values) == ["m0", "y"]
    assert values["y"].shape == (1, 4)
    assert model.SerializeToString() == before


def test_engines_agree(chain):
    pytest.importorskip("onnxruntime")
    one, other = (
        open_reference(chain(), engine=engine, wanted=["r0", "r1"]).run({"x": X})
        for engine in ("onnxruntime", "onnx")
    )
    assert all(np.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_wrong_inputs_are_errors(chain):
    with pytest.raises(RunError, match="did not run the model"):
        open_reference(chain()).run({"x": np.zeros((3, 3), np.float32)})


def test_operators_of_others_need_onnxruntime():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")],
        "g",
        [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(InstallError) as caught:
        open_reference(model, engine="onnx")
    assert "com.microsoft.Gelu" in str(caught.value)
    assert "pip install onnxruntime" in str(caught.value)


def test_what_onnxruntime_refuses_goes_to_onnx_with_a_note(chain):
    pytest.importorskip("onnxruntime")
    model = chain()
    model.ir_version = 99
    reference = open_reference(model)
    assert reference.engine.startswith("onnx ")
    assert "onnxruntime refuses" in reference.notes[0]
    with pytest.raises(RunError):
        open_reference(model, engine="onnxruntime")
