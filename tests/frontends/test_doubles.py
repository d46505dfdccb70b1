"""Networks of float64 compute in float32, and keep float64 at their border."""

from __future__ import annotations

import numpy as np
import onnx
from cases import in_onnxruntime, run
from onnx import helper, numpy_helper
from tolerance import CLOSE, EXACT

from nn2wasm.api import plan_model
from nn2wasm.target import find_target

rng = np.random.default_rng(5)
X = rng.normal(size=(2, 4))


def model(*nodes: onnx.NodeProto, outputs: tuple[str, ...]) -> onnx.ModelProto:
    constants = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=3), "half": np.float64(0.5)}
    graph = helper.make_graph(
        nodes,
        "doubles",
        [helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, X.shape)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_network_of_doubles() -> None:
    network = model(
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["likely"]),
        helper.make_node("ArgMax", ["likely"], ["label"], axis=1),
        helper.make_node("Less", ["likely", "half"], ["unsure"]),
        outputs=("likely", "label", "unsure"),
    )
    answers = run(network, {"x": X})
    for name, expected in zip(answers, in_onnxruntime(network, {"x": X}), strict=True):
        assert answers[name].dtype == expected.dtype
        check = CLOSE if expected.dtype.kind == "f" else EXACT
        assert not check(answers[name], expected)
    graph = plan_model(network, find_target("wasm")).plan.graph
    assert sum(node.op.kind == "Cast" for node in graph.nodes) == 2  # the input and one output


def test_what_only_moves_stays_exact() -> None:
    network = model(
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("Flatten", ["t"], ["y"]),
        outputs=("y",),
    )
    exact = X + 1e-15
    assert np.array_equal(run(network, {"x": exact})["y"], exact.T)


def test_arithmetic_of_what_was_double_stays_double() -> None:
    nodes = [
        helper.make_node(kind, [a, b], [y])
        for kind, a, b, y in (
            ("Add", "x", "half", "a"), ("Mul", "x", "a", "m"), ("Div", "m", "half", "d"),
            ("Sub", "d", "x", "y"),
        )
    ]  # fmt: skip
    network, huge = model(*nodes, outputs=("y",)), X * 1e200
    with np.errstate(over="ignore"):
        expected = huge * (huge + 0.5) / 0.5 - huge
    assert np.array_equal(run(network, {"x": huge})["y"], expected)
    small = X * 1e-30
    assert np.array_equal(run(network, {"x": small})["y"], small * (small + 0.5) / 0.5 - small)
