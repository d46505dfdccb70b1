from __future__ import annotations

import numpy as np
import pytest
from graphs import apply, graph, kinds, model, same_without

from nn2wasm.ops.conv import Conv
from nn2wasm.passes import fuse_pad

W = np.random.default_rng(2).normal(size=(4, 2, 3, 3)).astype(np.float32)
TEXT = "g (float[1,2,6,6] x) => (float[1,4,N,M] y) { p = Pad(x, pads)  y = Conv(p, w) }"
PADS = np.int64([0, 0, 1, 2, 0, 0, 3, 4])


def test_zeros_around_an_image_join_the_convolution() -> None:
    g = graph(TEXT, w=W, pads=PADS)
    assert apply(g, fuse_pad) == 1
    op = g.nodes[0].op
    assert isinstance(op, Conv)
    assert (op.geometry.pad_begin, op.geometry.pad_end) == ((1, 2), (3, 4))
    same_without("fuse_pad", model(TEXT, w=W, pads=PADS))


def test_one_axis() -> None:
    text = "g (float[1,2,9] x) => (float[1,4,N] y) { p = Pad(x, pads)  y = Conv<pads=[1,0]>(p, w) }"
    constants = {"w": W[..., 0], "pads": np.int64([0, 0, 2, 0, 0, 1])}
    g = graph(text, **constants)
    assert apply(g, fuse_pad) == 1
    op = g.nodes[0].op
    assert isinstance(op, Conv)
    assert (op.geometry.pad_begin[1], op.geometry.pad_end[1]) == (3, 1)
    same_without("fuse_pad", model(text, **constants))


@pytest.mark.parametrize(
    ("text", "pads"),
    [
        (TEXT.replace("Pad(x, pads)", "Pad(x, pads, v)"), PADS),
        ("g (float[1,1,6,6] x) => (float[1,4,N,M] y) { p = Pad(x, pads)  y = Conv(p, w) }",
         np.int64([0, 1, 0, 0, 0, 0, 0, 0])),
        ("g (float[1,2,6,6] x) => (float[1,4,N,M] y, float[1,2,K,L] z) "
         "{ p = Pad(x, pads)  y = Conv(p, w)  z = Tanh(p) }", PADS),
        ("g (float[1,2,6,6] x) => (float[1,2,N,M] y) "
         "{ p = Pad(x, pads)  y = AveragePool<kernel_shape=[2,2]>(p) }", PADS),
    ],
    ids=["a value", "a channel", "another reader", "pooling"],
)  # fmt: skip
def test_does_not_apply(text: str, pads: np.ndarray) -> None:
    constants = (
        {"pads": pads}
        | ({"v": np.float32(1)} if ", v)" in text else {})
        | ({"w": W} if "w)" in text else {})
    )
    g = graph(text, **constants)
    before = kinds(g)
    assert apply(g, fuse_pad) == 0
    assert kinds(g) == before
