"""Optional values."""

from __future__ import annotations

import numpy as np
import pytest
from cases import run
from onnx import parser

from nn2wasm.errors import UnsupportedFeature

TEXT = '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => ({outputs}) {{ {body} }}'
X = np.float32([3, -4])


def answers(outputs: str, body: str) -> dict[str, np.ndarray]:
    return run(parser.parse_model(TEXT.format(outputs=outputs, body=body)), {"x": X})


def test_a_tensor_that_is_there() -> None:
    body = "o = Optional (x) h = OptionalHasElement (o) v = OptionalGetElement (o) y = Neg (v)"
    found = answers("float[2] y, bool h", body)
    assert (found["y"] == -X).all()
    assert found["h"]


def test_a_sequence_that_is_there() -> None:
    body = """s = SequenceConstruct (x, x) o = Optional (s) v = OptionalGetElement (o)
              y = ConcatFromSequence <axis = 0> (v)"""
    assert (answers("float[4] y", body)["y"] == [*X, *X]).all()


def test_a_value_that_is_not_there() -> None:
    found = answers("bool h, float[2] y", "h = OptionalHasElement () y = Neg (x)")
    assert not found["h"]
    with pytest.raises(UnsupportedFeature, match="not there"):
        answers("float[2] y", "o = Optional () v = OptionalGetElement (o) y = Neg (x)")
