"""All passes together: the same numbers with any of them left out."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import graph, model, same_without
from quantized_texts import CONV, used

from nn2wasm.ir.check import check
from nn2wasm.ir.text import text as dump
from nn2wasm.passes import PIPELINE, PassOptions, run_passes

NEEDED = {"channels_last", "sign_bytes"}
"""Kernels rely on them."""
OPTIONAL = sorted({step.__name__ for step in PIPELINE} - NEEDED)
rng = np.random.default_rng(4)
FLOAT = """g (float[1,2,6,6] x) => (float[1,5] y) {
  p = Pad(x, pads)  c = Conv(p, v)  m = Mul(c, k)  a = Add(m, k)  r = Relu(a)
  g = GlobalAveragePool(r)  h = Flatten(g)  d = Gemm(h, e)  y = Softmax(d)
}"""
FLOATS = {
    "pads": np.int64([0, 0, 1, 1, 0, 0, 1, 1]),
    "v": rng.normal(size=(4, 2, 3, 3)).astype(np.float32),
    "k": rng.normal(size=(1, 4, 1, 1)).astype(np.float32),
    "e": rng.normal(size=(4, 5)).astype(np.float32),
}


@pytest.mark.parametrize("name", OPTIONAL)
def test_float_results_without_a_pass(name: str) -> None:
    same_without(name, model(FLOAT, **FLOATS), exact=False)


@pytest.mark.parametrize("name", sorted(set(OPTIONAL) - {"quantize_ops", "move_quantizers"}))
def test_integer_results_without_a_pass(name: str) -> None:
    same_without(name, model(CONV, **used(CONV)))


def test_the_dump_names_every_node() -> None:
    g = graph(FLOAT, **FLOATS)
    log = run_passes(g, PIPELINE, PassOptions())
    check(g, "all passes")
    assert [name for name, _ in log.entries] == [step.__name__ for step in PIPELINE]
    lines = dump(g).splitlines()
    assert lines[0] == "in  x:f32[1,2,6,6]"
    assert lines[-1].startswith("out ")
    assert len(lines) == len(g.nodes) + 2
    assert any("Conv(" in line and "*" in line for line in lines)


def test_a_second_run_changes_nothing() -> None:
    g = graph(CONV, **used(CONV))
    run_passes(g, PIPELINE, PassOptions())
    before = dump(g)
    run_passes(g, PIPELINE, PassOptions())
    assert dump(g) == before
