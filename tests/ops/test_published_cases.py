"""The onnx package's own cases of recurrent networks, loops, branches and sequences."""

from __future__ import annotations

import functools
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cases import run
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import DynamicShape, UnsupportedFeature
from nn2wasm.target import find_target

COMPILED = (
    *(f"test_{cell}_{kind}" for cell in ("lstm", "gru", "simple_rnn")
      for kind in ("defaults", "with_initial_bias", "batchwise", "reverse", "bidirectional")),
    "test_lstm_with_peepholes", "test_gru_seq_length", "test_rnn_seq_length", "test_if",
    "test_scan_sum", "test_scan9_sum", "test_scan9_multi_state", "test_scan9_scalar",
    "test_linear_attention_delta_expanded", "test_linear_attention_gated_expanded",
    *(f"test_sequence_model{number}" for number in range(1, 8)),
)  # fmt: skip
REFUSED = {
    "test_loop11": (DynamicShape, "trip count is computed at run time"),
    "test_loop13_seq": (UnsupportedFeature, "of type sequence"),
    "test_if_seq": (UnsupportedFeature, "branches that give sequences"),
    "test_sequence_model8": (DynamicShape, "split is computed at run time"),
    "test_split_to_sequence_nokeepdims": (UnsupportedFeature, "a sequence of 6 tensors"),
}


@functools.cache
def published() -> dict[str, Any]:
    """The cases by name; making them takes some seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [*load_model_tests(kind="node"), *load_model_tests(kind="simple")]
    wanted = {*COMPILED, *REFUSED}
    return {case.name: case for case in cases if case.name in wanted}


def model_of(name: str) -> onnx.ModelProto:
    case = published()[name]
    return case.model or onnx.load(Path(case.model_dir) / "model.onnx")


def data_of(name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and outputs."""
    case = published()[name]
    if case.data_sets is not None:
        inputs, outputs = case.data_sets[0]
        return inputs, outputs
    folder = Path(case.model_dir) / "test_data_set_0"
    found: dict[str, list[np.ndarray]] = {"input": [], "output": []}
    for kind, arrays in found.items():
        files = folder.glob(f"{kind}_*.pb")
        for path in sorted(files, key=lambda file: int(re.findall(r"\d+", file.stem)[-1])):
            arrays.append(numpy_helper.to_array(onnx.load_tensor(path)))
    return found["input"], found["output"]


@pytest.mark.parametrize("name", COMPILED)
def test_case(name: str) -> None:
    model, (inputs, outputs) = model_of(name), data_of(name)
    constants = {tensor.name for tensor in model.graph.initializer}
    ports = [port.name for port in model.graph.input if port.name not in constants]
    feeds = dict(zip(ports, inputs, strict=True))
    answers = run(model, feeds)
    for port, expected in zip(model.graph.output, outputs, strict=True):
        np.testing.assert_allclose(answers[port.name], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_reason(name: str) -> None:
    error, match = REFUSED[name]
    with pytest.raises(error, match=match):
        plan_model(model_of(name), find_target("wasm"), Options(name="case"))
