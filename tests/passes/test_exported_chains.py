"""Chains of nodes that exporters and quantizers write, and what the pipeline leaves of them."""

from __future__ import annotations

import numpy as np
from cases import run
from graphs import graph, kinds, model, same_without, until
from onnx.reference import ReferenceEvaluator

from nn2wasm.passes import channels_last, tabulate

rng = np.random.default_rng(8)
W = rng.normal(size=(8, 2, 1, 1)).astype(np.float32)
V = rng.normal(size=(3, 8, 1, 1)).astype(np.float32)


def moves(text: str, **constants: np.ndarray) -> int:
    """Transposes that are left; the compiled model computes what the evaluator does."""
    g = graph(text, **constants)
    until(g, channels_last)
    built = model(text, **constants)
    x = rng.normal(size=(1, 2, 6, 4)).astype(np.float32)
    expected = ReferenceEvaluator(built).run(None, {"x": x})[0]
    np.testing.assert_allclose(run(built, {"x": x})["y"], expected, rtol=1e-5, atol=1e-5)
    return kinds(g).count("Transpose")


def test_a_function_of_a_sum_is_a_table() -> None:
    text = """g (int8[1,2,6,6] x, int8[1,2,6,6] t) => (int8[1,2,6,6] y) {
        a = DequantizeLinear(x, s, z)  b = DequantizeLinear(t, s, z)  sum = Add(a, b)
        q = QuantizeLinear(sum, s2, z)  f = DequantizeLinear(q, s2, z)  r = Relu(f)
        y = QuantizeLinear(r, s, z) }"""
    constants = {"s": np.float32(0.1), "s2": np.float32(0.15), "z": np.int8(3)}
    g = graph(text, **constants)
    assert until(g, tabulate) == 1
    same_without("tabulate", model(text, **constants))


def test_depth_to_space_behind_a_convolution_is_one_transposition() -> None:
    text = """g (float[1,2,6,4] x) => (float[1,2,12,8] y) {
        a = Conv(x, w)  y = DepthToSpace<blocksize=2, mode="CRD">(a) }"""
    assert moves(text, w=W) == 2  # with the one of the input


def test_shuffled_channels_between_convolutions_are_one_transposition() -> None:
    text = """g (float[1,2,6,4] x) => (float[1,3,6,4] y) {
        a = Conv(x, w)  b = Reshape(a, parts)  c = Transpose<perm=[0,2,1,3,4]>(b)
        d = Reshape(c, whole)  y = Conv(d, v) }"""
    parts, whole = np.asarray([1, 2, 4, 6, 4]), np.asarray([1, 8, 6, 4])
    assert moves(text, w=W, v=V, parts=parts, whole=whole) == 3


def test_an_image_of_one_pixel_does_not_stop_transpositions() -> None:
    text = """g (float[1,2,6,4] x) => (float[1,3,6,4] y) {
        a = Conv(x, w)  p = GlobalAveragePool(x)  b = Conv(p, w)
        c = Resize<mode="linear">(b, , , sizes)  d = Concat<axis=1>(a, c)  y = Conv(d, u) }"""
    u = rng.normal(size=(3, 16, 1, 1)).astype(np.float32)
    assert moves(text, w=W, u=u, sizes=np.asarray([1, 8, 6, 4])) == 2
