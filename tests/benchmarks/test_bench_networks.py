"""What the benchmarks do to models before anybody runs them."""

from __future__ import annotations

import numpy as np
import pytest
from lowered import Unsupported, activation, explicit_padding, padding
from onnx import TensorProto, checker, helper, numpy_helper

from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.spatial import Geometry

networks = pytest.importorskip("bench_networks", reason="needs onnxruntime")


def classifier(classes: int):
    """x [1, 4] through a Gemm with a quantized matrix."""
    constants = {
        "w": np.arange(classes * 4, dtype=np.int8).reshape(classes, 4),
        "w_scale": np.full(classes, 0.5, np.float32),
        "w_zero": np.zeros(classes, np.int8),
        "b": np.arange(classes, dtype=np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], axis=0),
        helper.make_node("Gemm", ["x", "wd", "b"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_head_keeps_its_first_classes():
    model = classifier(5)
    networks.keep_classes(model, 2)
    checker.check_model(model, full_check=True)
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert {name: array.shape for name, array in arrays.items()} == {
        "w": (2, 4),
        "w_scale": (2,),
        "w_zero": (2,),
        "b": (2,),
    }
    assert arrays["w"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_borders_become_float():
    shape = [1, 2, 3]
    scale = numpy_helper.from_array(np.float32(0.5), "scale")
    zero = numpy_helper.from_array(np.int8(3), "zero")
    nodes = [
        helper.make_node("Transpose", ["q"], ["t"], perm=[0, 2, 1]),
        helper.make_node("DequantizeLinear", ["t", "scale", "zero"], ["r"]),
        helper.make_node("Relu", ["r"], ["s"]),
        helper.make_node("QuantizeLinear", ["s", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "integers",
        [helper.make_tensor_value_info("q", TensorProto.INT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [1, 3, 2])],
        [scale, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    networks.float_borders(model)
    checker.check_model(model, full_check=True)
    values = [*model.graph.input, *model.graph.output]
    assert {value.type.tensor_type.elem_type for value in values} == {TensorProto.FLOAT}
    assert [node.op_type for node in model.graph.node][0::5] == [
        "QuantizeLinear",
        "DequantizeLinear",
    ]


def image(height: int, width: int) -> Tensor:
    return Tensor("t", DType.F32, (1, height, width, 1))


def square(stride: int, begin: int, end: int) -> Geometry:
    pads = {"pad_begin": (begin, begin), "pad_end": (end, end)}
    return Geometry(rank=2, kernel=(3, 3), stride=(stride, stride), **pads)


@pytest.mark.parametrize(
    ("stride", "begin", "end", "size", "out", "expected"),
    [
        (1, 1, 1, 8, 8, "SAME"),
        (2, 0, 1, 8, 4, "SAME"),
        (2, 1, 1, 9, 5, "SAME"),
        (2, 1, 1, 8, 4, None),  # as torch pads: in front, where TensorFlow pads behind
        (1, 0, 0, 8, 6, "VALID"),
        (2, 0, 1, 9, 4, "VALID"),  # the last column is never read
    ],
)
def test_kinds_of_padding(stride, begin, end, size, out, expected):
    geometry = square(stride, begin, end)
    assert padding(geometry, image(size, size), image(out, out)) == expected


def test_explicit_padding_is_what_windows_touch():
    pads = explicit_padding(square(2, 1, 1), image(8, 8), image(4, 4))
    assert pads == [[0, 0], [1, 0], [1, 0], [0, 0]]


def test_a_clamp_without_a_name_is_refused():
    assert activation(0.0, 6.0) == "RELU6"
    with pytest.raises(Unsupported, match=r"0\.0\.\.1\.0"):
        activation(0.0, 1.0)
