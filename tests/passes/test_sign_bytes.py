from __future__ import annotations

import numpy as np
import pytest
from cases import in_onnxruntime, run
from graphs import graph, kinds, until
from onnx import numpy_helper, parser
from quantized_texts import CONV, used

from nn2wasm.ir import DType
from nn2wasm.passes import sign_bytes


def test_unsigned_bytes_become_signed_inside_the_network() -> None:
    text = CONV.replace("int8[", "uint8[")
    constants = used(text) | {"z": np.uint8(131), "z2": np.uint8(121)}
    g = graph(text, **constants)
    assert until(g, sign_bytes) > 0
    assert kinds(g)[0] == kinds(g)[-1] == "FlipSign"
    assert g.inputs[0].dtype is DType.U8
    assert g.outputs[0].dtype is DType.U8
    inside = [tensor for node in g.nodes[1:-1] for tensor in [*node.present_inputs, *node.outputs]]
    assert not [tensor for tensor in inside if tensor.dtype is DType.U8]
    dequantize = next(node for node in g.nodes if node.op.kind == "Dequantize")
    assert dequantize.input(0).quant is not None
    assert int(dequantize.input(0).quant.zero_point) == 3


def test_unsigned_integers_of_16_bits_become_signed() -> None:
    text = CONV.replace("int8[", "uint16[")
    constants = used(text) | {"z": np.uint16(32771), "z2": np.uint16(5)}
    g = graph(text, **constants)
    assert until(g, sign_bytes) > 0
    assert [node.op.kind for node in (g.nodes[0], g.nodes[-1])] == ["FlipSign", "FlipSign"]
    assert g.inputs[0].dtype is g.outputs[0].dtype is DType.U16
    dequantize = next(node for node in g.nodes if node.op.kind == "Dequantize")
    assert dequantize.input(0).dtype is DType.S16
    assert dequantize.input(0).quant is not None
    assert int(dequantize.input(0).quant.zero_point) == 3
    assert g.nodes[-1].input(0).dtype is DType.S16
    assert g.nodes[-1].input(0).quant is not None
    assert int(g.nodes[-1].input(0).quant.zero_point) == 5 - 32768


def test_weights_move_with_their_zero_point() -> None:
    text = CONV
    w = used(CONV)["w"].astype(np.int16) + 128
    constants = used(text) | {"w": w.astype(np.uint8), "wz": np.full(4, 130, np.uint8)}
    g = graph(text, **constants)
    until(g, sign_bytes)
    weights = next(t for t in g.constants() if t.shape == (4, 2, 3, 3))
    np.testing.assert_array_equal(weights.value, used(CONV)["w"])
    assert weights.quant is not None
    assert weights.quant.zero_point.tolist() == [2] * 4


def test_signed_networks_and_plain_bytes_stay() -> None:
    assert until(graph(CONV, **used(CONV)), sign_bytes) == 0
    plain = graph(
        "g (uint8[4] x) => (uint8[2,2] y) { y = Reshape(x, shape) }", shape=np.int64([2, 2])
    )
    assert until(plain, sign_bytes) == 0


MIXED = {
    "padded": "(float[3,8] x, uint8 v) => (uint8[3,10] y) "
    "{ q = QuantizeLinear (x, s, z) y = Pad (q, pads, v) }",
    "padded_real": "(float[3,8] x, uint8 v) => (float[3,10] y) "
    "{ q = QuantizeLinear (x, s, z) p = Pad (q, pads, v) y = DequantizeLinear (p, s, z) }",
    "padded_twice_read": "(float[3,8] x, uint8 v) => (float[3,10] y, float[3,8] u) "
    "{ q = QuantizeLinear (x, s, z) p = Pad (q, pads, v) y = DequantizeLinear (p, t, z) "
    "u = DequantizeLinear (q, s, z) }",
    "joined": "(float[3,8] x, uint8[3,2] v) => (uint8[3,10] y) "
    "{ q = QuantizeLinear (x, s, z) y = Concat <axis = 1> (q, v) }",
}


@pytest.mark.parametrize("name", MIXED)
def test_bytes_with_a_meaning_move_among_plain_ones(name: str) -> None:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {MIXED[name]}')
    values = {
        "s": np.float32(0.1), "t": np.float32(0.3), "z": np.uint8(100),
        "pads": np.int64([0, 1, 0, 1]),
    }  # fmt: skip
    for key, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), key))
    v = np.full((3, 2) if name == "joined" else (), 7, np.uint8)
    feeds = {"x": np.linspace(-9, 12, 24, dtype=np.float32).reshape(3, 8), "v": v}
    found = run(model, feeds)
    outputs = [output.name for output in model.graph.output]
    for key, expected in zip(outputs, in_onnxruntime(model, feeds), strict=True):
        np.testing.assert_array_equal(found[key], expected)
