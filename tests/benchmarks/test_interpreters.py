"""The layers and loops that interpreters are measured on."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("wasm3", reason="pywasm3 is not installed")

from engines import run_in_wasm3
from interpreter_layers import LAYERS, Layer
from interpreters import INTERP, Contender, build, measure, plain_loops

from nn2wasm.api import plan_model


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_is_one_kernel_for_interpreters(layer: Layer) -> None:
    (call,) = plan_model(layer.model(), INTERP).plan.calls
    assert "interp" in call.choice.kernel.needs


@pytest.mark.parametrize("layer", LAYERS[::5], ids=lambda layer: layer.name)
def test_both_contenders_answer_alike(layer: Layer) -> None:
    interp, scalar = build(layer.model())
    assert not any("interp" in c.choice.kernel.needs for c in scalar.compiled.plan.calls)
    shape = interp.compiled.plan.graph.inputs[0].shape
    feeds = {"x": np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)}
    answers = [run_in_wasm3(built.module, feeds)["y"] for built in (interp, scalar)]
    assert answers[0].tobytes() == answers[1].tobytes()
    assert len(np.unique(answers[0])) > 10


def test_plain_loops_run_every_layer() -> None:
    find = plain_loops()
    for layer in LAYERS:
        name, arguments = layer.plain
        find(name)(*arguments)


def test_the_best_of_all_rounds_counts() -> None:
    calls: list[int] = []
    contender = Contender(lambda: calls.append(1), macs=10)
    measure([contender], 3)
    assert len(calls) == 3
    assert 0 < contender.nanoseconds < float("inf")
