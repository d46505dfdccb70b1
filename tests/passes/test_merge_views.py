from __future__ import annotations

import numpy as np
from graphs import apply, graph, kinds, model, same_without

from nn2wasm.passes import drop_dead, merge_views

CHAIN = (
    "g (float[2,6] x) => (float[4,3] y) { a = Reshape(x, one)  b = Reshape(a, two)  y = Neg(b) }"
)
SHAPES = {"one": np.int64([12]), "two": np.int64([4, 3])}


def test_a_chain_of_views_is_one() -> None:
    g = graph(CHAIN, **SHAPES)
    assert apply(g, merge_views, drop_dead) >= 1
    assert kinds(g).count("Reshape") == 1
    same_without("merge_views", model(CHAIN, **SHAPES))


def test_nothing_to_merge() -> None:
    g = graph("g (float[2,6] x) => (float[2,6] y) { a = Exp(x)  y = Neg(a) }")
    assert apply(g, merge_views) == 0
