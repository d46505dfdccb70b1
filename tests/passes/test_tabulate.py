from __future__ import annotations

import numpy as np
import pytest
from graphs import graph, kinds, model, same_without, until
from quantized_texts import between, used

from nn2wasm.passes import tabulate

CHAINS = {
    "sigmoid": "Sigmoid(f)",
    "swish": "Mul(f, g)",
    "requantization": "Identity(f)",
    "scaled": "Mul(f, k)",
    "long": "Tanh(h)",
}
BEFORE = {"swish": "g = Sigmoid(f)  ", "long": "a = Exp(f)  h = Neg(a)  "}


def chain(name: str) -> str:
    text = between(CHAINS[name], y="int8[1,2,6,6]", out="s2, z2")
    return text.replace("r =", BEFORE.get(name, "") + "r =")


@pytest.mark.parametrize("name", CHAINS)
def test_a_function_of_one_byte_is_a_table(name: str) -> None:
    text = chain(name)
    constants = used(text, k=np.float32(0.3))
    g = graph(text, **constants)
    assert until(g, tabulate) == 1
    assert "Table" in kinds(g)
    assert "Quantize" not in kinds(g)
    same_without("tabulate", model(text, **constants), exact=name != "sigmoid")


@pytest.mark.parametrize(
    ("op", "more"),
    [("Add(f, v)", {"v": np.arange(6, dtype=np.float32)}), ("Softmax(f)", {}), ("Add(f, f2)", {})],
    ids=["a vector", "not elementwise", "two sources"],
)
def test_does_not_apply(op: str, more: dict[str, np.ndarray]) -> None:
    text = between(op, y="int8[1,2,6,6]", out="s2, z2")
    if "f2" in op:
        text = text.replace("6,6] x)", "6,6] x, int8[1,2,6,6] t)").replace(
            "r =", "f2 = DequantizeLinear(t, s2, z2)  r ="
        )
    g = graph(text, **used(text, **more))
    assert until(g, tabulate) == 0
