"""One module, every engine: the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from engines import ENGINES, JAVASCRIPT_ENGINES, run_all_in, run_in, run_native
from tiny_models import add_one, copy_of, counter, two_inputs

from nn2wasm.errors import RunError
from nn2wasm.ir.dtype import DType
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module, build_native

WASM = find_target("wasm")


@pytest.mark.parametrize("engine", ENGINES)
def test_two_floats(engine):
    feeds = {
        "first": np.array([0.1, 1e30, np.nan], np.float32),
        "second": np.array([0.2, -1e30, 1], np.float32),
    }
    tree = two_inputs()
    outputs = run_in(engine, build_module(tree, WASM), feeds)
    native = run_native(build_native(tree, find_target("host")), feeds)
    for name in ("sum", "difference"):
        np.testing.assert_array_equal(outputs[name], native[name])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", list(DType))
def test_every_element_type(engine, dtype):
    whole = dtype.value[0] in "su"
    low, high = (dtype.minimum, dtype.maximum) if whole else (0.5, 1)
    values = np.array([[low, high, 1]], dtype.numpy)
    module = build_module(copy_of(dtype.value, dtype.c_name, 1, 3), WASM)
    found = run_in(engine, module, {"x": values})["y"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("engine", JAVASCRIPT_ENGINES)
def test_many_runs_in_one_process(engine):
    module = build_module(add_one(), WASM)
    feeds = [{"x": np.full((1, 8), n, np.int8)} for n in range(5)]
    for n, outputs in enumerate(run_all_in(engine, [(module, f) for f in feeds], times=2)):
        assert outputs["y"].tolist() == [[n + 1] * 8]


@pytest.mark.parametrize("engine", JAVASCRIPT_ENGINES)
def test_errors_of_the_javascript_loader_arrive_here(engine):
    module = build_module(add_one(), WASM)
    with pytest.raises(RunError, match=r"RangeError: input 'x' \(s8 \[1, 8\]\): expected 8 values"):
        run_all_in(engine, [(module, {"x": np.zeros(9, np.int8)})])


@pytest.mark.parametrize("engine", JAVASCRIPT_ENGINES)
def test_a_module_that_forgets_nothing_is_found_out(engine):
    """The check of the check: what differs between runs is an error."""
    module = build_module(counter(), WASM)
    with pytest.raises(RunError, match="run 2 gives other bytes than the first"):
        run_all_in(engine, [(module, {"x": np.int32(0)})], times=3)
