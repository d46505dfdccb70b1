"""What the reader makes of honest models."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_import import import_onnx
from nn2wasm.frontends.onnx_model import OnnxModel, OnnxValue, read_model
from nn2wasm.ir.dtype import DType

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"

SMALL = """
<
    ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3],
    producer_name: "hand", producer_version: "2"
>
small (float[1, 4] x) => (float[1, 2] y, float[N, 2] z)
<float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}>
{
    m = MatMul (x, w)
    y = Relu (m)
    z = LeakyRelu <alpha = 0.5> (m)
}
"""


def small() -> onnx.ModelProto:
    return parser.parse_model(SMALL)


def info(name: str, shape: object, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[str],
    constants: list[onnx.TensorProto] = [],  # noqa: B006
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, [info(o, None) for o in outputs], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def relu(shape: object, **kind: int) -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"])], [info("x", shape, **kind)], ["y"])


def with_constant(tensor: onnx.TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Add", ["x", tensor.name], ["y"])
    return model([node], [info("x", [1])], ["y"], [tensor])


# -- the whole ---------------------------------------------------------------------------------


def test_reads_a_small_model() -> None:
    data = small().SerializeToString()
    read = read_model(data)
    assert read.name == "small"
    assert read.producer == "hand 2"
    assert read.sha256 == hashlib.sha256(data).hexdigest()
    assert read.opsets == {"": 17, "ai.onnx.ml": 3}
    assert read.inputs == (OnnxValue("x", DType.F32, (1, 4)),)
    assert read.outputs == ("y", "z")
    assert read.output_types == {"y": ("f32", (1, 2)), "z": ("f32", (None, 2))}
    assert np.array_equal(read.initializers["w"], np.arange(1, 9, dtype=np.float32).reshape(4, 2))
    assert [(n.op_type, n.name, n.opset) for n in read.nodes] == [
        ("MatMul", "MatMul_0", 17),
        ("Relu", "Relu_1", 17),
        ("LeakyRelu", "LeakyRelu_2", 17),
    ]
    assert read.nodes[0].inputs == ("x", "w")
    assert read.nodes[2].attributes == {"alpha": 0.5}


def test_path_bytes_and_proto_agree(tmp_path: Path) -> None:
    proto = small()
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    reads = [read_model(s) for s in (path, str(path), path.read_bytes(), proto)]
    assert len({r.sha256 for r in reads}) == 1
    assert all(r.nodes == reads[0].nodes for r in reads)


def test_nodes_are_sorted_and_otherwise_stay() -> None:
    nodes = [
        helper.make_node("Relu", ["b"], ["y"], name="last"),
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["x"], ["c"], name="other"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]
    read = read_model(model(nodes, [info("x", [1])], ["y", "c"]))
    assert [n.name for n in read.nodes] == ["first", "other", "second", "last"]


def test_subgraph_captures_count_as_reads() -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["a"], ["t"])], "b", [], [info("t", None)])
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch, name="if"),
        helper.make_node("Relu", ["x"], ["a"], name="relu"),
    ]
    read = read_model(model(nodes, [info("x", [1]), info("c", [], TensorProto.BOOL)], ["y"]))
    assert [n.name for n in read.nodes] == ["relu", "if"]
    assert isinstance(read.nodes[1].attributes["then_branch"], onnx.GraphProto)


def test_generated_names_avoid_those_of_the_file() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"], name="Relu_0"),
    ]
    names = [n.name for n in read_model(model(nodes, [info("x", [1])], ["y"])).nodes]
    assert len(set(names)) == 2
    assert names[1] == "Relu_0"


def test_initializer_that_is_also_an_input_is_constant() -> None:
    w = numpy_helper.from_array(np.ones(1, np.float32), "w")
    node = helper.make_node("Add", ["x", "w"], ["y"])
    read = read_model(model([node], [info("x", [1]), info("w", [1])], ["y"], [w]))
    assert [v.name for v in read.inputs] == ["x"]


def test_domain_spelled_out_is_the_same() -> None:
    proto = relu([1])
    proto.opset_import[0].domain = "ai.onnx"
    read = read_model(proto)
    assert (read.nodes[0].domain, read.nodes[0].opset, read.opsets) == ("", 17, {"": 17})


def test_attributes_of_every_kind() -> None:
    tensor = numpy_helper.from_array(np.array([1, 2], np.int64))
    node = helper.make_node(
        "Foo", ["x"], ["y"], domain="d", i=3, f=0.5, s="text", ints=[1, 2], floats=[0.5, 1.0],
        strings=["a", "b"], t=tensor,
    )  # fmt: skip
    node.attribute.append(helper.make_attribute("tt", [tensor, tensor]))
    proto = model([node], [info("x", [1])], ["y"])
    proto.opset_import.append(helper.make_opsetid("d", 4))
    attributes = dict(read_model(proto).nodes[0].attributes)
    assert np.array_equal(attributes.pop("t"), [1, 2])  # type: ignore[arg-type]
    assert [list(a) for a in attributes.pop("tt")] == [[1, 2], [1, 2]]  # type: ignore[attr-defined]
    assert attributes == {
        "i": 3, "f": 0.5, "s": "text", "ints": (1, 2), "floats": (0.5, 1.0), "strings": ("a", "b"),
    }  # fmt: skip


# -- constants ---------------------------------------------------------------------------------

TYPES = [
    (TensorProto.FLOAT, [0.5, -2.0], np.float32),
    (TensorProto.DOUBLE, [0.5, -2.0], np.float64),
    (TensorProto.INT8, [-128, 127], np.int8),
    (TensorProto.UINT8, [0, 255], np.uint8),
    (TensorProto.INT16, [-32768, 32767], np.int16),
    (TensorProto.UINT16, [0, 65535], np.uint16),
    (TensorProto.INT32, [-(2**31), 2**31 - 1], np.int32),
    (TensorProto.UINT32, [0, 2**32 - 1], np.uint32),
    (TensorProto.INT64, [-(2**63), 2**63 - 1], np.int64),
    (TensorProto.UINT64, [0, 2**64 - 1], np.uint64),
    (TensorProto.BOOL, [0, 1], np.bool_),
    (TensorProto.FLOAT16, [0.5, -2.0], np.float16),
    (TensorProto.BFLOAT16, [0.5, -2.0], ml_dtypes.bfloat16),
    (TensorProto.FLOAT8E4M3FN, [0.5, -2.0, 448], ml_dtypes.float8_e4m3fn),
    (TensorProto.FLOAT8E4M3FNUZ, [0.5, -2.0, 240], ml_dtypes.float8_e4m3fnuz),
    (TensorProto.FLOAT8E5M2, [0.5, -2.0, 57344], ml_dtypes.float8_e5m2),
    (TensorProto.FLOAT8E5M2FNUZ, [0.5, -2.0, 57344], ml_dtypes.float8_e5m2fnuz),
    (TensorProto.FLOAT4E2M1, [0.5, -2.0, 6], ml_dtypes.float4_e2m1fn),
    (TensorProto.INT4, [-8, 7, 3], ml_dtypes.int4),
    (TensorProto.UINT4, [0, 15, 9], ml_dtypes.uint4),
    (TensorProto.INT2, [-2, 1, 0, -1, 1], ml_dtypes.int2),
    (TensorProto.UINT2, [0, 3, 1, 2, 3], ml_dtypes.uint2),
]


@pytest.mark.parametrize(("kind", "values", "dtype"), TYPES)
@pytest.mark.parametrize("raw", [False, True])
def test_constant_types(kind: int, values: list[float], dtype: type, raw: bool) -> None:
    tensor = helper.make_tensor("w", kind, [len(values)], values)
    if raw:
        exact = numpy_helper.to_array(tensor)
        tensor = numpy_helper.from_array(exact, "w")
        assert tensor.HasField("raw_data")
    array = read_model(with_constant(tensor)).initializers["w"]
    assert array.dtype == dtype
    assert array.tolist() == [dtype(v) for v in values]


def test_scalar_and_empty_constants() -> None:
    assert (
        read_model(with_constant(helper.make_tensor("w", TensorProto.FLOAT, [], [3.0])))
        .initializers["w"]
        .shape
        == ()
    )
    assert read_model(
        with_constant(helper.make_tensor("w", TensorProto.FLOAT, [0], []))
    ).initializers["w"].shape == (0,)


@pytest.mark.parametrize(
    "indices", [np.array([1, 5], np.int64), np.array([[0, 1], [1, 2]], np.int64)]
)
def test_sparse_constant_becomes_dense(indices: np.ndarray) -> None:
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("w", TensorProto.FLOAT, [2], [7.0, 9.0]),
        numpy_helper.from_array(indices),
        [2, 3],
    )
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], [info("x", [1])], ["y"])
    proto.graph.sparse_initializer.append(sparse)
    assert read_model(proto).initializers["w"].tolist() == [[0, 7, 0], [0, 0, 9]]


def test_string_constant_matters_only_where_it_is_computed_with() -> None:
    text = helper.make_tensor("labels", TensorProto.STRING, [2, 1], [b"cat", "Kätzchen".encode()])
    proto = relu([1])
    proto.graph.initializer.append(text)
    model = read_model(proto)
    assert model.initializers["labels"].tolist() == [["cat"], ["Kätzchen"]]
    import_onnx(model, Limits())
    with pytest.raises(UnsupportedFeature, match=r"'Add_0': 'labels' holds strings"):
        import_onnx(read_model(with_constant(text)), Limits())


def test_string_constant_of_another_length_is_refused() -> None:
    text = TensorProto(name="labels", data_type=TensorProto.STRING, dims=[2], string_data=[b"cat"])
    with pytest.raises(InvalidModel, match="holds 1 strings for the shape"):
        read_model(with_constant(text))


def test_constant_of_an_unknown_type_matters_only_where_it_is_read() -> None:
    number = helper.make_tensor("odd", TensorProto.COMPLEX64, [1], [1j])
    proto = relu([1])
    proto.graph.initializer.append(number)
    assert read_model(proto).initializers == {}
    with pytest.raises(UnsupportedFeature, match=r"'odd' has elements of type complex64.*'Add_0'"):
        read_model(with_constant(number))


def test_external_data(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"skip" + values.tobytes() + b"more")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "sub/w.bin"), ("offset", "4"), ("length", "24")):
        tensor.external_data.add(key=key, value=value)
    path = tmp_path / "m.onnx"
    path.write_bytes(with_constant(tensor).SerializeToString())
    assert read_model(path).initializers["w"].tolist() == values.reshape(2, 3).tolist()


# -- shapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        ([1, 3, 8], None, (1, 3, 8)),
        (["N", 3], None, (1, 3)),
        ([None, 3], None, (1, 3)),
        ([-1, 3], None, (1, 3)),
        ([], None, ()),
        (["N", 3], [5, 3], (5, 3)),
        ([1, "C", "H"], [1, 2, 4], (1, 2, 4)),
        (None, [1, 2], (1, 2)),
        (None, [], ()),
        (["N", 3], np.array([2, 3]), (2, 3)),
    ],
)
def test_input_shapes(declared: object, given: object, expected: tuple[int, ...]) -> None:
    shapes = None if given is None else {"x": given}
    assert read_model(relu(declared), shapes=shapes).inputs[0].shape == expected  # type: ignore[arg-type]


def test_a_symbol_has_one_size_everywhere() -> None:
    node = helper.make_node("Add", ["a", "b"], ["y"])
    proto = model([node], [info("a", ["N", "T"]), info("b", ["N", "T"])], ["y"])
    read = read_model(proto, shapes={"b": [3, 7]})
    assert [v.shape for v in read.inputs] == [(3, 7), (3, 7)]
    with pytest.raises(InvalidModel, match=r"'T'\) is given as 9, but the same symbol is 7"):
        read_model(proto, shapes={"a": [3, 7], "b": [3, 9]})


BAD_SHAPES = [
    ([1, 3, "height", 4], None, DynamicShape, r"axis 2 \('height'\).*--shape x=1,3,96,4"),
    ([1, None], None, DynamicShape, r"axis 1 has no fixed size.*--shape x=1,96"),
    (None, None, DynamicShape, r"'x' has no shape.*--shape x="),
    ([-5], None, InvalidModel, r"axis 0 has size -5"),
    ([1] * 17, None, InvalidModel, r"17 axes"),
    ([2**20, 2**20], None, InvalidModel, r"at most 268,435,456 elements"),
    ([2**62, 2**62], None, InvalidModel, r"elements are supported"),
    ([1, 3], {"x": [1, 3, 1]}, InvalidModel, r"2 axes, the given shape has 3"),
    ([1, 3], {"x": [1, 4]}, InvalidModel, r"axis 1 is 3 in the model, the given shape has 4"),
    ([1, 3], {"xx": [1, 3]}, DynamicShape, r"'xx', which the model does not have.*you mean 'x'"),
    ([1, "n"], {"x": [1, -1]}, DynamicShape, r"size below 0"),
    ([1, "n"], {"x": [1, 2.5]}, DynamicShape, r"not an integer"),
    ([1, "n"], {"x": [1, 2**70]}, InvalidModel, r"elements are supported"),
]


@pytest.mark.parametrize(("declared", "shapes", "error", "text"), BAD_SHAPES)
def test_bad_input_shapes(declared: object, shapes: object, error: type, text: str) -> None:
    proto = relu(declared)
    with pytest.raises(error, match=f"(?s){text}"):
        read_model(proto, shapes=shapes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (info("x", [1], TensorProto.STRING), "'x' has elements of type string"),
        (info("x", [1], TensorProto.COMPLEX64), "'x' has elements of type complex64"),
        (info("x", [1], 77), "number 77"),
        (helper.make_tensor_sequence_value_info("x", 1, [1]), "'x' is of type sequence"),
        (helper.make_sparse_tensor_value_info("x", 1, [1]), "'x' is of type sparse tensor"),
        (
            helper.make_value_info(
                "x", helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [1]))
            ),
            "'x' is of type optional",
        ),
    ],
)
def test_unsupported_inputs(value: onnx.ValueInfoProto, text: str) -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], [value], ["y"])
    with pytest.raises(UnsupportedFeature, match=f"(?s){text}"):
        read_model(proto)


# -- versions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [1, 6, 13, onnx.defs.onnx_opset_version()])
def test_opsets_that_are_read(opset: int) -> None:
    proto = relu([1])
    proto.opset_import[0].version = opset
    assert read_model(proto).nodes[0].opset == opset


@pytest.mark.parametrize("opset", [onnx.defs.onnx_opset_version() + 1, 2**62])
def test_opsets_that_are_not(opset: int) -> None:
    proto = relu([1])
    proto.opset_import[0].version = opset
    with pytest.raises(UnsupportedFeature, match=f"(?s)opset {opset} of ai.onnx.*hint"):
        read_model(proto)


def test_version_details() -> None:
    proto = relu([1])
    proto.opset_import.append(helper.make_opsetid("unused", 999))
    assert read_model(proto).opsets["unused"] == 999
    proto.opset_import.append(helper.make_opsetid("", 18))
    with pytest.raises(InvalidModel, match="two versions"):
        read_model(proto)
    del proto.opset_import[:]
    with pytest.raises(InvalidModel, match="imports no version"):
        read_model(proto)
    proto.ir_version = 2
    assert read_model(proto).nodes[0].opset == 1


def test_foreign_domain_needs_an_import() -> None:
    proto = model([helper.make_node("Foo", ["x"], ["y"], domain="d")], [info("x", [1])], ["y"])
    with pytest.raises(InvalidModel, match=r"\(Foo\) is of the domain 'd'"):
        read_model(proto)


# -- all models at hand ------------------------------------------------------------------------


@pytest.mark.skipif(not MODELS.is_dir(), reason="the model collection is not beside the repository")
def test_every_model_at_hand(record_property: Callable[[str, object], None]) -> None:
    paths = sorted(MODELS.glob("*.onnx"))
    assert paths
    slowest: tuple[float, str] = (0.0, "")
    begin = time.perf_counter()
    for path in paths:
        start = time.perf_counter()
        read = read_model(path)
        slowest = max(slowest, (time.perf_counter() - start, path.name))
        check(read)
    seconds = time.perf_counter() - begin
    record_property("models", len(paths))
    record_property("seconds", round(seconds, 3))
    record_property("slowest", f"{slowest[1]} {slowest[0]:.3f} s")


def check(read: OnnxModel) -> None:
    known = {"", *read.initializers, *(v.name for v in read.inputs)}
    for node in read.nodes:
        assert node.name
        assert known.issuperset(node.inputs), node
        known.update(node.outputs)
    assert known.issuperset(read.outputs)
