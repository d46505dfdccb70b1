"""The forms that networks are measured in compute what the network does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from cases import in_onnxruntime
from forms import WEIGHTS_ONLY, with_weights
from onnx import numpy_helper, parser

NETWORK = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,8,6,6] x) => (float[1,64] y)
{
    c = Conv (x, k)
    f = Flatten (c)
    m = MatMul (f, w)
    y = Gemm <transB = 1> (m, v)
}"""
STEPS = {"float16": 1e-3, "int8": 0.02, "int4": 0.2}
"""How far results may be from those of floats, of their range."""


@pytest.mark.parametrize("form", WEIGHTS_ONLY)
def test_weights_are_those_of_the_network(form: str) -> None:
    rng = np.random.default_rng(8)
    model = parser.parse_model(NETWORK)
    for name, shape in {"k": (16, 8, 3, 3), "w": (256, 96), "v": (64, 96)}.items():
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    changed = with_weights(model, form)
    onnx.checker.check_model(changed)
    kinds = [node.op_type for node in changed.graph.node]
    stored = kinds.count("Cast") + kinds.count("DequantizeLinear")
    assert stored == (2 if form == "int4" else 3)
    feeds = {"x": rng.random((1, 8, 6, 6), np.float32)}
    (expected,), (found,) = (in_onnxruntime(each, feeds) for each in (model, changed))
    error = np.abs(found - expected).max() / np.ptp(expected)
    assert 0 < error < STEPS[form]
