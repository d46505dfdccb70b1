"""quant/binary_forms.py: its definition is onnxruntime's, and most likely scales have a form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from nn2wasm.ir import DType, QuantParams
from nn2wasm.quant.arithmetic import dequantize, quantize
from nn2wasm.quant.binary_forms import BYTES, defined_table, find_integer_form

Pair = tuple[float, int]
FIRST, SECOND = np.meshgrid(BYTES, BYTES, indexing="ij")


def test_most_likely_scales_have_a_form() -> None:
    rng = np.random.default_rng(11)
    found = 0
    for _ in range(60):
        a, b, y = (
            (float(np.float32(rng.uniform(0.01, 0.2))), int(rng.integers(-128, 128)))
            for _ in range(3)
        )
        found += find_integer_form(np.add, 1, a, b, y, fused=False, unsigned=False) is not None
    assert found >= 48


def test_factors_nearby_serve_where_a_rounding_of_floats_decides() -> None:
    """Scales of a residual sum for which the nearest factors are wrong on one pair, at any
    precision.
    """
    pairs = [(0.0393935516, -128), (0.104194961, 4), (0.0509456731, -128)]
    a, b, y = ((float(np.float32(scale)), zero_point) for scale, zero_point in pairs)
    form = find_integer_form(np.add, 1, a, b, y, fused=False, unsigned=False)
    assert form is not None
    assert abs(form.a - a[0] / y[0] * 2**form.shift) > 0.5
    table = defined_table(np.add, a, b, y, fused=False, unsigned=False)
    integers = np.arange(-128, 128)
    assert np.array_equal(form.apply(integers[:, None], integers[None, :]), table)


@pytest.mark.parametrize("function", [np.add, np.subtract, np.multiply])
def test_the_definition_is_three_onnx_operators(function: Callable[..., np.ndarray]) -> None:
    a, b, y = (0.031, -5), (0.052, 100), (0.077, -128)
    one, two, three = (QuantParams.per_tensor(*pair) for pair in (a, b, y))
    real = function(dequantize(FIRST, one), dequantize(SECOND, two))
    expected = quantize(real, three, DType.S8)
    np.testing.assert_array_equal(
        defined_table(function, a, b, y, fused=False, unsigned=False), expected
    )


SUMS = [
    ((0.05, 3), (0.07, -9), (0.1, -20)),
    ((0.0235, -128), (0.0235, -128), (0.0235, -128)),
    ((0.5, 0), (0.25, 0), (1.0, 0)),
    ((0.011, 77), (0.3, -100), (0.2, 15)),
    ((0.0471, -12), (0.0389, 4), (0.0653, 127)),
]


def onnxruntime_add(a: Pair, b: Pair, y: Pair, dtype: type) -> np.ndarray:
    """QLinearAdd of all pairs, as s8 [256, 256]; pairs are those of s8."""
    shift = 128 if dtype is np.uint8 else 0
    names, constants = [], []
    for index, (scale, zero_point) in enumerate((a, b, y)):
        for kind, value in (("s", np.float32(scale)), ("z", dtype(zero_point + shift))):
            constants.append(numpy_helper.from_array(np.asarray(value), f"{kind}{index}"))
        names.append([f"s{index}", f"z{index}"])
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    node = helper.make_node(
        "QLinearAdd", ["a", *names[0], "b", *names[1], *names[2]], ["y"], domain="com.microsoft"
    )
    ports = [helper.make_tensor_value_info(name, code, [65536]) for name in ("a", "b", "y")]
    graph = helper.make_graph([node], "sum", ports[:2], ports[2:], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {
        "a": (FIRST.ravel() + shift).astype(dtype),
        "b": (SECOND.ravel() + shift).astype(dtype),
    }
    result = session.run(None, feeds)[0].astype(np.int64) - shift
    return result.astype(np.int8).reshape(256, 256)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("index", range(len(SUMS)))
def test_the_fused_definition_is_onnxruntimes_qlinearadd(index: int, dtype: type) -> None:
    a, b, y = SUMS[index]
    truth = defined_table(np.add, a, b, y, fused=True, unsigned=dtype is np.uint8)
    np.testing.assert_array_equal(truth, onnxruntime_add(a, b, y, dtype))


def test_random_scales_are_onnxruntimes_too() -> None:
    rng = np.random.default_rng(5)
    for _ in range(12):
        a, b, y = (
            (float(np.float32(rng.uniform(0.004, 0.3))), int(rng.integers(-128, 128)))
            for _ in range(3)
        )
        for dtype in (np.int8, np.uint8):
            truth = defined_table(np.add, a, b, y, fused=True, unsigned=dtype is np.uint8)
            result = onnxruntime_add(a, b, y, dtype)
            assert int((truth != result).sum()) == 0, (a, b, y, dtype)
