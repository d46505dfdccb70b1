from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from nn2wasm.api import compile_model
from nn2wasm.errors import RunError
from nn2wasm.tools.inspect import inspect_model, inspect_module
from nn2wasm.tools.operators import list_operators


def test_a_report_adds_up(digits):
    report = inspect_model(digits)
    assert report.target == "wasm"
    assert report.operators["Conv"] == 3
    assert sum(layer.macs for layer in report.layers) == report.macs == 60544
    assert sum(layer.weight_bytes for layer in report.layers) >= report.weight_bytes > 4000
    assert report.arena_bytes >= report.arena_floor_bytes > 0
    for layer in report.layers:
        assert layer.arena_offset + layer.output_bytes <= report.arena_bytes
        assert layer.nodes
    assert [layer.index for layer in report.layers] == list(range(len(report.layers)))
    assert report.inputs[0].name == "image"
    assert any(layer.refused for layer in report.layers)
    assert "channels_last" in dict(report.passes)
    json.dumps(asdict(report))


def test_a_module_tells_itself(digits, tmp_path):
    artifact = compile_model(digits, tmp_path / "m.wasm")
    module = artifact.path.read_bytes()
    report = inspect_module(module)
    assert report.sizes.total == len(module)
    assert report.metadata["arena_bytes"] == artifact.arena_bytes
    assert ("nn_run", "function") in report.exports
    assert report.broken_promises == ()
    assert report.memory_pages == ((1, 1),)
    json.dumps(asdict(report))


def test_other_modules_are_refused():
    with pytest.raises(RunError, match="not made by nn2wasm"):
        inspect_module(b"\0asm\1\0\0\0")


def test_operators_come_from_the_registry():
    operators = {(o.domain, o.name): o for o in list_operators()}
    assert operators["", "Conv"].dtypes == ("s8", "s16", "f32")
    assert ("com.microsoft", "QGemm") in operators
    assert list(operators) == sorted(operators)
