"""Bytes that mean harm, or mean nothing: one clear line each, quickly, and never a traceback."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import time
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper, parser

from nn2wasm.api import plan_model
from nn2wasm.errors import InvalidModel, Nn2wasmError, UnsupportedFeature
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_model import read_model
from nn2wasm.target import find_target


def info(name: str, shape: object = None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(text: str, head: str = '<ir_version: 8, opset_import: ["" : 17]>') -> onnx.ModelProto:
    return parser.parse_model(f"{head} g {text}")


def with_constant(**fields: object) -> onnx.ModelProto:
    proto = model("(float[1] x) => (float[N] y) { y = Add (x, w) }")
    proto.graph.initializer.append(TensorProto(name="w", **fields))
    return proto


def tensor(**fields: object) -> dict[str, object]:
    """Fields of a TensorProto."""
    return fields


def refused(source: object, text: str, error: type = InvalidModel, **options: object) -> None:
    """Reading fails with this text, as one clear message, in seconds."""
    start = time.perf_counter()
    with pytest.raises(error, match=f"(?s){text}") as caught:
        read_model(source, **options)  # type: ignore[arg-type]
    assert type(caught.value) is error
    assert "\n" not in caught.value.message
    assert time.perf_counter() - start < 10


def length_delimited(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


HEAD = b"\x08\x08\x42\x02\x10\x11"  # ir_version 8, opset 17
GRAPH = 7
OUTPUT = length_delimited(12, length_delimited(1, b"y"))

# -- files that are something else -------------------------------------------------------------


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return buffer.getvalue()


FILES = {
    "empty": (b"", "is empty"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "is a Git LFS pointer.*git lfs pull",
    ),
    "zip": (zip_bytes(), "is a zip archive.*torch.onnx.export"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "is an HDF5 file.*tf2onnx"),
    "tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 100, "not a TensorFlow Lite model: it is damaged"),
    "wasm": (b"\0asm\x01\0\0\0", "is a WebAssembly module"),
    "gzip": (gzip.compress(b"x" * 100), "is a gzip archive.*unpack"),
    "pickle": (pickle.dumps({"a": 1}), "is a Python pickle"),
    "old pickle": (pickle.dumps({"a": 1}, 2), "is a Python pickle"),
    "html": (b"<!DOCTYPE html>\n<html><body>404 not found</body></html>", "is an HTML or XML page"),
    "json": (b'{"error": "not found"}', "is JSON text"),
    "readme": ("# Model\n\nA model for naïve users …\n".encode() * 50, "is text, not an ONNX"),
    "spaces": (b"\n\n\n", "not an ONNX model"),
    "zeros": (b"\0" * 1000, "not an ONNX model"),
    "random": (random.Random(1).randbytes(1000), "not an ONNX model"),
    "no graph": (b"\x08\x08", "it has no graph"),
    "nothing in it": (HEAD + length_delimited(GRAPH, b""), "neither nodes nor outputs"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_something_else(name: str, tmp_path: Path) -> None:
    data, text = FILES[name]
    path = tmp_path / "thing.onnx"
    path.write_bytes(data)
    refused(path, f"thing.onnx.*{text}")
    refused(data, f"model \\(bytes\\).*{text}")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.onnx", "nowhere.onnx' does not exist")
    refused(tmp_path, "is a folder")
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    refused(tmp_path, "is a folder.*SavedModel")
    refused("a\0b", "cannot be read")
    refused("x" * 5000, "cannot be read")
    if os.path.exists("/dev/zero"):
        refused("/dev/zero", "is a device or a pipe")


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.onnx"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(2**32)  # sparse: takes no space
    refused(path, "is a zip archive")
    with path.open("r+b") as file:
        file.write(b"\x08\x08\x08\x08")
    refused(path, r"4,294,967,296 bytes; models are read up to 2,147,483,647")
    refused(b"x" * 11, "11 bytes; models are read up to 10", limits=Limits(model_bytes=10))


def test_messages_show_hostile_names_harmlessly(tmp_path: Path) -> None:
    proto = model("(float[1] x) => (float[1] y) { y = Neg (q) }")
    proto.graph.node[0].input[0] = "\x1b[2J\n" + "q" * 10_000
    with pytest.raises(InvalidModel) as caught:
        read_model(proto)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


# -- damaged protobuf --------------------------------------------------------------------------

BASE = """(float[1, 4] x, float[N] b) => (float[1, 2] y)
<float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, int64[2] s = {1, 2}>
{
    m = MatMul (x, w)
    k = Constant <value = float[1] {0.5}> ()
    r = LeakyRelu <alpha = 0.5> (m)
    t = Add (r, k)
    f = f.twice <alpha = 0.25> (t)
    c = Cast <to = 9> (b)
    i = If (c) <
        then_branch = a () => (float p) { p = Identity (f) },
        else_branch = e () => (float q) { q = Neg (f) }
    >
    y = Reshape (i, s)
}
<domain: "f", opset_import: ["" : 17]>
twice <alpha: float = 0.5> (x) => (y) { t = LeakyRelu<alpha: float = @alpha> (x) y = Neg (t) }
"""


def base() -> bytes:
    proto = model(BASE, '<ir_version: 10, opset_import: ["" : 17, "f" : 1]>')
    raw = numpy_helper.from_array(np.ones(3, np.float16), "raw")
    proto.graph.initializer.append(raw)
    data = bytes(proto.SerializeToString())
    assert len(read_model(data).nodes) == 9
    return data


def survives(data: bytes, what: str) -> bool:
    """True where the model was read; any error but ours is a failure."""
    try:
        read_model(data)
    except Nn2wasmError:
        return False
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    return True


def test_every_truncation_ends_well() -> None:
    data = base()
    read = [survives(data[:end], f"first {end} bytes") for end in range(len(data))]
    assert not all(read)


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_ends_well(seed: int) -> None:
    rng = random.Random(seed)
    data = base()
    for round_ in range(500):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5])):
            position = rng.randrange(len(damaged))
            action = rng.randrange(4)
            if action == 0:
                damaged[position] ^= 1 << rng.randrange(8)
            elif action == 1:
                damaged[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
            elif action == 2:
                del damaged[position : position + rng.randrange(1, 9)]
            else:
                damaged[position:position] = rng.randbytes(rng.randrange(1, 9))
        survives(bytes(damaged), f"seed {seed}, round {round_}")


@pytest.mark.parametrize("seed", range(2))
def test_random_bytes_end_well(seed: int) -> None:
    rng = random.Random(seed)
    for round_ in range(300):
        size = rng.choice([1, 3, 8, 30, 300, 3000])
        survives(rng.randbytes(size), f"seed {seed}, round {round_}")
        survives(HEAD + length_delimited(GRAPH, rng.randbytes(size)), f"graph {seed} {round_}")


def test_names_that_are_not_utf8() -> None:
    node = length_delimited(4, b"Relu") + length_delimited(3, b"\xff\xfe")
    refused(HEAD + length_delimited(GRAPH, length_delimited(1, node) + OUTPUT), "is not UTF-8 text")
    proto = model("(float[1] x) => (float[1] y) { y = Neg (x) }")
    free = proto.SerializeToString() + length_delimited(6, b"\xff doc string")
    assert len(read_model(free).nodes) == 1


EMPTY = b"\x00"
FLOODS = {
    "nodes": b"\x0a\x00" * 10_000_000,
    "inputs of a node": length_delimited(1, b"\x0a\x00" * 10_000_000),
    "nodes after a group": b"\x9b\x06\x9c\x06" + b"\x0a\x00" * 10_000_000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_of_empty_messages(name: str) -> None:
    data = HEAD + length_delimited(GRAPH, FLOODS[name] + OUTPUT)
    refused(data, "more than 4,000,000 strings and messages")


@pytest.mark.parametrize("tag", [b"\x0a", b"\x2a", b"\x5a", b"\x62", b"\x6a", b"\x7a"])
def test_smaller_floods(tag: bytes) -> None:
    survives(HEAD + length_delimited(GRAPH, (tag + b"\x00") * 200_000 + OUTPUT), f"tag {tag!r}")


def test_numbers_in_runs_are_no_flood() -> None:
    floats = length_delimited(5, length_delimited(1, b"f") + b"\x3d\0\0\x80\x3f" * 5_000_000)
    node = length_delimited(4, b"Neg") + length_delimited(2, b"y") + floats + b""
    start = time.perf_counter()
    read = read_model(HEAD + length_delimited(GRAPH, length_delimited(1, node) + OUTPUT))
    assert len(read.nodes[0].attributes["f"]) == 5_000_000  # type: ignore[arg-type]
    assert time.perf_counter() - start < 10


# -- nesting -----------------------------------------------------------------------------------


def nested(depth: int, width: int = 1) -> onnx.ModelProto:
    """If inside If; each level shares nothing, so the file grows with width ** depth."""
    proto = model("(float[1] x) => (float[1] y) { y = Neg (x) }")
    level = [proto.graph.node.add(op_type="If", input=["x"], output=["unused"])]
    for _ in range(depth):
        inner = []
        for node in level:
            for number in range(width):
                attribute = node.attribute.add(name=f"b{number}", type=AttributeProto.GRAPH)
                attribute.g.output.add(name="x")
                inner.append(attribute.g.node.add(op_type="If", input=["x"], output=["z"]))
        level = inner
    return proto


def test_nested_subgraphs() -> None:
    assert len(read_model(nested(20)).nodes) == 2
    refused(nested(40), "nested deeper than 32 levels")
    refused(nested(6), "nested deeper than 5 levels", limits=Limits(depth=5))
    refused(nested(12, 2), "more than 5,000 nodes", limits=Limits(node_count=5_000))
    deep = b""
    for _ in range(2000):
        deep = length_delimited(1, length_delimited(5, length_delimited(6, deep)))
    refused(HEAD + length_delimited(GRAPH, deep), "cut short or damaged")


def test_node_count() -> None:
    proto = model("(float[1] x) => (float[1] y) {" + "y = Neg (x) " * 50 + "}")
    refused(proto, "more than 49 nodes", limits=Limits(node_count=49))


# -- names and order ---------------------------------------------------------------------------

GRAPHS = [
    ("(float[1] x) => (float[1] y) { y = Neg (q) }", r"'Neg_0' \(Neg\) reads 'q', which nothing"),
    ("(float[1] x) => (float[1] z) { y = Neg (x) }", "graph output 'z' is something that nothing"),
    (
        "(float[1] x) => (float[1] y) { y = Add (a, b) z = Add (c, d) u = Add (e, f) }",
        "reads 'a'.*also.*'b'.*'c'.*'d'",
    ),
    ("(float[1] x) => (float[1] y) { y = Neg (x) y = Abs (x) }", "'y', which node 'Neg_0'.*too"),
    ("(float[1] x) => (float[1] y) { y, y = Split (x) }", "writes 'y'.*writes too"),
    ("(float[1] x) => (float[1] y) { x = Neg (x) y = Neg (x) }", "'x', which is already a graph i"),
    ("(float[1] x) => (float[1] w) <float w = {1}> { w = Neg (x) }", "already an initializer"),
    (
        "(float[1] x) => (float[1] y) { y = Neg (y) }",
        r"'Neg_0' \(Neg\) reads its own result.*cycle",
    ),
    (
        "(float[1] x) => (float[1] y)"
        "{ t = Neg (x) a = Add (t, c) b = Neg (a) c = Neg (b) y = Abs (c) }",
        r"cycle  node 'Add_1' \(Add\) → node 'Neg_2' \(Neg\) → node 'Neg_3' \(Neg\)",
    ),
    ("(float[1] x) => () { y = Neg (x) }", "its graph has no outputs"),
    ("(float[1] x, float[1] x) => (float[1] y) { y = Neg (x) }", "two graph inputs 'x'"),
    ("(float[1] x) => (float[1] y, float[1] y) { y = Neg (x) }", "two graph outputs 'y'"),
]


@pytest.mark.parametrize(("text", "message"), GRAPHS)
def test_broken_graphs(text: str, message: str) -> None:
    refused(model(text), message)


def test_broken_nodes() -> None:
    proto = model("(float[1] x) => (float[1] y) { y = Elu <alpha = 0.5> (x) }")
    node = proto.graph.node[0]
    node.attribute.append(node.attribute[0])
    refused(proto, "two attributes of the same name")
    node.attribute[1].name = ""
    refused(proto, "or one without")
    node.attribute[1].name = "b"
    node.attribute[1].type = 0
    node.attribute[1].ClearField("f")
    refused(proto, r"attribute 'b' of node 'Elu_0' \(Elu\) has no type")
    node.op_type = ""
    refused(proto, "has no operator type")


def test_doubled_and_unnamed_initializers() -> None:
    proto = with_constant(data_type=1, dims=[1], float_data=[1])
    proto.graph.initializer.append(proto.graph.initializer[0])
    refused(proto, "two initializers 'w'")
    proto.graph.initializer[1].name = ""
    refused(proto, "initializer has no name")


def test_a_long_chain_needs_no_stack() -> None:
    nodes = [helper.make_node("Neg", [f"t{i}"], [f"t{i + 1}"]) for i in range(20_000)]
    graph = helper.make_graph(nodes[::-1], "g", [info("t0", [1])], [info("t20000")])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert len(read_model(proto).nodes) == 20_000
    graph.node[0].output[0] = "end"
    proto.graph.node[0].input[0] = "t20000"
    proto.graph.node[-1].input[0] = "t20000"
    refused(proto, "cycle")


# -- tensors -----------------------------------------------------------------------------------

F32 = TensorProto.FLOAT
TENSORS = [
    (tensor(data_type=F32, dims=[3], raw_data=b"\0" * 11), "holds 11 bytes.*needs 12"),
    (tensor(data_type=F32, dims=[3], float_data=[1.0]), r"holds 1 elements.*needs 3"),
    (tensor(data_type=F32, dims=[3]), "holds 0 elements"),
    (tensor(data_type=F32, dims=[1], int32_data=[1]), "float elements in the field int32_data"),
    (tensor(data_type=F32, dims=[1], float_data=[1], raw_data=b"1234"), "values twice"),
    (tensor(data_type=F32, dims=[-1], raw_data=b""), "negative size"),
    (tensor(data_type=F32, dims=[2**31, 2**33], raw_data=b""), "at most 268,435,456 elements"),
    (tensor(data_type=F32, dims=[2**32, 2**32], raw_data=b""), "at most 268,435,456 elements"),
    (tensor(data_type=F32, dims=[0, 2**62, 2**62], raw_data=b""), "at most 268,435,456 elements"),
    (tensor(data_type=F32, dims=[2**63 - 1], raw_data=b""), "at most 268,435,456 elements"),
    (tensor(data_type=F32, dims=[2**28], raw_data=b""), "exceed 1,073,741,824|holds 0 bytes"),
    (
        tensor(data_type=TensorProto.DOUBLE, dims=[2**28], raw_data=b""),
        "exceed 1,073,741,824 bytes",
    ),
    (tensor(data_type=F32, dims=[1] * 17, raw_data=b"1234"), "17 axes; at most 16"),
    (tensor(data_type=F32, dims=[1] * 100_000, raw_data=b"1234"), "100,000 axes"),
    (tensor(data_type=0, dims=[1], raw_data=b"1"), "has no element type"),
    (tensor(data_type=TensorProto.UINT8, dims=[1], int32_data=[256]), "outside the range of uint8"),
    (tensor(data_type=TensorProto.INT8, dims=[1], int32_data=[-129]), "outside the range of int8"),
    (tensor(data_type=TensorProto.INT4, dims=[3], raw_data=b"1"), "holds 1 bytes.*needs 2"),
    (tensor(data_type=TensorProto.INT4, dims=[3], int32_data=[1]), "holds 1 elements"),
]


@pytest.mark.parametrize(("fields", "text"), TENSORS)
def test_bad_tensors(fields: dict[str, object], text: str) -> None:
    refused(with_constant(**fields), f"{text}")
    # The same tensor as an attribute.
    proto = model("(float[1] x) => (float[1] y) { y = Foo (x) }")
    attribute = proto.graph.node[0].attribute.add(name="value", type=AttributeProto.TENSOR)
    attribute.t.CopyFrom(TensorProto(**fields))
    refused(proto, f"'value'.*({text})|constants ({text})")


@pytest.mark.parametrize("kind", [TensorProto.COMPLEX64, TensorProto.COMPLEX128, 99])
def test_element_types_without_arithmetic(kind: int) -> None:
    proto = with_constant(data_type=kind, dims=[0])
    refused(proto, "'w' has elements of type.*'Add_0'", UnsupportedFeature)
    proto.graph.node[0].input[1] = "x"
    assert read_model(proto).initializers == {}


SPARSE = [
    ([1.0], np.array([6], np.int64), [2, 3], "not ascending within"),
    ([1.0], np.array([-1], np.int64), [2, 3], "not ascending within"),
    ([1.0, 2.0], np.array([3, 1], np.int64), [2, 3], "not ascending"),
    ([1.0, 2.0], np.array([1, 1], np.int64), [2, 3], "not ascending"),
    ([1.0], np.array([[2, 0]], np.int64), [2, 3], "outside"),
    ([1.0], np.array([[0, 0, 0]], np.int64), [2, 3], "do not fit"),
    ([1.0], np.array([1, 2], np.int64), [2, 3], "do not fit"),
    ([1.0], np.array([1], np.int32), [2, 3], "malformed"),
    ([1.0], np.array([1], np.int64), [2**20, 2**5], "33,554,432 elements when dense"),
    ([1.0], np.array([1], np.int64), [2**40, 2**40], "at most"),
]


@pytest.mark.parametrize(("values", "indices", "dims", "text"), SPARSE)
def test_bad_sparse_tensors(
    values: list[float], indices: np.ndarray, dims: list[int], text: str
) -> None:
    proto = model("(float[1] x) => (float[N] y) { y = Add (x, w) }")
    sparse = proto.graph.sparse_initializer.add(dims=dims)
    sparse.values.CopyFrom(helper.make_tensor("w", F32, [len(values)], values))
    sparse.indices.CopyFrom(numpy_helper.from_array(indices))
    refused(proto, text)


def test_many_dense_tensors_from_few_bytes() -> None:
    proto = model("(float[1] x) => (float[1] y) { y = Neg (x) }")
    for number in range(20):
        sparse = proto.graph.sparse_initializer.add(dims=[2**24])
        sparse.values.CopyFrom(helper.make_tensor(f"w{number}", F32, [1], [1.0]))
        sparse.indices.CopyFrom(numpy_helper.from_array(np.array([5], np.int64)))
    refused(proto, "exceed 1,073,741,824 bytes")


# -- external data -----------------------------------------------------------------------------


def external(folder: Path, **entries: str) -> Path:
    proto = with_constant(data_type=F32, dims=[2])
    initializer = proto.graph.initializer[0]
    initializer.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        initializer.external_data.add(key=key, value=value)
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with data; beside it a file that a model must not read."""
    (tmp_path / "secret").write_bytes(b"\0" * 100)
    inside = tmp_path / "model"
    inside.mkdir()
    (inside / "w.bin").write_bytes(b"\0" * 8)
    return inside


ESCAPES = [
    "../secret",
    "a/../../secret",
    "/etc/passwd",
    "..\\secret",
    "C:\\x",
    "C:x",
    "\\x",
    "",
    "..",
]


@pytest.mark.parametrize("location", ESCAPES)
def test_external_paths_that_escape(folder: Path, location: str) -> None:
    refused(external(folder, location=location), "is not a path inside the model's folder")


def test_external_symlinks(folder: Path) -> None:
    (folder / "link").symlink_to("../secret")
    refused(external(folder, location="link"), "leaves the model's folder through a symbolic link")
    (folder / "up").symlink_to("..")
    refused(external(folder, location="up/secret"), "leaves the model's folder")
    (folder / "loop").symlink_to("loop")
    refused(external(folder, location="loop"), "cannot be read|does not exist|is not a file")
    (folder / "inside").symlink_to("w.bin")
    assert read_model(external(folder, location="inside")).initializers["w"].tolist() == [0, 0]


EXTERNAL = [
    ({"location": "none.bin"}, "'none.bin' does not exist.*copy it beside"),
    ({"location": "."}, "is not a file"),
    ({"location": "w.bin", "offset": "1"}, "has 8 bytes, but bytes 1 to 9"),
    ({"location": "w.bin", "offset": "9999999999999999999"}, "has 8 bytes, but"),
    ({"location": "w.bin", "offset": "-1"}, "offset '-1' of its external data is not a number"),
    ({"location": "w.bin", "offset": "1e3"}, "is not a number"),
    ({"location": "w.bin", "offset": "٣"}, "is not a number"),
    ({"location": "w.bin", "offset": "9" * 5000}, "is not a number"),
    ({"location": "w.bin", "length": "7"}, "7 bytes of external data, but .* need 8"),
    ({"location": "x" * 5000}, "cannot be read"),
]


@pytest.mark.parametrize(("entries", "text"), EXTERNAL)
def test_bad_external_data(folder: Path, entries: dict[str, str], text: str) -> None:
    refused(external(folder, **entries), f"initializer 'w'.*{text}")


def test_external_data_without_a_file_or_of_a_pipe(folder: Path) -> None:
    path = external(folder, location="w.bin")
    refused(path.read_bytes(), "the model was not given as a file")
    refused(onnx.load(path, load_external_data=False), "the model was not given as a file")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        refused(external(folder, location="pipe"), "is not a file")


def test_external_entries_given_twice_or_in_no_encoding(folder: Path) -> None:
    path = external(folder, location="w.bin")
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].external_data.add(key="location", value="other")
    path.write_bytes(proto.SerializeToString())
    refused(path, "'location' twice")
    path.write_bytes(external(folder, location="w.bin").read_bytes().replace(b"w.bin", b"w.bi\xff"))
    refused(path, "text that is not UTF-8")


@pytest.mark.parametrize("kind", [AttributeProto.INT, AttributeProto.INTS, AttributeProto.TENSOR])
def test_attributes_that_hold_a_value_of_another_type(kind: int) -> None:
    proto = model("(float[2] x) => (float[2] y) { y = LeakyRelu <alpha: float = 0.5> (x) }")
    proto.graph.node[0].attribute[0].type = kind  # type: ignore[assignment]
    name = AttributeProto.AttributeType.Name(kind)
    refused_plan(proto, f"'alpha' of .*says that it is {name}, and holds a value of type FLOAT")


def test_attributes_with_values_of_two_types() -> None:
    proto = model("(float[2] x) => (float[2] y) { y = LeakyRelu <alpha: float = 0.5> (x) }")
    proto.graph.node[0].attribute[0].i = 3
    refused_plan(proto, "says that it is FLOAT, and holds a value of type INT")


def test_attributes_filled_up_with_zeros_are_read() -> None:
    proto = model("(float[2] x) => (float[2] y) { y = LeakyRelu <alpha: float = 0.5> (x) }")
    attribute = proto.graph.node[0].attribute[0]
    attribute.i, attribute.s = 0, b""
    plan_model(proto.SerializeToString(), find_target("wasm"))


def refused_plan(proto: onnx.ModelProto, text: str) -> None:
    with pytest.raises(InvalidModel, match=text):
        plan_model(proto.SerializeToString(), find_target("wasm"))
