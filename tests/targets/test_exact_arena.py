"""Kernels of vectors and words on shapes with a rest, in an arena of exactly their size: gcc's
checks see one that reaches beyond it, which WebAssembly shows only where memory ends by chance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from native_gcc import needs_sanitizers, run_program, sanitized_program
from onnx import helper, numpy_helper

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.target import ArtifactKind, find_target

SCALAR = find_target("c")
SIMD = replace(find_target("host"), kind=ArtifactKind.C)  # gcc cannot embed
NO_FPU = find_target("cortex-m3")
DSP = find_target("cortex-m4")
HELIUM = find_target("cortex-m55")
INTERP = replace(find_target("wasm"), kind=ArtifactKind.C)
SIZE = 9

NODES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    # operator, shape of weights, attributes; inputs have 5 or 7 channels
    "depthwise": ("Conv", (5, 1, 3, 3), {"group": 5}),
    "depthwise_padded": ("Conv", (7, 1, 3, 3), {"group": 7, "pads": [1, 1, 1, 1]}),
    "depthwise_stride": ("Conv", (5, 1, 3, 3), {"group": 5, "strides": [2, 2]}),
    "depthwise_5x5": ("Conv", (7, 1, 5, 5), {"group": 7, "pads": [2, 2, 2, 2]}),
    "conv": ("Conv", (6, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    "pointwise": ("Conv", (9, 7, 1, 1), {}),
    "pointwise_stride": ("Conv", (4, 5, 1, 1), {"strides": [2, 2]}),
    "wide": ("Conv", (19, 5, 3, 3), {"pads": [1, 1, 1, 1], "dilations": [1, 2]}),
    "transposed": ("ConvTranspose", (5, 6, 2, 2), {"strides": [2, 2]}),
    "max": ("MaxPool", (5,), {"kernel_shape": [3, 3], "strides": [2, 2]}),
    "average": ("AveragePool", (7,), {"kernel_shape": [2, 2]}),
    "sigmoid": ("Sigmoid", (5,), {}),
}


def model_of(
    op: str, weights: tuple[int, ...], attributes: dict[str, Any], integers: Any = None
) -> Any:
    """The node between channels-last tensors, so that these are what its kernel works on; its
    activations have that type of numpy, or are floats.
    """
    c = weights[0] if "group" in attributes or len(weights) == 1 else weights[1]
    c = weights[0] if op == "ConvTranspose" else c
    rng = np.random.default_rng(7)
    constants = [
        numpy_helper.from_array(np.asarray(value, dtype), name)
        for name, value, dtype in (("s", 0.05, np.float32), ("z", 3, integers or np.int8))
    ]
    inputs, nodes = ["t"], [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])]
    if integers:
        nodes.append(helper.make_node("DequantizeLinear", ["t", "s", "z"], ["r"]))
        inputs = ["r"]
    if len(weights) > 1:
        value = rng.integers(-90, 90, weights).astype(np.int8)
        constants.append(numpy_helper.from_array(value, "q"))
        constants.append(numpy_helper.from_array(np.zeros((), np.int8), "zw"))
        nodes.append(helper.make_node("DequantizeLinear", ["q", "s", "zw"], ["w"]))
        inputs.append("w")
    nodes.append(helper.make_node(op, inputs, ["u"], **attributes))
    if integers:
        nodes.append(helper.make_node("QuantizeLinear", ["u", "s", "z"], ["v"]))
    nodes.append(
        helper.make_node("Transpose", ["v" if integers else "u"], ["y"], perm=[0, 2, 3, 1])
    )
    code = helper.np_dtype_to_tensor_dtype(np.dtype(integers or np.float32))
    x = helper.make_tensor_value_info("x", code, [1, SIZE, SIZE, c])
    graph = helper.make_graph(nodes, "g", [x], [onnx.ValueInfoProto(name="y")], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("integers", [None, np.int8, np.int16], ids=["f32", "s8", "s16"])
def test_nothing_beyond_the_arena(name, integers, tmp_path):
    needs_sanitizers()
    model = model_of(*NODES[name], integers)
    rng = np.random.default_rng(5)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = rng.integers(-128, 128, shape).astype(integers or np.int8)
    answers = []
    for target in (SCALAR, SIMD, NO_FPU, DSP, HELIUM, INTERP):
        tree = generate(plan_model(model, target, Options(name="exact")))
        folder = tmp_path / target.name
        folder.mkdir()
        feeds = {"x": x if integers else x.astype(np.float32) / 100}
        answers.append(run_program(sanitized_program(tree, folder), tree, feeds)["y"])
    assert len({answer.tobytes() for answer in answers}) == 1


@pytest.mark.parametrize(("lines", "n"), [(1, 8), (1, 35), (2, 16), (7, 10)])
def test_products_of_lines(lines, n, tmp_path):
    """A matrix of bytes with every line that kernels for interpreters cut differently."""
    needs_sanitizers()
    k = 21
    rng = np.random.default_rng(n)
    constants = {
        "s": np.float32(0.05),
        "z": np.int8(3),
        "q": rng.integers(-128, 128, (n, k)).astype(np.int8),
        "zw": np.int8(0),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["r"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zw"], ["w"]),
        helper.make_node("Gemm", ["r", "w"], ["u"], transB=1),
        helper.make_node("QuantizeLinear", ["u", "s", "z"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.INT8, [lines, k])
    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [onnx.ValueInfoProto(name="y")], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    feeds = {"x": rng.integers(-128, 128, (lines, k)).astype(np.int8)}
    answers = []
    for target in (SCALAR, INTERP):
        compiled = plan_model(model, target, Options(name="exact"))
        chosen = "interp" in compiled.plan.calls[0].choice.kernel.needs
        assert chosen == (target is INTERP)
        tree = generate(compiled)
        folder = tmp_path / target.name
        folder.mkdir()
        answers.append(run_program(sanitized_program(tree, folder), tree, feeds)["y"])
    assert answers[0].tobytes() == answers[1].tobytes()


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("bytes_", [False, True], ids=["f32", "s8"])
@pytest.mark.parametrize("lengths", [[4, 2], [-9, 2**31 - 1]], ids=["inside", "outside"])
def test_recurrent_steps(op, bytes_, lengths, tmp_path):
    """Gates that are no whole vectors; lengths that a host got wrong."""
    needs_sanitizers()
    rng = np.random.default_rng(12)
    rows = {"LSTM": 4, "GRU": 3, "RNN": 1}[op] * 5
    nodes, constants = [], {}
    for name, depth in (("w", 3), ("r", 5)):
        integers = rng.integers(-128, 128, (2, rows, depth)).astype(np.int8)
        if bytes_:
            constants |= {f"{name}_q": integers, f"{name}_s": np.float32(0.01)}
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_s"], [name]))
        else:
            constants[name] = integers.astype(np.float32) / 100
    constants["b"] = rng.normal(size=(2, 2 * rows)).astype(np.float32)
    results = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
    attributes = {"hidden_size": 5, "direction": "bidirectional"}
    nodes.append(helper.make_node(op, ["x", "w", "r", "b", "n"], results, **attributes))
    inputs = [
        helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4, 2, 3]),
        helper.make_tensor_value_info("n", onnx.TensorProto.INT32, [2]),
    ]
    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph(nodes, "g", inputs, outputs, arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    feeds = {"x": rng.normal(size=(4, 2, 3)).astype(np.float32), "n": np.int32(lengths)}
    answers = []
    for target in (SCALAR, SIMD):
        tree = generate(plan_model(model, target, Options(name="exact")))
        folder = tmp_path / target.name
        folder.mkdir()
        made = run_program(sanitized_program(tree, folder), tree, feeds)
        answers.append(b"".join(made[name].tobytes() for name in results))
    assert answers[0] == answers[1]
