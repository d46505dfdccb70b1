"""Outputs that are inputs of the next run: a stream of runs gives what onnxruntime gives where
somebody hands its outputs back, on every target.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from engines import node
from native_gcc import needs_sanitizers, sanitized_program
from onnx import helper, numpy_helper
from tolerance import CLOSE, EXACT

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.cli.command import main
from nn2wasm.errors import RunError, UnsupportedFeature
from nn2wasm.loaders import load
from nn2wasm.resources import data_folder
from nn2wasm.target import ArtifactKind, find_target
from nn2wasm.toolchain import build_artifact
from nn2wasm.tools.verify import verify_model

rng = np.random.default_rng(8)
RUNS = 6
TARGETS = ("wasm", "wasm-simd128", "wasm-simd128-cranelift", "host")


def floats(*shape: int) -> np.ndarray:
    return (rng.normal(size=shape) * 0.5).astype(np.float32)


def value(name: str, shape: list[int], code: int = onnx.TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, code, shape)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[str],
    constants: Mapping[str, np.ndarray],
) -> onnx.ModelProto:
    arrays = [numpy_helper.from_array(np.asarray(data), name) for name, data in constants.items()]
    given = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "stream", inputs, given, arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def gru() -> onnx.ModelProto:
    """A step of a GRU, and what is made of its state."""
    constants = {"w": floats(1, 18, 5), "r": floats(1, 18, 6), "f": floats(6, 3)}
    nodes = [
        helper.make_node("GRU", ["x", "w", "r", "", "", "h_in"], ["", "h_out"], hidden_size=6),
        helper.make_node("Squeeze", ["h_out"], ["h"]),
        helper.make_node("MatMul", ["h", "f"], ["y"]),
    ]
    inputs = [value("x", [1, 1, 5]), value("h_in", [1, 1, 6])]
    return model(nodes, inputs, ["y", "h_out"], constants)


def convolution() -> onnx.ModelProto:
    """A causal convolution: the last rows of an image are kept, and come before the next."""
    constants = {"w": floats(4, 3, 3, 3), "v": floats(4, 4, 3, 3), "begin": np.int64([4]),
                 "end": np.int64([99]), "axis": np.int64([2])}  # fmt: skip
    nodes = [
        helper.make_node("Concat", ["rows_in", "x"], ["image"], axis=2),
        helper.make_node("Slice", ["image", "begin", "end", "axis"], ["rows_out"]),
        helper.make_node("Conv", ["image", "w"], ["a"], pads=[0, 1, 0, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["y"], pads=[0, 1, 0, 1]),
    ]
    inputs = [value("rows_in", [1, 3, 4, 8]), value("x", [1, 3, 4, 8])]
    return model(nodes, inputs, ["rows_out", "y"], constants)


def delays() -> onnx.ModelProto:
    """A line of delays and two values that change places: outputs that are inputs' own bytes."""
    nodes = [
        helper.make_node("Identity", ["x"], ["a_out"]),
        helper.make_node("Identity", ["a_in"], ["b_out"]),
        helper.make_node("Reshape", ["b_in", "shape"], ["c_out"]),
        helper.make_node("Add", ["c_in", "x"], ["y"]),
        helper.make_node("Identity", ["q_in"], ["p_out"]),
        helper.make_node("Add", ["p_in", "x"], ["q_out"]),
        helper.make_node("Identity", ["s_in"], ["s_out"]),
    ]
    names = ["a", "b", "c", "p", "q", "s"]
    inputs = [value("x", [3]), *(value(f"{name}_in", [3]) for name in names)]
    outputs = ["y", *(f"{name}_out" for name in names)]
    return model(nodes, inputs, outputs, {"shape": np.int64([3])})


def integers() -> onnx.ModelProto:
    """Bytes that mean something, summed up; a counter without an input of its own."""
    constants = {"s": np.float32(0.1), "z": np.uint8(128), "one": np.int32(1)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["sum_in", "s", "z"], ["d"]),
        helper.make_node("Add", ["xd", "d"], ["e"]),
        helper.make_node("QuantizeLinear", ["e", "s", "z"], ["sum_out"]),
        helper.make_node("Add", ["n_in", "one"], ["n_out"]),
    ]
    inputs = [
        value("x", [4]),
        value("sum_in", [4], onnx.TensorProto.UINT8),
        value("n_in", [], onnx.TensorProto.INT32),
    ]
    return model(nodes, inputs, ["sum_out", "n_out"], constants)


MODELS = {"gru": gru(), "convolution": convolution(), "delays": delays(), "integers": integers()}
STATES = {
    name: {
        f"{kept.name[:-3]}_out": kept.name
        for kept in proto.graph.input
        if kept.name.endswith("_in")
    }
    for name, proto in MODELS.items()
}
STREAMS = {
    name: [
        floats(*(dim.dim_value for dim in port.type.tensor_type.shape.dim))
        for port in proto.graph.input
        if port.name == "x"
        for _ in range(RUNS)
    ]
    for name, proto in MODELS.items()
}


def expected(name: str) -> list[dict[str, np.ndarray]]:
    """What onnxruntime gives, run by run, states handed back."""
    proto = MODELS[name]
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    kept: dict[str, Any] = {}
    for port in proto.graph.input:
        if port.name in STATES[name].values():
            shape = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
            code = port.type.tensor_type.elem_type
            kept[port.name] = np.zeros(shape, helper.tensor_dtype_to_np_dtype(code))
    names = [port.name for port in proto.graph.output]
    answers = []
    for x in STREAMS[name]:
        answers.append(dict(zip(names, session.run(None, {"x": x, **kept}), strict=True)))
        kept = {port: answers[-1][output] for output, port in STATES[name].items()}
    return answers


def artifact(name: str, target: str, **more: Any) -> tuple[bytes, bytes]:
    compiled = plan_model(
        MODELS[name], find_target(target), Options(name="stream", state=STATES[name], **more)
    )
    tree = generate(compiled)
    return build_artifact(tree, compiled.plan.target, strict=True), tree.weights


def require_same(actual: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    assert set(actual) == set(wanted)
    for name, values in wanted.items():
        tolerance = CLOSE if values.dtype.kind == "f" else EXACT
        complaint = tolerance(actual[name], values)
        assert not complaint, f"{name}: {complaint}"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("target", "more"),
    [
        *((target, {}) for target in TARGETS),
        ("wasm", {"optimize": "memory"}),
        ("wasm", {"weights": "flash"}),
        ("wasm", {"weights": "host", "optimize": "memory"}),
        ("wasm", {"io_integers": True}),
    ],
)
def test_a_stream_of_runs(name: str, target: str, more: dict[str, Any]) -> None:
    if more.get("io_integers") and name != "integers":
        return
    module, weights = artifact(name, target, **more)
    with load(module, weights) as session:
        assert [info.name for info in session.inputs] == ["x"]
        for _ in range(2):
            for x, wanted in zip(STREAMS[name], expected(name), strict=True):
                given: Any = x
                if more.get("io_integers"):
                    given = np.clip(np.rint(x / np.float32(0.1)), -128, 127).astype(np.int8)
                require_same(session.run(given), wanted)
            session.reset()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", ["c", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("optimize", [None, "memory"])
def test_in_c_the_state_lies_in_the_arena(
    name: str, target: str, optimize: Any, tmp_path: Any
) -> None:
    """An arena full of garbage, in exactly its size, under gcc's checks."""
    needs_sanitizers()
    options = Options(name="stream", state=STATES[name], optimize=optimize)
    tree = generate(plan_model(MODELS[name], find_target(target), options))
    program = sanitized_program(tree, tmp_path)
    data = b"".join(x.tobytes() for x in STREAMS[name])
    done = subprocess.run([program], input=data, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:4000]
    begin = 0
    for wanted in expected(name):
        answers = {}
        for output, values in wanted.items():
            end = begin + values.nbytes
            flat = np.frombuffer(done.stdout[begin:end], values.dtype)
            answers[output] = flat.reshape(values.shape)
            begin = end
        require_same(answers, wanted)
    assert begin == len(done.stdout)


def test_nothing_lies_over_a_state() -> None:
    options = Options(name="stream", state=STATES["convolution"], optimize="memory")
    plan = plan_model(MODELS["convolution"], find_target("wasm"), options).plan
    (state,) = plan.graph.states
    begin = plan.memory.offsets[state.kept]
    for storage in plan.memory.storages:
        if state.kept not in storage.tensors:
            end = storage.offset + storage.bytes
            assert end <= begin or storage.offset >= begin + state.kept.bytes


@pytest.mark.parametrize("target", ["wasm", "wasm-simd128"])
def test_steps_are_the_whole_sequence(target: str) -> None:
    """Two LSTM layers step by step give the bits that they give for the sequence at once."""
    constants = {"w1": floats(1, 24, 5), "r1": floats(1, 24, 6), "b1": floats(1, 48),
                 "w2": floats(1, 32, 6), "r2": floats(1, 32, 8), "axis": np.int64([1])}  # fmt: skip

    def layers(x: str, states: list[str]) -> list[onnx.NodeProto]:
        first, second = (
            [states[0], states[1]] if states else ["", ""],
            [states[2], states[3]] if states else ["", ""],
        )
        return [
            helper.make_node(
                "LSTM", [x, "w1", "r1", "b1", "", *first], ["y1", "h1_out", "c1_out"], hidden_size=6
            ),
            helper.make_node("Squeeze", ["y1", "axis"], ["s1"]),
            helper.make_node(
                "LSTM",
                ["s1", "w2", "r2", "", "", *second],
                ["y", "h2_out", "c2_out"],
                hidden_size=8,
            ),
        ]

    steps, stream = 7, floats(7, 1, 5)
    whole = model(layers("x", []), [value("x", [steps, 1, 5])], ["y"], constants)
    names = {"h1": 6, "c1": 6, "h2": 8, "c2": 8}
    inputs = [value("x", [1, 1, 5]), *(value(f"{n}_in", [1, 1, k]) for n, k in names.items())]
    outputs = ["y", *(f"{name}_out" for name in names)]
    step = model(layers("x", [f"{name}_in" for name in names]), inputs, outputs, constants)
    state = {f"{name}_out": f"{name}_in" for name in names}
    answers = []
    for proto, options in ((whole, Options(name="w")), (step, Options(name="s", state=state))):
        compiled = plan_model(proto, find_target(target), options)
        with load(build_artifact(generate(compiled), compiled.plan.target, strict=True)) as net:
            lines = [stream] if proto is whole else [x[None] for x in stream]
            answers.append(np.concatenate([net.run({"x": x})["y"] for x in lines]))
    np.testing.assert_array_equal(answers[0], answers[1])


def test_javascript_resets_too(tmp_path: Any) -> None:
    (tmp_path / "model.wasm").write_bytes(artifact("gru", "wasm")[0])
    source = data_folder("templates") / "model" / "loader.mjs"
    (tmp_path / "loader.mjs").write_bytes(source.read_bytes())
    (tmp_path / "stream.mjs").write_text(
        'import { load } from "./loader.mjs";\n'
        'const net = await load(new URL("./model.wasm", import.meta.url));\n'
        f"const stream = {json.dumps([x.reshape(-1).tolist() for x in STREAMS['gru']])};\n"
        "const once = () => stream.map((x) => Array.from(net.run({ x }).y));\n"
        "const first = once();\n"
        "net.reset();\n"
        "console.log(JSON.stringify([first, once()]));\n"
    )
    first, second = json.loads(node(tmp_path / "stream.mjs"))
    assert first == second
    wanted = np.stack([answer["y"] for answer in expected("gru")])
    assert not CLOSE(np.float32(first), wanted)


def test_sessions_tell_and_reset() -> None:
    module, _ = artifact("gru", "wasm")
    with load(module) as session:
        assert session.metadata["states"] == [
            {"output": "h_out", "input": "h_in", "dtype": "f32", "shape": [1, 1, 6]}
        ]
        first = session.run(STREAMS["gru"][0])["y"]
        assert EXACT(session.run(STREAMS["gru"][0])["y"], first)
        session.reset()
        assert not EXACT(session.run(STREAMS["gru"][0])["y"], first)
    with pytest.raises(RunError, match="closed"):
        session.reset()


@pytest.mark.parametrize("name", ["gru", "integers"])
def test_verify_hands_states_back(name: str) -> None:
    report = verify_model(MODELS[name], options=Options(name="stream", state=STATES[name]), count=4)
    assert report.passed


def test_verify_asks_the_module_for_its_states(tmp_path: Any) -> None:
    onnx.save(MODELS["gru"], tmp_path / "gru.onnx")
    arguments = [str(tmp_path / "gru.onnx"), "-o", str(tmp_path / "gru.wasm")]
    assert main([*arguments, "--state", "h_out=h_in"]) == 0
    assert main(["verify", str(tmp_path / "gru.onnx"), str(tmp_path / "gru.wasm")]) == 0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"h": "h_in"}, "no output 'h'"),
        ({"h_out": "h"}, "no input 'h'"),
        ({"y": "h_in"}, "cannot be kept for the input 'h_in'"),
        ({"h_out": "x"}, "cannot be kept for the input 'x'"),
        ({"h_out": "h_in", "y": "h_in"}, "cannot be kept|two outputs"),
    ],
)
def test_what_does_not_fit_is_refused(state: dict[str, str], message: str) -> None:
    with pytest.raises(UnsupportedFeature, match=message):
        plan_model(MODELS["gru"], find_target("wasm"), Options(state=state))


def test_an_input_keeps_one_output() -> None:
    state = {"a_out": "a_in", "b_out": "a_in"}
    with pytest.raises(UnsupportedFeature, match="two outputs"):
        plan_model(MODELS["delays"], find_target("wasm"), Options(state=state))


def test_images_by_rows_have_no_state() -> None:
    options = Options(state=STATES["convolution"], feed="rows")
    with pytest.raises(UnsupportedFeature, match="row by row"):
        plan_model(MODELS["convolution"], find_target("wasm"), options)


def test_there_is_no_state_where_none_is_asked_for() -> None:
    tree = generate(plan_model(MODELS["gru"], find_target("c"), Options(name="stream")))
    assert "reset(" not in str(tree.files["stream.h"])
    assert tree.metadata.get("states") is None
    assert find_target("c").kind is ArtifactKind.C
