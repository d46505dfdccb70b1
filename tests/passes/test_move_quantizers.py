from __future__ import annotations

import numpy as np
import pytest
from graphs import apply, graph, kinds, model, same_without
from quantized_texts import between, used

from nn2wasm.passes import move_quantizers

MOVES = {
    "MaxPool": between("MaxPool<kernel_shape=[2,2]>(f)"),
    "Transpose": between("Transpose<perm=[0,2,3,1]>(f)", y="int8[1,6,6,2]"),
    "Reshape": between("Reshape(f, shape)", y="int8[2,36]"),
    "Slice": between("Slice(f, begin, end)", y="int8[1,1,6,6]"),
    "Pad": between("Pad(f, pads)", y="int8[1,2,8,6]"),
}
MORE = {
    "shape": np.int64([2, 36]),
    "begin": np.int64([0, 1]),
    "end": np.int64([1, 2]),
    "pads": np.int64([0, 0, 1, 0, 0, 0, 1, 0]),
}


@pytest.mark.parametrize("op", MOVES)
def test_what_only_moves_elements_moves_integers(op: str) -> None:
    text = MOVES[op]
    g = graph(text, **used(text, **MORE))
    assert kinds(g) == ["Dequantize", op, "Quantize"]
    assert apply(g, move_quantizers) >= 1
    assert "Quantize" not in kinds(g) or kinds(g).index("Quantize") < kinds(g).index(op)
    assert g.outputs[0].dtype.value == "s8"
    same_without("move_quantizers", model(text, **used(text, **MORE)))


def test_a_round_trip_is_nothing() -> None:
    text = (
        "g (int8[4] x) => (float[4] y) { f = DequantizeLinear(x, s, z)  q = QuantizeLinear(f, s, z)"
        "  y = DequantizeLinear(q, s2, z2) }"
    )
    g = graph(text, **used(text))
    assert apply(g, move_quantizers) >= 1
    assert "Quantize" not in kinds(g)


def test_another_scale_is_a_requantization_and_stays() -> None:
    text = between("Identity(f)", out="s2, z2").replace("int8[1,2,N,M]", "int8[1,2,6,6]")
    g = graph(text, **used(text))
    assert apply(g, move_quantizers) == 0
    assert kinds(g) == ["Dequantize", "Quantize"]


def test_concat_of_two_scales_stays_float() -> None:
    text = (
        "g (int8[2] x, int8[2] t) => (float[4] y) { f = DequantizeLinear(x, s, z)"
        "  h = DequantizeLinear(t, s2, z2)  y = Concat<axis=0>(f, h) }"
    )
    g = graph(text, **used(text))
    assert apply(g, move_quantizers) == 0


def test_a_pad_value_between_two_integers_stays_float() -> None:
    text = between("Pad(f, pads, v)", y="int8[1,2,8,6]")
    constants = used(text, **MORE, v=np.float32(0.06))
    g = graph(text, **constants)
    apply(g, move_quantizers)
    same_without("move_quantizers", model(text, **constants))
