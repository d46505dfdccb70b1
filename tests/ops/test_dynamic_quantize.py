"""Networks that are quantized while they run, as onnxruntime's quantizer writes them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from cases import Case, in_onnxruntime, refuse, run
from onnx import numpy_helper, parser
from onnxruntime.quantization import QuantType, quantize_dynamic

from nn2wasm.api import plan_model
from nn2wasm.errors import UnsupportedFeature
from nn2wasm.target import find_target

rng = np.random.default_rng(30)


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def quantized(x: np.ndarray) -> list[np.ndarray]:
    """q, scale and zero point in exact arithmetic but for the roundings to float32."""
    low, high = np.float32(min(0, x.min())), np.float32(max(0, x.max()))
    scale = np.float32((high - low) / np.float32(255)) or np.float32(1)
    zero = np.clip(np.rint(np.float32(-low / scale)), 0, 255)
    q = np.clip(np.rint(np.float32(x / scale)) + zero, 0, 255)
    return [q.astype(np.uint8), np.asarray(scale), np.asarray(zero, np.uint8)]


def alone(*sizes: int) -> onnx.ModelProto:
    """The operator, of a tensor of these sizes."""
    head = '<ir_version: 8, opset_import: ["" : 13]> g'
    shape = ",".join(map(str, sizes))
    return parser.parse_model(
        f"{head} (float[{shape}] x) => (uint8[{shape}] q, float s, uint8 z)"
        " { q, s, z = DynamicQuantizeLinear (x) }"
    )


INPUTS = {
    "both_signs": floats(4, 9),
    "positive": np.abs(floats(33)),
    "negative": -np.abs(floats(2, 3, 5)) - 7,
    "zeros": np.zeros((3, 3), np.float32),
    "ties": np.float32([0, 255, 0.5, 1.5, 2.5, 254.5, 127.5]),
    "tiny": np.float32([0, 1e-44, 3e-45]),
    "huge": np.float32([-1.5e38, 1.5e38, 0, 1]),
    "one": np.float32([3]),
    "vectors_of_ties": np.float32([-128, *np.arange(-60, 60) + 0.5, 127]),
    "vectors_of_negative": -np.abs(floats(5, 9)),
    "vectors_of_huge": np.float32([-1.5e38, 1.5e38] * 20),
}


@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "c"])
@pytest.mark.parametrize("name", INPUTS)
def test_integers_scale_and_zero_point(name: str, target: str) -> None:
    x = INPUTS[name]
    found = run(alone(*x.shape), {"x": x}, target)
    for port, expected in zip("qsz", quantized(x), strict=True):
        np.testing.assert_array_equal(found[port], expected)


NETWORK = """<ir_version: 8, opset_import: ["" : 17]> g (float[2,3,8,8] x) => (float[2,5] y)
{
    a = Conv <pads = [1,0,1,2], strides = [2,1]> (x, k, c)
    r = Relu (a)
    t = Transpose <perm = [0,2,3,1]> (r)
    m = MatMul (t, w)
    f = ReduceMean <axes = [1,2], keepdims = 0> (m)
    y = Gemm <transB = 1> (f, v, b)
}"""


@pytest.mark.parametrize("weights", [QuantType.QInt8, QuantType.QUInt8], ids=str)
@pytest.mark.parametrize("options", [{}, {"per_channel": True}, {"reduce_range": True}], ids=str)
def test_networks(weights: QuantType, options: dict[str, bool], tmp_path: Path) -> None:
    model = parser.parse_model(NETWORK)
    shapes = {"k": (6, 3, 3, 3), "c": (6,), "w": (6, 16), "v": (5, 16), "b": (5,)}
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(floats(*shape), name))
    onnx.save(model, tmp_path / "plain.onnx")
    quantize_dynamic(
        tmp_path / "plain.onnx",
        tmp_path / "quantized.onnx",
        weight_type=weights,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        **options,
    )
    made = onnx.load(tmp_path / "quantized.onnx")
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("DynamicQuantizeLinear") == 3
    feeds = {"x": floats(2, 3, 8, 8)}
    (expected,) = in_onnxruntime(made, feeds)
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=1e-4, atol=1e-5)
    steps = Counter(call.node.op.kind for call in plan_model(made, find_target("wasm")).plan.calls)
    assert steps["Conv"] == 1
    assert steps["Gemm"] == 2
    assert steps["Transpose"] == 1, "of the input: layers are channels last"
    assert not steps["Cast"] + steps["FlipSign"]


def test_constants_are_quantized_while_compiling() -> None:
    x = floats(3, 4)
    q, scale, zero = quantized(x)
    text = """<ir_version: 8, opset_import: ["" : 13]>
    g (float[3,4] b) => (uint8[3,4] q, float[3,4] y) {
      q, s, z = DynamicQuantizeLinear (x) t = Mul (b, s) y = Identity (t) }"""
    model = parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(x, "x"))
    found = run(model, {"b": x})
    np.testing.assert_array_equal(found["q"], q)
    np.testing.assert_array_equal(found["y"], x * scale)
    assert zero.shape == ()


def test_what_is_not_quantized() -> None:
    whole = [np.int32([1, 2])]
    refuse(UnsupportedFeature, Case("bad", "DynamicQuantizeLinear", {}, whole, outputs=3), "s32")


def test_numbers_that_are_none_become_zero() -> None:
    x = np.float32([np.nan, 1, 2])
    found = run(alone(3), {"x": x})
    np.testing.assert_array_equal(found["q"], [0, *quantized(x[1:])[0]])
