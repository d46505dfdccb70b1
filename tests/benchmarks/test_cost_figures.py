"""Figures are found again in layers made of them; objects are read function by function."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cost_figures import (
    FunctionMeasured,
    LayerMeasured,
    NetworkMeasured,
    figures_of,
    fit_instructions,
)
from cost_objects import measure_object
from costs import PAGE, TABLE, table_text, with_errors

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.target import find_target

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.onnx"
TERMS = ("macs", "outputs", "inputs", "rows", "calls")


def layer(kind: str, instructions: float, **work: int) -> LayerMeasured:
    amounts = dict.fromkeys(TERMS, 0) | {"calls": 1} | work
    around = 20 if kind == "nn_shared" else None
    library = frozenset({"memcpy"})
    return LayerMeasured(kind, "window", amounts, round(instructions), around, 64, library)


def test_factors_are_found_again():
    dice = np.random.default_rng(3)
    layers = []
    for _ in range(12):
        outputs, depth, rows = (int(n) for n in dice.integers(1, [4000, 300, 6]))
        work = {"macs": outputs * depth, "outputs": outputs, "rows": outputs * rows, "inputs": 7}
        count = 2.5 * work["macs"] + 40 * outputs + 9 * work["rows"] + 300
        layers.append(layer("nn_conv", count, **work))
    factors = fit_instructions(layers)
    expected = {"macs": 2.5, "outputs": 40, "rows": 9}
    assert {term: factors[term] for term in expected} == pytest.approx(expected, rel=0.05)


def test_a_single_layer_is_told_by_its_products():
    product = fit_instructions([layer("nn_gemm", 3000, macs=1000, outputs=10)])
    assert product == pytest.approx({"macs": 3.0})
    table = fit_instructions([layer("nn_table", 500, outputs=100)])
    assert table == pytest.approx({"outputs": 5.0})


def test_no_factor_is_negative():
    layers = [layer("nn_gemm", 9000 - 8 * n, macs=10 * n, outputs=n) for n in range(1, 9)]
    assert all(factor >= 0 for factor in fit_instructions(layers).values())


def test_code_of_kernels_and_around_them():
    layers = [layer("nn_shared", 100, outputs=10), layer("nn_own", 100, outputs=10)]
    functions = [FunctionMeasured("nn_shared", 500), FunctionMeasured("nn_own", 320, "window")]
    network = NetworkMeasured("n", layers, functions, interface_bytes=16, run_bytes=16, run_stack=8)
    figures = figures_of([network], {"memcpy": 99}, "a core")
    assert figures["around"]["window"] == 20
    assert figures["kernels"]["nn_shared"]["code"] == 500
    assert figures["kernels"]["nn_own"]["code"] == 300
    assert figures["network"] == {"code": 16, "layer": 8.0}
    assert figures["kernels"]["nn_own"]["library"] == ["memcpy"]
    assert figures["run_stack"] == 8


def test_an_object_function_by_function(tmp_path):
    target = find_target("cortex-m3")
    compiled = plan_model(DIGITS, target, Options(name="network", optimize="speed"))
    made = measure_object(generate(compiled), target, tmp_path)
    layers = [name for name in made.sizes if name.startswith("network_0")]
    assert len(layers) == len(compiled.plan.calls)
    weights = compiled.plan.weight_bytes
    assert weights + sum(made.sizes[name] for name in layers) < made.total_bytes
    assert made.total_bytes < 2 * weights + 20_000
    assert all(made.frames[name] >= 0 for name in layers)
    assert any("__aeabi_fmul" in made.library[name] for name in layers)  # no FPU


def test_the_table_has_a_line_for_each_kernel():
    kernel = {"code": 1, "instructions": {"macs": 2.5}, "stack": 0, "library": ["memcpy"]}
    figures = {"kernels": {"nn_a": kernel, "nn_b": kernel}, "around": {"window": 1, "rows": 2}}
    table = {"targets": {"m": {"speed": figures}, "n": "m"}}
    text = table_text(table)
    assert json.loads(text) == table
    assert sum('"nn_' in line for line in text.splitlines()) == 2
    assert max(len(line) for line in text.splitlines()) > 60


def test_the_page_and_the_file_are_as_written():
    """Both come from one run of `make mcu-costs`."""
    text = TABLE.read_text(encoding="utf-8")
    table = json.loads(text)
    assert table_text(table) == text
    page = PAGE.read_text(encoding="utf-8")
    assert with_errors(page, table) == page
