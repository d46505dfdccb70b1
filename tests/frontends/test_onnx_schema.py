"""Nodes that their operator's schema does not allow, and outputs that are not as declared."""

from __future__ import annotations

import onnx
import pytest
from onnx import AttributeProto, helper, parser

from nn2wasm.errors import InvalidModel, Nn2wasmError, UnsupportedFeature
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_import import import_onnx
from nn2wasm.frontends.onnx_model import read_model
from nn2wasm.ir import Graph

NODE = "(float[2,3] x, float[2,3] a) => ({to} y) {{ {node} }}"


def model(node: str, to: str = "float[2,3]", opset: int = 17) -> onnx.ModelProto:
    text = NODE.format(node=node, to=to)
    imports = f'["" : {opset}, "com.microsoft" : 1]'
    return parser.parse_model(f"<ir_version: 8, opset_import: {imports}> g {text}")


def imported(proto: onnx.ModelProto) -> Graph:
    return import_onnx(read_model(proto), Limits())


def refused(proto: onnx.ModelProto, match: str) -> None:
    with pytest.raises(InvalidModel, match=f"(?s){match}"):
        imported(proto)


@pytest.mark.parametrize(
    ("node", "match"),
    [
        ("y = Neg (x, a)", "Neg 'Neg_0': 2 inputs; it has 1"),
        ("y = Neg ()", "0 inputs; it has 1"),
        ("y = Clip (x, a, a, a)", "4 inputs; it has at most 3"),
        ("y = Max ()", "0 inputs; it has at least 1"),
        ("y, z = Neg (x)", "2 outputs; it has 1"),
        ("y = Add (, a)", "input 0 is missing"),
        (
            "y = Neg <alpha = 1.0> (x)",
            "Neg of version 17 of ai.onnx has no attribute 'alpha'.*none",
        ),
        ("y = Concat (x, a)", "attribute axis is missing"),
        ("y = Concat <axis = 0.0> (x, a)", "attribute axis must be of type INT"),
        ("y = Elu <alpha = [1.0]> (x)", "attribute alpha must be of type FLOAT"),
        ("y = Transpose <perm = [0.0, 1.0]> (x)", "attribute perm must be of type INTS"),
        ("y = Gelu (x)", "version 17 of ai.onnx has no operator Gelu"),
        ("y = Upsample <mode = 'nearest'> (x, a)", "version 17 of ai.onnx has dropped Upsample"),
    ],
)
def test_what_no_schema_allows(node: str, match: str) -> None:
    refused(model(node.replace("'", '"')), match)


def test_inputs_left_out_at_the_end_are_none() -> None:
    proto = model("y = Clip (x)")
    proto.graph.node[0].input.extend(["", "", ""])
    assert imported(proto).outputs[0].shape == (2, 3)


def test_lists_without_values_are_of_any_type() -> None:
    proto = model("y = Transpose (x)", "float[3,2]")
    proto.graph.node[0].attribute.add(name="perm", type=AttributeProto.INTS)
    with pytest.raises(InvalidModel) as caught:
        imported(proto)
    assert "must be of type" not in caught.value.message


def test_an_operator_deprecated_in_its_own_version_is_read() -> None:
    node = "y = GroupNormalization <num_groups = 1> (x, s, s)"
    proto = model(node, opset=18)
    proto.graph.initializer.add(name="s", dims=[1], data_type=1, float_data=[1.0])
    assert imported(proto).outputs[0].shape == (2, 3)


def test_bodies_are_checked_too() -> None:
    body = "y = If (c) <then_branch = t () => (float p) { p = Neg (x, x) }, " \
           "else_branch = e () => (float q) { q = Neg (x) }>"  # fmt: skip
    proto = model(body)
    proto.graph.input.append(helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []))
    refused(proto, "Neg .*2 inputs; it has 1")


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        ("int64[2,3]", r"declared +s64 \[2, 3\].*computed +f32 \[2, 3\]"),
        ("float[3,2]", r"declared +f32 \[3, 2\]"),
        ("float[6]", r"declared +f32 \[6\]"),
        ("float[N,4]", r"declared +f32 \[\?, 4\]"),
        ("string[2,3]", r"declared +string \[2, 3\].*computed +f32 \[2, 3\]"),
        ("complex64[2,3]", r"declared +complex64 \[2, 3\]"),
    ],
)
def test_outputs_that_are_not_as_declared(to: str, shown: str) -> None:
    refused(model("y = Neg (x)", to), f"the output 'y' is not what the model declares.*{shown}")


def test_outputs_may_leave_their_sizes_open() -> None:
    for to in ("float[N,3]", "float[2,M]", "float"):
        proto = model("y = Neg (x)", to)
        if to == "float":
            proto.graph.output[0].type.tensor_type.ClearField("shape")
        assert imported(proto).outputs[0].shape == (2, 3)


def test_outputs_of_sizes_below_zero() -> None:
    proto = model("y = Neg (x)")
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = -7
    refused(proto, "output 'y': axis 1 has size -7")


def test_outputs_of_types_that_onnx_does_not_have() -> None:
    proto = model("y = Neg (x)")
    proto.graph.output[0].type.tensor_type.elem_type = 99
    refused(proto, "output 'y' has elements of type 99, which ONNX does not have")


@pytest.mark.parametrize(
    ("version", "error", "match"),
    [
        (0, InvalidModel, "IR version 0; the first is 1"),
        (-3, InvalidModel, "IR version -3"),
        (99, UnsupportedFeature, f"IR version 99; up to {onnx.IR_VERSION} are read"),
    ],
)
def test_versions_of_the_format(version: int, error: type[Nn2wasmError], match: str) -> None:
    proto = model("y = Neg (x)")
    proto.ir_version = version
    with pytest.raises(error, match=match):
        imported(proto)
