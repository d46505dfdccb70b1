"""Poolings, sums, products and changes of scale on integers of 16 bits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from tolerance import EXACT, ONE_STEP

from nn2wasm.api import Options, plan_model
from nn2wasm.codegen.environment import render_template
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.target import find_target

S8, U8, S16, U16 = np.int8, np.uint8, np.int16, np.uint16
WIDE = {"s16": S16, "u16": U16}
POOLS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "max": ("MaxPool", (1, 3, 6, 7), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "max_stride": ("MaxPool", (2, 5, 8, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "max_global": ("GlobalMaxPool", (1, 4, 5, 5), {}),
    "average": ("AveragePool", (1, 3, 6, 7), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "average_counted": (
        "AveragePool",
        (1, 4, 6, 6),
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "average_stride": ("AveragePool", (2, 9, 8, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "average_global": ("GlobalAveragePool", (1, 6, 7, 7), {}),
}


def quant(dtype: Any, scale: float = 1e-4) -> Quant:
    info = np.iinfo(dtype)
    middle = (int(info.max) + int(info.min) + 1) // 2
    return Quant(dtype, np.float32(scale), middle + int(rng.integers(-40, 40)))


def add_pools(bench: Bench) -> None:
    for label, dtype in WIDE.items():
        for name, (op, shape, attributes) in POOLS.items():
            x_quant = quant(dtype)
            same = op.endswith("MaxPool")
            y_quant = x_quant if same else quant(dtype, 0.6e-4)
            key = f"{name}_{label}"
            x = bench.dequantized(f"{key}_x", x_quant.integers(*shape), x_quant)
            bench.finish(key, bench.node(op, [x], f"{key}_pool", **attributes), y_quant, None)
    extreme = Quant(U16, np.float32(1e-4), 0)
    x = bench.dequantized("large_x", np.full((1, 2, 200, 200), 65535, U16), extreme)
    bench.finish("large", bench.node("GlobalAveragePool", [x], "large_pool"), extreme, None)


def add_pairs(bench: Bench) -> None:
    for label, dtype in WIDE.items():
        for op in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
            for shape in ((1, 4, 5, 6), (1, 4, 1, 1)):
                key = f"{op}_{label}_{shape[-1]}"
                quants = quant(dtype), quant(dtype, 2e-4)
                a = bench.dequantized(f"{key}_a", quants[0].integers(1, 4, 5, 6), quants[0])
                b = bench.dequantized(f"{key}_b", quants[1].integers(*shape), quants[1])
                real = bench.node(op, [a, b], f"{key}_op")
                if label == "s16":
                    real = bench.node("Relu", [real], f"{key}_relu")
                bench.finish(key, real, quant(dtype, 2e-4), None)
    constant = quant(S8, 0.01)
    a = bench.dequantized("bytes_a", quant(S16).integers(2, 7), quant(S16))
    b = bench.dequantized("bytes_b", constant.integers(7), constant, constant=True)
    bench.finish("bytes", bench.node("Add", [a, b], "bytes_op"), quant(S16, 2e-4), None)


def add_scales(bench: Bench) -> None:
    pairs = ((S16, S8), (S8, S16), (U16, U8), (U8, U16), (S16, S16), (U16, S16), (S16, U16))
    for before, after in pairs:
        scales = {1: 0.03, 2: 1e-4}
        x_quant = quant(before, scales[np.dtype(before).itemsize])
        y_quant = quant(after, scales[np.dtype(after).itemsize] * 0.7)
        for activation in ("", "Relu", "Clip"):
            key = f"{np.dtype(before).name}_{np.dtype(after).name}{activation}"
            real = bench.dequantized(f"{key}_x", x_quant.integers(3, 41), x_quant)
            bounds = [np.float32(-1), np.float32(0.9)] if activation == "Clip" else []
            ends = [bench.constant(f"{key}_{i}", bound) for i, bound in enumerate(bounds)]
            if activation:
                real = bench.node(activation, [real, *ends], f"{key}_f")
            bench.finish(key, real, y_quant, None)


BENCHES = {"pools": Bench(), "pairs": Bench(), "scales": Bench()}
add_pools(BENCHES["pools"])
add_pairs(BENCHES["pairs"])
add_scales(BENCHES["scales"])
ALL = [(key, name) for key, bench in BENCHES.items() for name in bench.names]


@pytest.mark.parametrize(("key", "name"), ALL)
@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "host", "cortex-m3"])
def test_as_in_floats(key: str, name: str, target: str) -> None:
    """What a kernel computes as its definition says, equals onnxruntime's; averages are within a
    step of it.
    """
    answer = BENCHES[key].answers(target)[name]
    near = ONE_STEP if key == "pools" else EXACT
    assert answer.result.dtype == answer.reference.dtype
    assert not (complaint := near(answer.result, answer.reference)), complaint


def test_nothing_passes_through_floats() -> None:
    for bench in BENCHES.values():
        plan = plan_model(bench.model(), find_target("wasm"), Options(name="cases")).plan
        for call in plan.calls:
            assert not isinstance(call.node.op, Quantize | Dequantize), call.node
            assert all(tensor.dtype.is_narrow for tensor in call.node.outputs)


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m3", "rv32imc"])
def test_no_float_where_there_is_no_fpu(target: str) -> None:
    """But in functions that have no form in integers."""
    for bench in BENCHES.values():
        plan = plan_model(bench.model(), find_target(target), Options(name="cases")).plan
        for call in plan.calls:
            text = render_template(
                call.choice.kernel.template, {"name": "kernel"} | call.lowering.context
            )
            in_floats = call.node.op.kind in ("Div", "Min", "Max")
            assert bool(re.search(r"\bfloat\b", text)) == in_floats, call.choice.kernel.symbol


def test_a_function_without_an_integer_form_is_computed_in_floats() -> None:
    bench = Bench()
    x = bench.dequantized("sigmoid_x", quant(S16, 3e-4).integers(3, 7), quant(S16, 3e-4))
    bench.finish("sigmoid", bench.node("Sigmoid", [x], "real"), quant(U16, 2**-16), None)
    answer = bench.answers()["sigmoid"]
    assert not (complaint := ONE_STEP(answer.result, answer.reference)), complaint
