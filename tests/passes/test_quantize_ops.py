from __future__ import annotations

import numpy as np
import pytest
from graphs import apply, graph, kinds, model, same_without, until
from quantized_texts import CONV, between, used

from nn2wasm.ir import DType
from nn2wasm.passes import PIPELINE, quantize_ops


def test_a_convolution_between_quantizers_computes_on_integers() -> None:
    g = graph(CONV, **used(CONV))
    assert until(g, quantize_ops) == 1
    conv = next(node for node in g.nodes if node.op.kind == "Conv")
    assert [tensor.dtype for tensor in conv.present_inputs] == [DType.S8, DType.S8, DType.S32]
    assert conv.output.dtype is DType.S8
    assert conv.input(2).value.tolist() == used(CONV)["b"].tolist()


def test_without_a_quantizer_behind_it_gives_floats() -> None:
    text = (
        CONV.replace("=> (int8", "=> (float")
        .replace("y = Quant", "q = Quant")
        .replace("  c = Conv", "  y = Conv")
    )
    text = text.replace("  q = QuantizeLinear(c, s2, z2)\n", "")
    g = graph(text, **used(text))
    assert until(g, quantize_ops) == 1
    conv = next(node for node in g.nodes if node.op.kind == "Conv")
    assert (conv.input(0).dtype, conv.output.dtype) == (DType.S8, DType.F32)


def test_two_quantizers_alike_are_one() -> None:
    text = CONV.replace("}", "  t = QuantizeLinear(c, s2, z2) }").replace(
        "[1,4,4,4] y)", "[1,4,4,4] y, int8[1,4,4,4] t)"
    )
    g = graph(text, **used(text))
    assert until(g, quantize_ops) == 1
    assert kinds(g).count("Conv") == 1
    assert "Quantize" not in kinds(g)


WIDE = {"z": np.int16(3), "z2": np.int16(-7)}


def test_activations_may_have_16_bits() -> None:
    text = CONV.replace("int8[", "int16[")
    g = graph(text, **used(text) | WIDE)
    assert until(g, quantize_ops) == 1
    conv = next(node for node in g.nodes if node.op.kind == "Conv")
    assert [tensor.dtype for tensor in conv.present_inputs] == [DType.S16, DType.S8, DType.S32]
    assert conv.output.dtype is DType.S16


def test_a_bias_that_leaves_32_bits_has_64() -> None:
    text = CONV.replace("int8[", "int16[").replace("bf = DequantizeLinear<axis=0>(b, bs, bz)", "")
    text = text.replace("wf, bf", "wf, real")
    scales = {"s": np.float32(1e-6), "ws": np.float32([1e-7] * 4)}
    real = np.float32([3, -3, 0, 1e-4])
    g = graph(text, **used(text, real=real) | WIDE | scales)
    assert until(g, quantize_ops) == 1
    conv = next(node for node in g.nodes if node.op.kind == "Conv")
    assert conv.input(2).dtype is DType.S64
    unit = float(np.float32(1e-6) * np.float32(1e-7))
    np.testing.assert_allclose(conv.input(2).value * unit, real, rtol=1e-6)


def test_weights_beyond_16_bits_without_their_zero_point_stay_float() -> None:
    text = CONV.replace("int8[", "int16[")
    weights = used(CONV)["w"].astype(np.int16) * 255
    constants = used(text) | WIDE | {"w": weights, "wz": np.int16([0, 0, 0, 32000])}
    assert until(graph(text, **constants), quantize_ops) == 0
    same_without("quantize_ops", model(text, **constants))


def test_what_has_no_kernel_for_16_bits_stays_float() -> None:
    text = between("Softmax(f)", x="int16[1,2,6,6]", y="int16[1,2,6,6]", out="s2, z2")
    assert until(graph(text, **used(text) | WIDE), quantize_ops) == 0


@pytest.mark.parametrize("op", ["Add(f, f)", "Mul(f, f)", "GlobalAveragePool(f)", "Softmax(f)"])
def test_others_join(op: str) -> None:
    text = between(op, y="int8[1,2,1,1]" if "Pool" in op else "int8[1,2,6,6]", out="s2, z2")
    g = graph(text, **used(text))
    apply(g, *PIPELINE)
    assert "Dequantize" not in kinds(g)
    assert "Quantize" not in kinds(g)


def test_float_weights_stay_float() -> None:
    text = CONV.replace("  wf = DequantizeLinear<axis=0>(w, ws, wz)\n", "").replace(
        "xf, wf", "xf, v"
    )
    constants = used(text) | {"v": np.ones((4, 2, 3, 3), np.float32)}
    g = graph(text, **constants)
    assert until(g, quantize_ops) == 0
    same_without("quantize_ops", model(text, **constants))


def test_another_reader_of_the_floats_keeps_them() -> None:
    text = CONV.replace("}", "  t = Exp(c) }").replace(
        "[1,4,4,4] y)", "[1,4,4,4] y, float[1,4,4,4] t)"
    )
    g = graph(text, **used(text))
    until(g, quantize_ops)
    assert "Quantize" in kinds(g)
