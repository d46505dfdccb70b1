from __future__ import annotations

import numpy as np
import pytest
from graphs import apply, graph, kinds

from nn2wasm.errors import OverBudget
from nn2wasm.passes import fold_constants

TEXT = "g (float[2,3] x) => (float[2,3] y) { w = DequantizeLinear(q, s)  y = Add(x, w) }"
CONSTANTS = {"q": np.int8([[1, 2, 3]]), "s": np.float32(0.5)}


def test_weights_that_stay_floats_are_dequantized_at_compile_time() -> None:
    g = graph(TEXT, **CONSTANTS)
    assert kinds(g) == ["Dequantize", "Add"]
    assert apply(g, fold_constants) == 1
    assert kinds(g) == ["Add"]
    assert g.nodes[0].input(1).value.tolist() == [[0.5, 1, 1.5]]


def test_what_depends_on_an_input_stays() -> None:
    g = graph("g (float[2] x) => (float[2] y) { a = Exp(x)  y = Neg(a) }")
    assert apply(g, fold_constants) == 0


def test_a_constant_above_the_limit_is_refused() -> None:
    with pytest.raises(OverBudget, match="limit"):
        apply(graph(TEXT, **CONSTANTS), fold_constants, fold_elements=2)
