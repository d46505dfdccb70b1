from __future__ import annotations

from graphs import graph, kinds, until
from quantized_texts import used

from nn2wasm.passes import strip_io

TEXT = """g (float[1,4] x) => (float[1,4] y) {
  q = QuantizeLinear(x, s, z)  f = DequantizeLinear(q, s, z)
  t = Sigmoid(f)  r = QuantizeLinear(t, s2, z2)  y = DequantizeLinear(r, s2, z2)
}"""


def test_the_border_becomes_integers() -> None:
    g = graph(TEXT, **used(TEXT))
    assert until(g, strip_io, io_integers=True) == 2
    assert [tensor.dtype.value for tensor in (*g.inputs, *g.outputs)] == ["s8", "s8"]
    assert g.inputs[0].name == "x"
    assert g.inputs[0].quant is not None
    assert int(g.inputs[0].quant.zero_point) == 3
    assert kinds(g) == ["Table"]


def test_only_where_it_is_asked_for() -> None:
    g = graph(TEXT, **used(TEXT))
    assert until(g, strip_io) == 0
    assert g.inputs[0].dtype.value == "f32"


def test_an_input_that_is_read_as_float_stays() -> None:
    text = TEXT.replace("}", "  u = Exp(x) }").replace("[1,4] y)", "[1,4] y, float[1,4] u)")
    g = graph(text, **used(text))
    until(g, strip_io, io_integers=True)
    assert g.inputs[0].dtype.value == "f32"
    assert g.outputs[1].dtype.value == "f32"
