from __future__ import annotations

from graphs import apply, graph, kinds

from nn2wasm.passes import drop_dead

TEXT = "g (float[2] x) => (float[2] y) { a = Exp(x)  b = Neg(a)  c = Abs(b)  y = Tanh(a) }"


def test_what_no_output_needs_goes() -> None:
    g = graph(TEXT)
    assert apply(g, drop_dead) == 2
    assert kinds(g) == ["Exp", "Tanh"]


def test_nothing_is_dead() -> None:
    g = graph("g (float[2] x) => (float[2] y, float[2] a) { a = Exp(x)  y = Tanh(a) }")
    assert apply(g, drop_dead) == 0
    assert kinds(g) == ["Exp", "Tanh"]
