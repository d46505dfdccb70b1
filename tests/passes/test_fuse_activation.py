from __future__ import annotations

import numpy as np
import pytest
from graphs import apply, graph, kinds, model, same_without

from nn2wasm.ops.conv import Conv
from nn2wasm.passes import fuse_activation

W = np.random.default_rng(2).normal(size=(4, 2, 3, 3)).astype(np.float32)
HEAD = "g (float[1,2,6,6] x) => (float[1,4,4,4] y) { c = Conv(x, w)  "
ENDS = {"lo": np.float32(-0.25), "hi": np.float32(0.75)}


@pytest.mark.parametrize(
    ("rest", "bounds"),
    [
        ("y = Relu(c)", (0.0, np.inf)),
        ("y = Clip(c, lo, hi)", (-0.25, 0.75)),
        ("r = Relu(c)  y = Clip(r, lo, hi)", (0.0, 0.75)),
        ("r = Clip(c, lo, hi)  y = Relu(r)", (0.0, 0.75)),
    ],
)
def test_clamps_join_the_convolution(rest: str, bounds: tuple[float, float]) -> None:
    used = {
        name: value
        for name, value in ENDS.items()
        if name in rest.replace(",", " ").replace(")", " ").split()
    }
    g = graph(HEAD + rest + " }", w=W, **used)
    assert apply(g, fuse_activation) == rest.count("=")
    assert kinds(g) == ["Conv"]
    op = g.nodes[0].op
    assert isinstance(op, Conv)
    assert (op.lo, op.hi) == bounds
    same_without("fuse_activation", model(HEAD + rest + " }", w=W, **used))


def test_joins_a_sum() -> None:
    text = "g (float[2,3] a, float[2,3] b) => (float[2,3] y) { s = Add(a, b)  y = Relu(s) }"
    g = graph(text)
    assert apply(g, fuse_activation) == 1
    assert kinds(g) == ["Add"]
    same_without("fuse_activation", model(text))


@pytest.mark.parametrize(
    "rest", ["r = Relu(c)  y = Add(r, c)", "r = Relu(c)  t = Tanh(c)  y = Add(r, t)"]
)
def test_another_reader_needs_the_rest(rest: str) -> None:
    g = graph(HEAD + rest + " }", w=W)
    before = kinds(g)
    assert apply(g, fuse_activation) == 0
    assert kinds(g) == before


def test_an_output_keeps_its_values() -> None:
    g = graph("g (float[2] a) => (float[2] y, float[2] s) { s = Add(a, a)  y = Relu(s) }")
    assert apply(g, fuse_activation) == 0
