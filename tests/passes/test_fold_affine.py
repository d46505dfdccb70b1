from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import apply, graph, kinds, model, same_without

from nn2wasm.passes import fold_affine

rng = np.random.default_rng(2)
W = rng.normal(size=(4, 2, 3, 3)).astype(np.float32)
EACH = rng.uniform(0.5, 2, (1, 4, 1, 1)).astype(np.float32)
HEAD = "g (float[1,2,6,6] x) => (float[1,4,4,4] y) "


def conv(rest: str) -> str:
    return HEAD + "{ c = Conv(x, w)  " + rest + " }"


FOLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "scale_and_shift": ("m = Mul(c, s)  y = Add(m, t)", {"s": EACH, "t": EACH}),
    "scalar": ("m = Mul(c, s)  y = Sub(m, t)", {"s": np.float32(2), "t": np.float32([0.5])}),
    "division": ("y = Div(c, s)", {"s": EACH}),
    "constant_first": ("y = Add(t, c)", {"t": EACH}),
}


@pytest.mark.parametrize("name", FOLDS)
def test_into_the_weights(name: str) -> None:
    rest, constants = FOLDS[name]
    g = graph(conv(rest), w=W, **constants)
    assert apply(g, fold_affine) >= 1
    assert kinds(g) == ["Conv"]
    same_without("fold_affine", model(conv(rest), w=W, **constants), exact=False)


def test_a_scale_reaches_the_bias() -> None:
    b = np.float32([1, 2, 3, 4])
    g = graph(HEAD + "{ c = Conv(x, w, b)  y = Mul(c, s) }", w=W, b=b, s=EACH)
    apply(g, fold_affine)
    np.testing.assert_allclose(g.nodes[0].input(2).value, b * EACH.reshape(-1))
    np.testing.assert_allclose(g.nodes[0].input(1).value, W * EACH.reshape(-1, 1, 1, 1), rtol=1e-6)


KEPT = {
    "one minus": ("y = Sub(t, c)", {"t": EACH}),
    "along the width": ("y = Mul(c, s)", {"s": np.float32([1, 2, 3, 4])}),
    "of higher rank": ("y = Mul(c, s)", {"s": np.ones((1, 4, 4, 4), np.float32)}),
    "another reader": ("m = Mul(c, s)  y = Add(m, c)", {"s": EACH}),
    "a clamp between": ("r = Relu(c)  y = Mul(r, s)", {"s": EACH}),
}


@pytest.mark.parametrize("name", KEPT)
def test_does_not_apply(name: str) -> None:
    rest, constants = KEPT[name]
    g = graph(conv(rest), w=W, **constants)
    before = kinds(g)
    assert apply(g, fold_affine) == 0
    assert kinds(g) == before
