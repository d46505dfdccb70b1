"""Whole networks against the outputs that were recorded with onnxruntime, optimizations off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from networks import Built, Network, named, run_all
from tolerance import APPROX, CLOSE

Builder = Callable[..., Built]

QUANTIZED = named("*_int8_tflite", "*_ptq_qdq_*", "*_qat_qdq")
INTEGER = named("*_ptq_qop_*")
FLOAT = named("*_f32", "*_f32_*")
DENSE = ("ad_autoencoder*", "unet*", "hello_sine*")
"""Their outputs are images or numbers, not classes."""

ALIKE = {"unet_small_64_ptq_qdq_s8": 0.7}
"""Share of elements within one step, where it is not nearly all: one step before its sigmoid is
two behind.
"""

CLEAR_STEPS = 2
"""A sample whose best class leads by more output steps than this must keep its class."""

FLIPPED = {"mobilenet_v2_ptq_qdq_s8": {1}}
"""Clear samples whose class differs from the recorded one. The record was computed in floats;
onnxruntime's own integer kernels give this sample the very bytes that we give it.
"""


@pytest.mark.parametrize("network", INTEGER)
def test_qoperator_networks_give_the_recorded_bytes(network: Network, built: Builder) -> None:
    results = run_all(network, built(network).module)
    for result, expected in zip(results, network.outputs(), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("network", FLOAT)
def test_float_networks_are_close(network: Network, built: Builder) -> None:
    results = run_all(network, built(network).module)
    for result, expected in zip(results, network.outputs(), strict=True):
        assert not (complaint := CLOSE(result, expected)), complaint


def steps_between(result: np.ndarray, expected: np.ndarray, step: float) -> np.ndarray:
    distance = np.abs(result.astype(np.float64) - expected.astype(np.float64)) / step
    return np.rint(distance).astype(np.int64)


def describe(name: str, steps: np.ndarray, top: str) -> str:
    shares = " ".join(f"{np.mean(steps == n):9.4%}" for n in range(3))
    shares += f" {np.mean(steps > 2):9.4%}"
    return f"{name:38s} 0, 1, 2, more: {shares}  most {steps.max():3d}  {top}"


@pytest.mark.parametrize("network", QUANTIZED)
def test_quantized_networks_decide_alike(
    network: Network, built: Builder, record_property: Callable[[str, object], None]
) -> None:
    result, expected = run_all(network, built(network).module)[0], network.outputs()[0]
    step = network.step()
    assert step is not None, "the network's output is not quantized"
    steps = steps_between(result, expected, step)
    if network.name.startswith(tuple(name.rstrip("*") for name in DENSE)):
        record_property("differences", describe(network.name, steps, ""))
        assert np.mean(steps <= 1) >= ALIKE.get(network.name, 0.999)
        assert steps.max() <= max(CLEAR_STEPS, 2 * network.moved_steps())
        return
    rows = expected.reshape(len(expected), -1).astype(np.float64) / step
    same = rows.argmax(1) == result.reshape(len(expected), -1).argmax(1)
    best = np.sort(rows, axis=1)
    clear = best[:, -1] - best[:, -2] > CLEAR_STEPS
    top = f"top-1 {same.sum()} of {same.size}, clear {(same & clear).sum()} of {clear.sum()}"
    record_property("differences", describe(network.name, steps, top))
    assert set(np.flatnonzero(clear & ~same)) == FLIPPED.get(network.name, set()), top


@pytest.mark.parametrize("network", named("*_dynq"))
def test_networks_that_are_quantized_while_they_run(network: Network, built: Builder) -> None:
    result = run_all(network, built(network).module)
    for found, expected in zip(result, network.outputs(), strict=True):
        assert not (complaint := APPROX(found, expected)), complaint
