"""Every quantized network of ../shared/models: the same bytes from every target and engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from engines import run_all_in, run_in_wasmtime, skip_without_relaxed
from networks import Built, Network, named

from nn2wasm.errors import RunError
from nn2wasm.toolchain import read_metadata

Builder = Callable[..., Built]
Outputs = list[Mapping[str, np.ndarray]]

QUANTIZED = named("*_int8_tflite", "*_ptq_*", "*_qat_*", without=())
SAMPLES = 2
TARGETS = ("wasm", "wasm-simd128", "wasm-simd128-cranelift", "wasm-relaxed")
RUNS = (
    ("wasm-simd128", "wasmtime"),
    ("wasm-simd128-cranelift", "wasmtime"),
    ("wasm-simd128", "node"),
    ("wasm-relaxed", "node"),
)


@pytest.mark.parametrize("network", QUANTIZED)
@pytest.mark.parametrize("targets", [TARGETS], ids=["all"])
def test_bytes(network: Network, targets: tuple[str, ...], built: Builder) -> None:
    modules = modules_of(network, targets, built)
    expected = outputs("wasmtime", network, modules["wasm"])
    for target, engine in RUNS:
        compare(f"{target} in {engine}", engine, network, modules[target], expected)


@pytest.mark.parametrize("network", QUANTIZED)
@pytest.mark.parametrize("targets", [("wasm-relaxed", "wasm-simd128", "wasm")], ids=["chromium"])
def test_bytes_in_chromium(network: Network, targets: tuple[str, ...], built: Builder) -> None:
    modules = modules_of(network, targets, built)
    expected = outputs("wasmtime", network, modules["wasm"])
    for target, module in modules.items():
        compare(f"{target} in chromium", "chromium", network, module, expected)


def modules_of(network: Network, targets: tuple[str, ...], built: Builder) -> dict[str, bytes]:
    return {target: built(network, target=target).module for target in targets}


def outputs(engine: str, network: Network, module: bytes) -> Outputs:
    names = [port["name"] for port in read_metadata(module)["inputs"]]
    feeds = [dict(zip(names, network.feeds(i), strict=True)) for i in range(SAMPLES)]
    if engine == "wasmtime":
        return [run_in_wasmtime(module, each) for each in feeds]
    return list(run_all_in(engine, [(module, each) for each in feeds]))


def compare(where: str, engine: str, network: Network, module: bytes, expected: Outputs) -> None:
    try:
        answers = outputs(engine, network, module)
    except RunError as problem:
        if "relaxed" in where:
            skip_without_relaxed(problem)
        raise
    for sample, (answer, want) in enumerate(zip(answers, expected, strict=True)):
        assert list(answer) == list(want)
        for name, array in want.items():
            at = f"{where}, sample {sample}, output {name!r}"
            assert answer[name].tobytes() == array.tobytes(), f"{at}: not the scalar's bytes"
