from __future__ import annotations

import numpy as np
import pytest
from graphs import apply, graph, kinds, model, same_without, until
from quantized_texts import between, used

from nn2wasm.passes import PIPELINE, rescale

BYTES = {"z": np.int16(3), "z2": np.int8(-7)}


@pytest.mark.parametrize("function", ["Identity(f)", "Relu(f)", "Clip(f, low, high)"])
def test_a_change_of_type_is_one_node(function: str) -> None:
    text = between(function, x="int16[1,2,6,6]", y="int8[1,2,6,6]", out="s2, z2")
    constants = used(text, low=np.float32(-0.5), high=np.float32(1.5)) | BYTES
    g = graph(text, **constants)
    apply(g, *PIPELINE)
    assert kinds(g) == ["Rescale"]
    same_without("rescale", model(text, **constants))


def test_other_functions_stay_float() -> None:
    text = between("Sigmoid(f)", x="int16[1,2,6,6]", y="int8[1,2,6,6]", out="s2, z2")
    assert until(graph(text, **used(text) | BYTES), rescale) == 0
