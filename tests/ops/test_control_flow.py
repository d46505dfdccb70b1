"""If, Loop and Scan, unrolled, and sequences, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from cases import in_onnxruntime, run
from onnx import helper, numpy_helper
from tolerance import CLOSE, EXACT

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.errors import (
    DynamicShape,
    InvalidModel,
    Nn2wasmError,
    OverBudget,
    UnsupportedFeature,
    UnsupportedOp,
)
from nn2wasm.frontends.limits import Limits
from nn2wasm.target import find_target

rng = np.random.default_rng(55)
F32, S64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
node = helper.make_node


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def body(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, list[Any]]],
    outputs: Mapping[str, tuple[int, list[Any]]],
    constants: Mapping[str, Any] | None = None,
) -> onnx.GraphProto:
    """A graph; types are for onnxruntime, which wants them."""
    given = [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()]
    made = [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()]
    arrays = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    return helper.make_graph(list(nodes), "body", given, made, arrays)


def model(
    nodes: Sequence[onnx.NodeProto],
    feeds: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in feeds.items()
    ]
    made = [onnx.ValueInfoProto(name=name) for name in outputs]
    arrays = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "flow", given, made, arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def compare(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray], target: str = "wasm") -> None:
    expected = in_onnxruntime(proto, feeds)
    answers = run(proto, feeds, target)
    for port, values in zip(proto.graph.output, expected, strict=True):
        assert answers[port.name].shape == values.shape
        tolerance = CLOSE if values.dtype.kind == "f" else EXACT
        complaint = tolerance(answers[port.name], values)
        assert not complaint, f"{port.name}: {complaint}"


def refuse(error: type[Nn2wasmError], proto: onnx.ModelProto, match: str, **more: Any) -> None:
    with pytest.raises(error, match=match):
        plan_model(proto, find_target("wasm"), Options(name="flow", **more))


# -- If --------------------------------------------------------------------------------------


def branches(then: str = "Neg", other: str = "Abs") -> dict[str, onnx.GraphProto]:
    """Two operators on the captured x; the result is multiplied by a weight of the branch."""
    graphs = {}
    for name, op, factor in (("then_branch", then, 2.0), ("else_branch", other, 3.0)):
        nodes = [node(op, ["x"], ["a"]), node("Mul", ["a", "w"], ["r"])]
        graphs[name] = body(nodes, {}, {"r": (F32, [2, 3])}, {"w": np.float32(factor)})
    return graphs


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_if_at_run_time(flag: bool, shape: tuple[int, ...]) -> None:
    feeds = {"x": floats(2, 3), "c": np.full(shape, flag)}
    compare(model([node("If", ["c"], ["y"], **branches())], feeds, ["y"]), feeds)


@pytest.mark.parametrize("flag", [True, False])
def test_if_known_at_compile_time(flag: bool) -> None:
    """Only what runs is compiled: the other branch may hold what cannot be."""
    feeds = {"x": floats(2, 3)}
    graphs = branches()
    proto = model([node("If", ["c"], ["y"], **graphs)], feeds, ["y"], {"c": np.asarray(flag)})
    compare(proto, feeds)
    graphs["else_branch" if flag else "then_branch"].node[0].op_type = "Unheard"
    proto = model([node("If", ["c"], ["y"], **graphs)], feeds, ["y"], {"c": np.asarray(flag)})
    plan = plan_model(proto, find_target("wasm"), Options(name="flow")).plan
    assert "Select" not in [call.node.op.kind for call in plan.calls]


def test_if_by_a_shape() -> None:
    """The condition is computed from constants."""
    feeds = {"x": floats(2, 3)}
    nodes = [
        node("Size", ["x"], ["n"]),
        node("Equal", ["n", "six"], ["c"]),
        node("If", ["c"], ["y"], **branches()),
    ]
    compare(model(nodes, feeds, ["y"], {"six": np.int64(6)}), feeds)


def test_branches_inside_branches() -> None:
    feeds = {"x": floats(2, 3), "c": np.asarray(True), "d": np.asarray(False)}
    inner = node("If", ["d"], ["z"], **branches("Exp", "Tanh"))
    outer = branches()
    outer["then_branch"] = body([inner], {}, {"z": (F32, [2, 3])})
    compare(model([node("If", ["c"], ["y"], **outer)], feeds, ["y"]), feeds)


def test_branches_that_differ_are_refused() -> None:
    feeds = {"x": floats(2, 3), "c": np.asarray(True)}
    graphs = branches()
    graphs["else_branch"] = body([node("Flatten", ["x"], ["r"], axis=0)], {}, {"r": (F32, [1, 6])})
    proto = model([node("If", ["c"], ["y"], **graphs)], feeds, ["y"])
    refuse(UnsupportedFeature, proto, r"branches that give f32\[2, 3\] or f32\[1, 6\]")


# -- Loop ------------------------------------------------------------------------------------


def adding(*, stop_at: int | None = None) -> onnx.GraphProto:
    """v += x · w (captured x); the step's number and the sum are scanned."""
    condition = node("Identity", ["on"], ["on_out"])
    constants: dict[str, Any] = {"w": np.float32(0.5)}
    if stop_at is not None:
        condition = node("Less", ["i", "last"], ["on_out"])
        constants["last"] = np.int64(stop_at)
    nodes = [
        condition,
        node("Mul", ["x", "w"], ["d"]),
        node("Add", ["v", "d"], ["v_out"]),
        node("Identity", ["i"], ["number"]),
        node("Identity", ["v_out"], ["sum"]),
    ]
    return body(
        nodes,
        {"i": (S64, []), "on": (BOOL, []), "v": (F32, [3])},
        {"on_out": (BOOL, []), "v_out": (F32, [3]), "number": (S64, []), "sum": (F32, [3])},
        constants,
    )


@pytest.mark.parametrize("trips", [1, 4])
@pytest.mark.parametrize("condition", ["", "true"])
@pytest.mark.parametrize("opset", [8, 13, 17])
def test_loops_with_a_trip_count(trips: int, condition: str, opset: int) -> None:
    feeds = {"x": floats(3), "v0": floats(3)}
    constants = {"m": np.int64(trips), "true": np.asarray(True)}
    loop = node("Loop", ["m", condition, "v0"], ["v", "numbers", "sums"], body=adding())
    names = ["v", "numbers", "sums"]
    compare(model([loop], feeds, names, constants, opset), feeds)


@pytest.mark.parametrize("trips", ["", "m"])
def test_loops_that_end_by_their_condition(trips: str) -> None:
    feeds = {"x": floats(3), "v0": floats(3)}
    constants = {"m": np.int64(99), "true": np.asarray(True)}
    loop = node("Loop", [trips, "true", "v0"], ["v", "numbers", "sums"], body=adding(stop_at=3))
    compare(model([loop], feeds, ["v", "numbers", "sums"], constants), feeds)


@pytest.mark.parametrize(("trips", "condition"), [(0, True), (5, False)])
def test_loops_that_never_run(trips: int, condition: bool) -> None:
    feeds = {"x": floats(3), "v0": floats(3)}
    constants = {"m": np.int64(trips), "c": np.asarray(condition)}
    loop = node("Loop", ["m", "c", "v0"], ["v", "", ""], body=adding())
    proto = model([loop], feeds, ["v"], constants)
    refuse(UnsupportedFeature, proto, "without steps")
    del loop.output[1:]
    answers = run(model([loop], feeds, ["v"], constants), feeds)
    assert not EXACT(answers["v"], feeds["v0"])


def test_what_is_carried_may_grow() -> None:
    feeds = {"x": floats(2, 3)}
    nodes = [
        node("Concat", ["v", "x"], ["v_out"], axis=0),
        node("Identity", ["on"], ["on_out"]),
    ]
    graph = body(
        nodes,
        {"i": (S64, []), "on": (BOOL, []), "v": (F32, [None, 3])},
        {"on_out": (BOOL, []), "v_out": (F32, [None, 3])},
    )
    loop = node("Loop", ["m", "", "x"], ["y"], body=graph)
    compare(model([loop], feeds, ["y"], {"m": np.int64(3)}), feeds)


def test_loops_inside_loops() -> None:
    feeds = {"x": floats(3), "v0": floats(3)}
    inner = node("Loop", ["two", "", "u"], ["w_last", "ns", "ss"], body=adding())
    nodes = [inner, node("Identity", ["on1"], ["on1_out"]), node("Relu", ["w_last"], ["u_out"])]
    outer = body(
        nodes,
        {"i1": (S64, []), "on1": (BOOL, []), "u": (F32, [3])},
        {"on1_out": (BOOL, []), "u_out": (F32, [3]), "ss": (F32, [2, 3])},
    )
    loop = node("Loop", ["three", "", "v0"], ["y", "all"], body=outer)
    constants = {"two": np.int64(2), "three": np.int64(3)}
    compare(model([loop], feeds, ["y", "all"], constants), feeds)


def test_run_time_decisions_of_loops_are_refused() -> None:
    feeds = {"x": floats(3), "v0": floats(3), "m": np.asarray(3)}
    loop = node("Loop", ["m", "", "v0"], ["v", "n", "s"], body=adding())
    refuse(DynamicShape, model([loop], feeds, ["v"]), "trip count is computed at run time")
    feeds["on"] = np.asarray(True)
    loop = node("Loop", ["three", "on", "v0"], ["v", "n", "s"], body=adding())
    constants = {"three": np.int64(3)}
    refuse(DynamicShape, model([loop], feeds, ["v"], constants), "condition is computed at run")
    graph = adding()
    graph.node[0].CopyFrom(node("Less", ["sum", "limit"], ["smaller"]))
    graph.node.append(node("ReduceMin", ["sum_as_number"], ["on_out"], keepdims=0))
    graph.node.append(node("Cast", ["smaller"], ["sum_as_number"], to=BOOL))
    graph.initializer.append(numpy_helper.from_array(np.float32(9), "limit"))
    graph.node[-2].CopyFrom(node("Not", ["smaller"], ["on_out"]))
    del graph.node[-1]
    loop = node("Loop", ["three", "", "v0"], ["v", "n", "s"], body=graph)
    refuse(UnsupportedFeature, model([loop], feeds, ["v"], constants), "condition computed at run")


@pytest.mark.parametrize("trips", [10**6, 2**62])
def test_long_loops_are_refused_with_the_limit(trips: int) -> None:
    feeds = {"x": floats(3), "v0": floats(3)}
    loop = node("Loop", ["m", "", "v0"], ["v", "n", "s"], body=adding())
    proto = model([loop], feeds, ["v"], {"m": np.int64(trips)})
    refuse(OverBudget, proto, "more than 5,000 nodes")
    refuse(OverBudget, proto, "more than 100 nodes", limits=Limits(unrolled_nodes=100))


def test_endless_loops_of_nothing_are_refused() -> None:
    feeds = {"v0": floats(3)}
    graph = body(
        [],
        {"i": (S64, []), "on": (BOOL, []), "v": (F32, [3])},
        {"on": (BOOL, []), "v": (F32, [3])},
    )
    refuse(
        OverBudget,
        model([node("Loop", ["", "", "v0"], ["v1"], body=graph)], feeds, ["v1"]),
        "nodes",
    )


def test_constants_of_loops_are_charged() -> None:
    """Each step makes a constant of 4 MB; a hundred of them would be kept as one output."""
    nodes = [node("Add", ["v", "one"], ["v_out"]), node("Identity", ["on"], ["on_out"]),
             node("Identity", ["v_out"], ["scan"])]  # fmt: skip
    big = (F32, [2**20])
    graph = body(
        nodes,
        {"i": (S64, []), "on": (BOOL, []), "v": big},
        {"on_out": (BOOL, []), "v_out": big, "scan": big},
        {"one": np.float32(1)},
    )
    fill = node("ConstantOfShape", ["shape"], ["zero"])
    loop = node("Loop", ["m", "", "zero"], ["last", "all"], body=graph)
    constants = {"m": np.int64(1000), "shape": np.int64([2**20])}
    proto = model([fill, loop], {"x": floats(1)}, ["last"], constants)
    refuse(OverBudget, proto, "elements", limits=Limits(tensor_elements=2**22))


def test_steps_share_their_code() -> None:
    """A kernel is a C function once, weights are there once, however often a body runs."""
    feeds = {"x": floats(16, 1, 8), "h": floats(1, 8)}
    constants = {"w": floats(8, 8), "r": floats(8, 8)}
    nodes = [
        node("MatMul", ["x_t", "w"], ["a"]),
        node("MatMul", ["h_t", "r"], ["b"]),
        node("Add", ["a", "b"], ["c"]),
        node("Tanh", ["c"], ["h_out"]),
        node("Identity", ["h_out"], ["y_t"]),
    ]
    one = (F32, [1, 8])
    graph = body(nodes, {"h_t": one, "x_t": one}, {"h_out": one, "y_t": one}, constants)
    scan = node("Scan", ["h", "x"], ["last", "y"], body=graph, num_scan_inputs=1)
    proto = model([scan], feeds, ["last", "y"])
    compare(proto, feeds)
    compiled = plan_model(proto, find_target("wasm"), Options(name="flow"))
    assert compiled.plan.weight_bytes < 4 * 2 * 64 + 100
    source = str(generate(compiled).files["flow.c"])
    assert source.count("void nn_gemm_f32") == 1


# -- Scan ------------------------------------------------------------------------------------


def mixing() -> onnx.GraphProto:
    """Two states, two scan inputs, two scan outputs, one of them the captured s + a slice."""
    nodes = [
        node("Add", ["p", "a"], ["p_out"]),
        node("Mul", ["q", "b"], ["q_out"]),
        node("Sub", ["p_out", "b"], ["first"]),
        node("Add", ["a", "s"], ["second"]),
    ]
    line = (F32, [4])
    return body(
        nodes,
        dict.fromkeys(("p", "q", "a", "b"), line),
        dict.fromkeys(("p_out", "q_out", "first", "second"), line),
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"scan_input_directions": [1, 0], "scan_output_directions": [0, 1]},
        {"scan_input_axes": [1, -1], "scan_output_axes": [1, -1]},
        {"scan_input_axes": [1, 0], "scan_input_directions": [0, 1], "scan_output_axes": [0, 1]},
    ],
)
@pytest.mark.parametrize("opset", [9, 11, 17])
def test_scan(attributes: dict[str, Any], opset: int) -> None:
    axes = attributes.get("scan_input_axes", [0, 0])
    feeds = {
        "s": floats(4), "p0": floats(4), "q0": floats(4),
        "a0": floats(4, 5) if axes[0] else floats(5, 4),
        "b0": floats(4, 5) if axes[1] else floats(5, 4),
    }  # fmt: skip
    scan = node("Scan", ["p0", "q0", "a0", "b0"], ["p1", "q1", "y", "z"], body=mixing(),
                num_scan_inputs=2, **attributes)  # fmt: skip
    compare(model([scan], feeds, ["p1", "q1", "y", "z"], opset=opset), feeds)


@pytest.mark.parametrize("directions", [None, [1, 0]])
@pytest.mark.parametrize("lengths", [None, [5, 5]])
def test_scan_of_opset_8(directions: Any, lengths: Any) -> None:
    feeds = {
        "s": floats(4), "p0": floats(2, 4), "q0": floats(2, 4), "a0": floats(2, 5, 4),
        "b0": floats(2, 5, 4),
    }  # fmt: skip
    more = {} if directions is None else {"directions": directions}
    constants = {} if lengths is None else {"lengths": np.int64(lengths)}
    scan = node("Scan", ["lengths" if lengths else "", "p0", "q0", "a0", "b0"],
                ["p1", "q1", "y", "z"], body=mixing(), num_scan_inputs=2, **more)  # fmt: skip
    compare(model([scan], feeds, ["p1", "q1", "y", "z"], constants, opset=8), feeds)


def test_sequences_of_different_lengths_are_refused() -> None:
    feeds = {"s": floats(4), "p0": floats(2, 4), "q0": floats(2, 4), "a0": floats(2, 5, 4),
             "b0": floats(2, 5, 4)}  # fmt: skip
    scan = node("Scan", ["n", "p0", "q0", "a0", "b0"], ["p1", "q1", "y", "z"], body=mixing(),
                num_scan_inputs=2)  # fmt: skip
    proto = model([scan], feeds, ["p1"], {"n": np.int64([5, 3])}, opset=8)
    refuse(UnsupportedFeature, proto, "different lengths")


# -- broken files ----------------------------------------------------------------------------


def scan_model(graph: onnx.GraphProto, **attributes: Any) -> onnx.ModelProto:
    feeds = {"s": floats(4), "p0": floats(4), "q0": floats(4), "a0": floats(5, 4),
             "b0": floats(5, 4)}  # fmt: skip
    attributes = {"num_scan_inputs": 2} | attributes
    scan = node("Scan", ["p0", "q0", "a0", "b0"], ["p1", "q1", "y", "z"], body=graph, **attributes)
    return model([scan], feeds, ["p1", "q1", "y", "z"])


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"num_scan_inputs": 0}, "num_scan_inputs is 0"),
        ({"num_scan_inputs": 9}, "num_scan_inputs is 9"),
        ({"scan_input_axes": [0]}, "do not fit"),
        ({"scan_input_axes": [0, 7]}, "axis 7"),
        ({"scan_output_axes": [0, 7]}, "axis 7"),
        ({"scan_output_axes": [0]}, "scan_output_axes"),
        ({"scan_input_directions": [0, 2]}, "scan_input_directions"),
        ({"scan_input_axes": [0, 1]}, "slices"),
    ],
)
def test_broken_scans(attributes: dict[str, Any], match: str) -> None:
    refuse(InvalidModel, scan_model(mixing(), **attributes), match)


def broken(change: str) -> onnx.GraphProto:
    graph = mixing()
    if change == "more inputs":
        graph.input.add().name = "more"
    elif change == "fewer outputs":
        del graph.output[3]
    elif change == "twice":
        graph.node.append(node("Neg", ["a"], ["first"]))
    elif change == "nothing":
        graph.node[0].input[0] = "nowhere"
    elif change == "cycle":
        graph.node[0].input[0] = "first"
    elif change == "same inputs":
        graph.input[1].name = "p"
    elif change == "unknown":
        graph.node[0].op_type = "Unheard"
    elif change == "reference":
        attribute = graph.node[0].attribute.add()
        attribute.name, attribute.ref_attr_name = "axis", "axis"
    return graph


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ("more inputs", InvalidModel, "body has 5 inputs, 4 are given"),
        ("fewer outputs", InvalidModel, "body has 3 outputs, 4"),
        ("twice", InvalidModel, "writes 'first', which .* writes too"),
        ("nothing", InvalidModel, "reads 'nowhere', which nothing produces"),
        ("cycle", InvalidModel, "cycle"),
        ("same inputs", InvalidModel, "two inputs of the same name"),
        ("unknown", UnsupportedOp, "1 operator"),
        ("reference", InvalidModel, "refers to one of a function"),
    ],
)
def test_broken_bodies(change: str, error: type[Nn2wasmError], match: str) -> None:
    refuse(error, scan_model(broken(change)), match)


def test_a_body_that_is_missing() -> None:
    proto = scan_model(mixing())
    del proto.graph.node[0].attribute[0]
    assert [a.name for a in proto.graph.node[0].attribute] == ["num_scan_inputs"]
    refuse(InvalidModel, proto, "attribute body is missing")


# -- sequences -------------------------------------------------------------------------------


def test_sequences() -> None:
    feeds = {"x": floats(6, 4), "a": floats(2, 4), "b": floats(2, 4)}
    constants = {"two": np.int64(2), "parts": np.int64([1, 2, 3]), "one": np.int64(1),
                 "back": np.int64(-1)}  # fmt: skip
    nodes = [
        node("SplitToSequence", ["x", "two"], ["thirds"], axis=0),
        node("SequenceInsert", ["thirds", "a", "one"], ["more"]),
        node("SequenceInsert", ["more", "b"], ["most"]),
        node("SequenceErase", ["most", "back"], ["less"]),
        node("SequenceErase", ["less"], ["least"]),
        node("Identity", ["less"], ["same"]),
        node("ConcatFromSequence", ["same"], ["along"], axis=1),
        node("ConcatFromSequence", ["most"], ["stacked"], axis=-1, new_axis=1),
        node("SequenceAt", ["least", "back"], ["last"]),
        node("SequenceLength", ["most"], ["count"]),
        node("SplitToSequence", ["x", "parts"], ["uneven"], axis=0),
        node("SequenceAt", ["uneven", "two"], ["third"]),
        node("SplitToSequence", ["x"], ["lines"], axis=1, keepdims=0),
        node("SequenceAt", ["lines", "one"], ["line"]),
        node("Neg", ["last"], ["last_negated"]),
    ]
    outputs = ["along", "stacked", "last_negated", "count", "third", "line"]
    compare(model(nodes, feeds, outputs, constants), feeds)


def test_loops_carry_sequences() -> None:
    feeds = {"x": floats(3)}
    nodes = [
        node("Cast", ["i"], ["number"], to=F32),
        node("Add", ["x", "number"], ["item"]),
        node("SequenceInsert", ["seq", "item"], ["seq_out"]),
        node("Identity", ["on"], ["on_out"]),
    ]
    graph = body(nodes, {"i": (S64, []), "on": (BOOL, [])}, {"on_out": (BOOL, [])})
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F32, [3]))
    graph.input.append(helper.make_value_info("seq", kind))
    graph.output.append(helper.make_value_info("seq_out", kind))
    flow = [
        node("SequenceEmpty", [], ["empty"]),
        node("Loop", ["m", "", "empty"], ["filled"], body=graph),
        node("ConcatFromSequence", ["filled"], ["y"], axis=0, new_axis=1),
    ]
    compare(model(flow, feeds, ["y"], {"m": np.int64(4)}), feeds)


def test_a_body_for_each_tensor_of_a_sequence() -> None:
    feeds = {"x": floats(3, 2), "k": floats(2)}
    graph = body([node("Mul", ["t", "u"], ["r"])], {"t": (F32, [2]), "u": (F32, [2])},
                 {"r": (F32, [2])})  # fmt: skip
    nodes = [
        node("SplitToSequence", ["x"], ["s"], keepdims=0),
        node("SequenceMap", ["s", "k"], ["m"], body=graph),
        node("ConcatFromSequence", ["m"], ["y"], axis=0, new_axis=1),
    ]
    answers = run(model(nodes, feeds, ["y"]), feeds)
    assert not EXACT(answers["y"], feeds["x"] * feeds["k"])


@pytest.mark.parametrize(
    ("nodes", "error", "match"),
    [
        ([node("SequenceConstruct", ["x", "x"], ["y"])], UnsupportedFeature, "sequence of 2"),
        ([node("SequenceConstruct", ["x"], ["s"]), node("Neg", ["s"], ["y"])], InvalidModel,
         "input 0 is a sequence"),
        ([node("SequenceLength", ["x"], ["y"])], InvalidModel, "not a sequence"),
        ([node("SequenceConstruct", ["x"], ["s"]), node("SequenceAt", ["s", "one"], ["y"])],
         InvalidModel, "position 1 in a sequence of 1"),
        ([node("SequenceConstruct", ["x"], ["s"]), node("SequenceAt", ["s", "n"], ["y"])],
         DynamicShape, "position is computed at run time"),
        ([node("SequenceConstruct", ["x", "n"], ["s"]), node("SequenceLength", ["s"], ["y"])],
         InvalidModel, "differ in type"),
        ([node("SequenceEmpty", [], ["s"]), node("ConcatFromSequence", ["s"], ["y"], axis=0)],
         UnsupportedFeature, "empty sequence"),
        ([node("SplitToSequence", ["x", "one"], ["s"], axis=4),
          node("SequenceLength", ["s"], ["y"])], InvalidModel, "axis 4"),
    ],
)  # fmt: skip
def test_sequences_that_are_refused(
    nodes: list[onnx.NodeProto], error: type[Nn2wasmError], match: str
) -> None:
    feeds = {"x": floats(2, 3), "n": np.asarray(1)}
    refuse(error, model(nodes, feeds, ["y"], {"one": np.int64(1)}), match)
