"""float16, bfloat16, float8, integers of 2 and 4 bits: computed in float32, stored as they are."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from cases import Case, compare, in_onnxruntime, refuse, run
from engines import run_in_node
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from tolerance import EXACT

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.errors import UnsupportedFeature
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact

rng = np.random.default_rng(16)
HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
NETWORK = """<ir_version: 10, opset_import: ["" : 21]>
g (TYPE[1,2,8,8] x) => (TYPE[1,3] y, TYPE[1,8,8,2] z)
{
    a = Conv <pads = [1,1,1,1]> (x, w, b)
    c = Relu (a)
    d = GlobalAveragePool (c)
    e = Flatten (d)
    y = Softmax (e)
    z = Transpose <perm = [0,2,3,1]> (x)
}"""


def network(kind: str) -> tuple[onnx.ModelProto, np.ndarray]:
    model = parser.parse_model(NETWORK.replace("TYPE", kind))
    dtype = HALVES[kind]
    for name, shape in (("w", (3, 2, 3, 3)), ("b", (3,))):
        values = rng.normal(size=shape).astype(dtype)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model, rng.normal(size=(1, 2, 8, 8)).astype(dtype)


@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "c"])
@pytest.mark.parametrize("kind", HALVES)
def test_networks_of_halves(kind: str, target: str) -> None:
    model, x = network(kind)
    found = run(model, {"x": x}, target)
    wide = parser.parse_model(NETWORK.replace("TYPE", "float"))
    wide.graph.initializer.extend(
        numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float32), t.name)
        for t in model.graph.initializer
    )
    y, z = in_onnxruntime(wide, {"x": x.astype(np.float32)})
    assert found["y"].dtype == found["z"].dtype == HALVES[kind]
    step = 2.0**-11 if kind == "float16" else 2.0**-8  # of one rounding, at the end
    np.testing.assert_allclose(found["y"].astype(np.float32), y, rtol=step, atol=1e-6)
    np.testing.assert_array_equal(found["z"].astype(np.float32), z)


def test_halves_are_moved_as_they_are_and_rounded_once() -> None:
    model, _ = network("float16")
    plan = plan_model(model, find_target("wasm"), Options(name="g")).plan
    kinds = [call.node.op.kind for call in plan.calls]
    assert kinds.count("Cast") == 2  # of the input that is convolved, and of the result
    (transpose,) = (call.node for call in plan.calls if "z" in call.node.output.name)
    assert transpose.input(0).dtype.value == "f16"


def test_tables_of_halves_are_stored_in_two_bytes() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]> g (int64[3] i) => (float16[3,8] y)
    { y = Gather (table, i) }"""
    model = parser.parse_model(text)
    table = rng.normal(size=(50, 8)).astype(np.float16)
    model.graph.initializer.append(numpy_helper.from_array(table, "table"))
    plan = plan_model(model, find_target("wasm"), Options(name="g")).plan
    assert plan.weight_bytes == table.nbytes
    indices = np.int64([4, 0, 49])
    assert (run(model, {"i": indices})["y"] == table[indices]).all()


@pytest.mark.parametrize("kind", HALVES)
def test_halves_in_javascript(kind: str) -> None:
    model, x = network(kind)
    target = find_target("wasm")
    compiled = plan_model(model, target, Options(name="g"))
    module = build_artifact(generate(compiled), compiled.plan.target)
    found = run_in_node(module, {"x": x})
    for name, values in run(model, {"x": x}).items():
        np.testing.assert_array_equal(found[name], values)


# -- quantizers ------------------------------------------------------------------------------------

HEAD = '<ir_version: 11, opset_import: ["" : 25]> g '
X = (rng.normal(size=(4, 6)) * 9).astype(np.float32)


def quantizer(text: str, **constants: Any) -> onnx.ModelProto:
    model = parser.parse_model(HEAD + text)
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return model


NARROW = {
    "int4": ml_dtypes.int4,
    "uint4": ml_dtypes.uint4,
    "int2": ml_dtypes.int2,
    "uint2": ml_dtypes.uint2,
    "float8e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8e5m2": ml_dtypes.float8_e5m2,
    "float4e2m1": ml_dtypes.float4_e2m1fn,
}


@pytest.mark.parametrize("blocked", [False, True], ids=["one scale", "blocks"])
@pytest.mark.parametrize("kind", NARROW)
def test_there_and_back(kind: str, blocked: bool) -> None:
    dtype = NARROW[kind]
    shape = (4, 2) if blocked else ()
    attributes = "<axis = 1, block_size = 3>" if blocked else ""
    model = quantizer(
        f"(float[4,6] x) => ({kind}[4,6] q, float[4,6] y)"
        f"{{ q = QuantizeLinear {attributes} (x, s, z)"
        f"   y = DequantizeLinear {attributes} (q, s, z) }}",
        s=rng.uniform(0.5, 4, shape).astype(np.float32),
        z=np.ones(shape, dtype)
        if kind.endswith(("4", "2")) and "float" not in kind
        else np.zeros(shape, dtype),
    )
    q, y = ReferenceEvaluator(model).run(None, {"x": X})
    found = run(model, {"x": X})
    assert found["q"].dtype == dtype
    np.testing.assert_array_equal(found["q"].astype(np.float32), q.astype(np.float32))
    np.testing.assert_array_equal(found["y"], y)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_scales_computed_at_run_time(dtype: type) -> None:
    kind = np.dtype(dtype).name
    model = quantizer(
        f"(float[4,6] x, float[6] s, {kind}[6] z) => ({kind}[4,6] q, float[4,6] y)"
        "{ q = QuantizeLinear <axis = 1> (x, s, z) y = DequantizeLinear <axis = 1> (q, s, z) }"
    )
    feeds = {
        "x": X,
        "s": rng.uniform(0.02, 0.1, 6).astype(np.float32),
        "z": rng.integers(3, 9, 6).astype(dtype),
    }
    q, y = ReferenceEvaluator(model).run(None, feeds)
    found = run(model, feeds)
    np.testing.assert_array_equal(found["q"], q)
    np.testing.assert_array_equal(found["y"], y)


def test_arithmetic_of_tiny_floats_is_refused() -> None:
    x = np.zeros(3, ml_dtypes.float8_e5m2)
    refuse(UnsupportedFeature, Case("bad", "Neg", {}, [x], opset=21), "type f8e5m2")


def test_casts_to_narrow_integers_take_the_low_bits() -> None:
    x = np.int32([-9, -8, 7, 8, 255, 16])
    case = Case("low", "Cast", {"to": onnx.TensorProto.INT4}, [x], opset=21, tolerance=EXACT,
                reference=x.astype(ml_dtypes.int4))  # fmt: skip
    compare(case, [case])
