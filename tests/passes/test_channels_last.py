from __future__ import annotations

import numpy as np
import pytest
from cases import run
from graphs import graph, kinds, until
from graphs import model as built
from onnx.reference import ReferenceEvaluator

from nn2wasm.passes import channels_last

rng = np.random.default_rng(8)
W = rng.normal(size=(4, 2, 3, 3)).astype(np.float32)
W2 = rng.normal(size=(3, 4, 1, 1)).astype(np.float32)


def moves(text: str, **constants: np.ndarray) -> list[str]:
    g = graph(text, **constants)
    assert until(g, channels_last) > 0
    return [kind for kind in kinds(g) if kind not in ("Reshape",)]


def test_a_chain_has_one_transposition_at_each_end() -> None:
    text = (
        "g (float[1,2,6,6] x) => (float[1,3,4,4] y) { a = Conv(x, w)  b = Sigmoid(a)"
        "  c = Conv(b, v)  y = Neg(c) }"
    )
    assert moves(text, w=W, v=W2) == ["Transpose", "Conv", "Sigmoid", "Conv", "Neg", "Transpose"]


def test_a_channels_last_model_has_none() -> None:
    text = (
        "g (float[1,6,6,2] x) => (float[1,4,4,4] y) { t = Transpose<perm=[0,3,1,2]>(x)"
        "  a = Conv(t, w)  y = Transpose<perm=[0,2,3,1]>(a) }"
    )
    assert moves(text, w=W) == ["Conv"]


def test_one_channel_needs_none() -> None:
    text = """g (float[1,1,6,6] x) => (float[1,4] y) {
      a = Conv(x, w)  b = GlobalAveragePool(a)  y = Flatten(b) }"""
    assert moves(text, w=W[:, :1]) == ["Conv", "AveragePool"]


def test_the_weights_of_a_dense_layer_absorb_it() -> None:
    text = (
        "g (float[1,1,6,6] x) => (float[1,5] y) { a = Conv(x, w)  b = Flatten(a)  y = Gemm(b, d) }"
    )
    d = rng.normal(size=(64, 5)).astype(np.float32)
    assert moves(text, w=W[:, :1], d=d) == ["Conv", "Gemm"]


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_concatenation_and_a_residual(axis: int) -> None:
    text = f"""g (float[1,4,4,4] x) => (float[N,M,K,L] y) {{
      i = Conv(x, v)  a = Conv(i, u)  b = Conv(i, u)
      s = Add(a, b)  y = Concat<axis={axis}>(s, a) }}"""
    assert moves(text, v=W2, u=W2[:, :3]).count("Transpose") == 2


def test_values_are_those_of_the_model() -> None:
    text = """g (float[2,4,5,6] x) => (float[N,M] y) {
      a = Conv(x, v)  t = Transpose<perm=[0,3,1,2]>(a)
      m = MaxPool<kernel_shape=[2,2]>(t)  y = Flatten(m) }"""
    model = built(text, v=W2)
    x = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(run(model, {"x": x})["y"], expected, rtol=1e-5, atol=1e-5)


def test_constant_images_are_transposed_while_compiling() -> None:
    text = (
        "g (float[1,2,6,6] x) => (float[1,4,4,4] y) { a = Conv(i, w)  b = Conv(x, w)"
        "  y = Add(a, b) }"
    )
    image = rng.normal(size=(1, 2, 6, 6)).astype(np.float32)
    assert moves(text, w=W, i=image) == ["Conv", "Transpose", "Conv", "Add", "Transpose"]
    model, x = built(text, w=W, i=image), image[:, ::-1]
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(run(model, {"x": x})["y"], expected, rtol=1e-5, atol=1e-5)


def test_constants_beside_transposed_tensors_are_transposed_with_them() -> None:
    text = "g (float[1,2,6,6] x) => (float[1,4,4,9] y) { a = Conv(x, w)  y = Concat<axis=3>(a, i) }"
    image = rng.normal(size=(1, 4, 4, 5)).astype(np.float32)
    assert moves(text, w=W, i=image) == ["Transpose", "Conv", "Concat", "Transpose"]
    model, x = built(text, w=W, i=image), rng.normal(size=(1, 2, 6, 6)).astype(np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(run(model, {"x": x})["y"], expected, rtol=1e-5, atol=1e-5)
