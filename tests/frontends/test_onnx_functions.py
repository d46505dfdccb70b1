"""Inlining: the flat list computes what the functions said."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_model import OnnxModel, read_model

HEAD = '<ir_version: 10, opset_import: ["" : 17, "f" : 1]>\n'


def parse(main: str, *functions: str, head: str = HEAD) -> onnx.ModelProto:
    return parser.parse_model(head + main + "".join(functions))


def function(body: str, opset: int = 17, overload: str = "") -> str:
    extra = f', overload: "{overload}"' if overload else ""
    return f'\n<domain: "f", opset_import: ["" : {opset}, "f" : 1]{extra}>\n{body}\n'


def rebuilt(read: OnnxModel) -> onnx.ModelProto:
    """The flat list as a model again, so that the reference evaluator can run it."""
    nodes = [
        helper.make_node(n.op_type, n.inputs, n.outputs, n.name, domain=n.domain, **n.attributes)
        for n in read.nodes
    ]
    inputs = [
        helper.make_tensor_value_info(v.name, TensorProto.FLOAT, v.shape) for v in read.inputs
    ]
    outputs = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in read.outputs]
    constants = [onnx.numpy_helper.from_array(a, n) for n, a in read.initializers.items()]
    graph = helper.make_graph(nodes, "flat", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def assert_same_results(proto: onnx.ModelProto, inline: bool = True) -> OnnxModel:
    read = read_model(proto)
    rng = np.random.default_rng(0)
    feeds = {v.name: rng.standard_normal(v.shape).astype(np.float32) for v in read.inputs}
    # onnx's own inliner is fine for honest models, and an independent opinion.
    honest = inline_local_functions(proto) if inline else proto
    expected = ReferenceEvaluator(honest).run(None, feeds)
    found = ReferenceEvaluator(rebuilt(read)).run(None, feeds)
    for e, f in zip(expected, found, strict=True):
        np.testing.assert_array_equal(e, f)
    return read


def test_nested_functions_attributes_and_defaults() -> None:
    read = read_model(
        parse(
            "g (float[1,4] x) => (float[1,4] y) { a = f.outer<slope = 0.25> (x)  y = f.outer (a) }",
            function(
                "outer <slope: float = 0.5> (x) => (y)"
                "{ t = f.inner<alpha: float = @slope> (x)  y = Add (t, x) }"
            ),
            function(
                "inner <alpha> (x) => (y) { t = LeakyRelu<alpha: float = @alpha> (x)  y = Neg (t) }"
            ),
        )
    )
    # Against numpy: onnx's inliner forgets the default on the way to the inner function.
    x = np.array([[-8.0, 0.0, 3.0, -1.0]], np.float32)
    (found,) = ReferenceEvaluator(rebuilt(read)).run(None, {"x": x})
    for slope in (0.25, 0.5):
        x = x - np.where(x < 0, np.float32(slope) * x, x)
    np.testing.assert_array_equal(found, x)
    assert [n.op_type for n in read.nodes] == ["LeakyRelu", "Neg", "Add"] * 2
    assert [n.attributes.get("alpha") for n in read.nodes[::3]] == [0.25, 0.5]
    assert read.nodes[0].name == "outer_0/inner_0/LeakyRelu_0"
    assert read.nodes[0].outputs == ("outer_0/inner_0/t",)
    names = [o for n in read.nodes for o in n.outputs]
    assert len(set(names)) == len(names)


def test_an_attribute_without_value_is_left_out() -> None:
    read = read_model(
        parse(
            "g (float[1] x) => (float[1] y) { y = f.leaky (x) }",
            function("leaky <alpha> (x) => (y) { y = LeakyRelu<alpha: float = @alpha> (x) }"),
        )
    )
    assert read.nodes[0].attributes == {}


def test_optional_inputs_and_outputs() -> None:
    proto = parse(
        "g (float[4] x, float hi) => (float[4] y) { y, u = f.limit (x, , hi) }",
        function("limit (x, lo, hi) => (y, n, m) { y = Clip (x, lo, hi) n = Neg (x) m = Abs (n) }"),
    )
    proto.graph.node[0].output[1] = ""
    read = assert_same_results(proto)
    clip, neg, absolute = read.nodes
    assert clip.inputs == ("x", "", "hi")
    assert neg.outputs[0] != ""
    assert absolute.inputs == neg.outputs


def test_an_output_that_is_an_input_becomes_a_copy() -> None:
    read = assert_same_results(
        parse(
            "g (float[4] x) => (float[4] y, float[4] z) { y, z = f.both (x) }",
            function("both (x) => (x, z) { z = Neg (x) }"),
        ),
        inline=False,  # onnx's inliner loses the copied output
    )
    assert [n.op_type for n in read.nodes] == ["Neg", "Identity"]


def test_fresh_names_meet_no_others() -> None:
    proto = parse(
        "g (float[4] x) => (float[4] y) { t = f.two (x)  y = Neg (t) }",
        function("two (x) => (y) { t = Neg (x)  y = Neg (t) }"),
    )
    proto.graph.node[0].name = "call"
    proto.graph.node[0].output[0] = proto.graph.node[1].input[0] = "call/t"
    assert_same_results(proto)


def test_the_functions_own_opset_counts() -> None:
    read = read_model(
        parse(
            "g (float[4] x) => (float[4] y) { t = f.neg (x)  y = Neg (t) }",
            function("neg (x) => (y) { y = Neg (x) }", opset=13),
        )
    )
    assert [n.opset for n in read.nodes] == [13, 17]
    with pytest.raises(UnsupportedFeature, match=r"opset 999 of ai\.onnx"):
        read_model(
            parse(
                "g (float[4] x) => (float[4] y) { y = f.neg (x) }",
                function("neg (x) => (y) { y = Neg (x) }", opset=999),
            )
        )


def test_overloads() -> None:
    proto = parse(
        "g (float[4] x) => (float[4] y) { t = f.op (x)  y = f.op (t) }",
        function("op (x) => (y) { y = Neg (x) }"),
        function("op (x) => (y) { y = Abs (x) }", overload="other"),
    )
    proto.graph.node[1].overload = "other"
    assert [n.op_type for n in read_model(proto).nodes] == ["Neg", "Abs"]


def test_a_function_without_nodes_that_nobody_calls_is_no_problem() -> None:
    proto = parse("g (float[4] x) => (float[4] y) { y = Neg (x) }")
    proto.functions.add(name="broken", domain="f", output=["nothing"])
    assert len(read_model(proto).nodes) == 1


def branch(*nodes: onnx.NodeProto, output: str) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "branch", [], [value])


def with_if() -> onnx.ModelProto:
    """A function whose If captures names of the function, and refers to its attribute."""
    leaky = helper.make_node("LeakyRelu", ["t"], ["inner"])
    leaky.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    deep = helper.make_node(
        "If",
        ["c"],
        ["o"],
        then_branch=branch(leaky, output="inner"),
        else_branch=branch(helper.make_node("Add", ["x", "t"], ["sum"]), output="sum"),
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["t"]),
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["c"], to=TensorProto.BOOL),
        helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=branch(deep, output="o"),
            else_branch=branch(helper.make_node("Abs", ["t"], ["q"]), output="q"),
        ),
    ]
    opsets = [helper.make_opsetid("", 17)]
    body = helper.make_function("f", "choose", ["x"], ["y"], nodes, opsets, ["slope"])
    proto = parse(
        "g (float[4] x) => (float[4] y)"
        "{ t = f.choose<slope = 0.25> (x)  y = f.choose<slope = 0.5> (t) }"
    )
    proto.functions.append(body)
    return proto


def test_subgraphs_in_functions_get_the_actual_names() -> None:
    read = assert_same_results(with_if())
    outer = read.nodes[3].attributes["then_branch"]
    assert isinstance(outer, onnx.GraphProto)
    (inner,) = (a.g for a in outer.node[0].attribute if a.name == "then_branch")
    assert inner.node[0].input[0] == "choose_0/t"
    assert inner.node[0].attribute[0].f == 0.25
    assert not inner.node[0].attribute[0].ref_attr_name


def test_a_call_inside_a_subgraph_is_refused() -> None:
    proto = with_if()
    proto.functions[0].node[3].attribute[1].g.node[0].op_type = "choose"
    proto.functions[0].node[3].attribute[1].g.node[0].domain = "f"
    with pytest.raises(UnsupportedFeature, match="subgraph that calls the function 'choose'"):
        read_model(proto)


BAD = [
    ("{ y = f.op (x) }", "op (x) => (y) { y = f.op (x) }", "'op' calls itself"),
    ("{ y = f.op (x, x) }", "op (x) => (y) { y = Neg (x) }", "2 inputs and 1 outputs; it has 1"),
    ("{ y, z = f.op (x) }", "op (x) => (y) { y = Neg (x) }", "1 inputs and 2 outputs"),
    ("{ y = f.op (x) }", "op (x) => (y) { t = Neg (x) }", "never computes its output 'y'"),
    ("{ y = f.op (x) }", "op (x) => (y) { y = Neg (x) y = Abs (x) }", "computes 'y' twice"),
    ("{ y = f.op (x) }", "op (x) => (y) { x = Neg (x) y = Abs (x) }", "computes 'x' twice"),
    ("{ y = f.op (x) }", "op (x) => (y, y) { y = Neg (x) }", "two outputs of the same name"),
    ("{ y = f.op (x) }", "op (x) => (y) { y = Neg (t) }", "reads 'op_0/t', which nothing produces"),
    ("{ y = f.op () }", "op (x) => (x) { }", "an input that the call leaves out"),
    (
        "{ y = f.op<a = 1> (x) }",
        "op <a> (x) => (y) { y = LeakyRelu<alpha: float = @a> (x) }",
        "attribute 'a' as float, but the call gives int",
    ),
    ("{ y = LeakyRelu<alpha: float = @a> (x) }", "op (x) => (y) { y = Neg (x) }", "in no function"),
]


@pytest.mark.parametrize(("main", "body", "text"), BAD)
def test_bad_functions(main: str, body: str, text: str) -> None:
    with pytest.raises(InvalidModel, match=text):
        read_model(parse("g (float[4] x) => (float[4] y) " + main, function(body)))


def test_a_function_defined_twice() -> None:
    op = function("op (x) => (y) { y = Neg (x) }")
    with pytest.raises(InvalidModel, match="'op' is defined twice"):
        read_model(parse("g (float[4] x) => (float[4] y) { y = Neg (x) }", op, op))


def chain(depth: int, calls: int) -> onnx.ModelProto:
    """Each function calls the next `calls` times; the last one does nothing but copy."""
    main = "g (float[4] x) => (float[4] y) { y = f.f0 (x) }"
    functions = []
    for i in range(depth):
        steps = "".join(f" t{k + 1} = f.f{i + 1} (t{k})" for k in range(1, calls))
        functions.append(function(f"f{i} (x) => (t{calls}) {{ t1 = f.f{i + 1} (x){steps} }}"))
    functions.append(function(f"f{depth} (x) => (x) {{ }}"))
    return parse(main, *functions)


@pytest.mark.parametrize("calls", [2, 10])
def test_bombs_go_off_quickly(calls: int) -> None:
    with pytest.raises(InvalidModel, match="more than 100,000 nodes, functions and subgraphs"):
        read_model(chain(30, calls))


def test_depth_of_calls() -> None:
    assert len(read_model(chain(31, 1)).nodes) == 1
    with pytest.raises(InvalidModel, match="deeper than 32 levels"):
        read_model(chain(40, 1))


def test_wide_calls_are_charged() -> None:
    names = ", ".join(f"i{n}" for n in range(1000))
    main = "g (float[4] x) => (float[4] y) {" + " y = f.wide (x)" * 5000 + "}"
    proto = parse(main, function(f"wide ({names}) => (y) {{ y = Neg (i0) }}"))
    with pytest.raises(InvalidModel, match="inputs, outputs and attributes"):
        read_model(proto)


def test_copies_of_subgraphs_are_charged() -> None:
    proto = with_if()
    proto.functions[0].node[3].attribute[1].g.doc_string = "x" * 100_000
    call = proto.graph.node[1]
    proto.graph.node.extend([call] * 50)
    with pytest.raises(InvalidModel, match="repeats more than 1,000,000 bytes"):
        read_model(proto, limits=Limits(copied_bytes=1_000_000))


def test_subgraphs_given_to_functions_are_charged() -> None:
    proto = parse("g (float[4] x) => (float[4] y) { y = f.op (x) }")
    big = branch(*[helper.make_node("Neg", ["x"], [f"n{i}"]) for i in range(2000)], output="n0")
    proto.graph.node[0].attribute.append(helper.make_attribute("body", big))
    nodes = []
    for i in range(2000):
        node = helper.make_node("If", ["x"], [f"y{i}" if i else "y"])
        node.attribute.add(name="b", ref_attr_name="body", type=onnx.AttributeProto.GRAPH)
        nodes.append(node)
    opsets = [helper.make_opsetid("", 17)]
    proto.functions.append(helper.make_function("f", "op", ["x"], ["y"], nodes, opsets, ["body"]))
    with pytest.raises(InvalidModel, match="repeats more than 16,777,216 bytes"):
        read_model(proto)
