from __future__ import annotations

import numpy as np
import pytest
from graphs import apply, graph, kinds, model, same_without

from nn2wasm.ops.distance import Distance
from nn2wasm.passes import fuse_distance

HEAD = "g (float[1,2,1,4] a, float[1,3,4] b) => (float[N,M,K,L] y)"
POINTS = np.random.default_rng(8).normal(size=(1, 3, 4)).astype(np.float32)
FUSED = {
    "ReduceSumSquare": "d = Sub (a, b) y = ReduceSumSquare (d, last)",
    "ReduceL2": "d = Sub (b, a) y = ReduceL2 (d, last)",
    "ReduceL1": "d = Sub (a, b) e = Abs (d) y = ReduceSum (e, last)",
}


@pytest.mark.parametrize("function", FUSED)
@pytest.mark.parametrize("constants", [{}, {"b": POINTS}], ids=["both", "one"])
def test_differences_of_all_pairs(function: str, constants: dict[str, np.ndarray]) -> None:
    text = f"{HEAD} {{ {FUSED[function]} }}"
    constants = constants | {"last": np.int64([3])}
    if "b" in constants:
        text = text.replace(", float[1,3,4] b", "")
    g = graph(text, **constants)
    assert apply(g, fuse_distance) == 1
    (node,) = g.nodes
    assert node.op == Distance(function, (3,))
    same_without("fuse_distance", model(text, **constants))


@pytest.mark.parametrize(
    "text",
    [
        "g (float[1,2,3,4] a, float[4] b) => (float[N,M,K,L] y) "
        "{ d = Sub (a, b) y = ReduceSumSquare (d, last) }",
        "g (float[2,1,4] a, float[3,4] b) => (float[N,M,K] y, float[2,3,4] z) "
        "{ d = Sub (a, b) y = ReduceSumSquare (d, last) z = Neg (d) }",
        "g (float[2,1,4] a, float[3,4] b) => (float[N,M,K] y) "
        "{ d = Add (a, b) y = ReduceSumSquare (d, last) }",
        "g (float[2,1,4] a, float[3,4] b) => (float[N,M,K] y) "
        "{ d = Sub (a, b) y = ReduceMax (d, last) }",
    ],
    ids=["no pairs", "another reader", "a sum", "a maximum"],
)
def test_does_not_apply(text: str) -> None:
    g = graph(text, last=np.int64([-1]))
    before = kinds(g)
    assert apply(g, fuse_distance) == 0
    assert kinds(g) == before
