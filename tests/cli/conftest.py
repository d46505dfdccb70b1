"""`nn2wasm` in this process: what it returns, prints and complains about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nn2wasm.cli import main

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def nn2wasm(capsys):
    def run(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def digits() -> Path:
    return ROOT / "examples" / "digits" / "digits_int8.onnx"


@pytest.fixture
def digits_f32() -> Path:
    return ROOT / "examples" / "digits" / "digits_f32.onnx"


@pytest.fixture(scope="session")
def digits_wasm(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("module") / "digits.wasm"
    model = ROOT / "examples" / "digits" / "digits_int8.onnx"
    assert main([str(model), "-o", str(path), "--quiet"]) == 0
    return path


@pytest.fixture
def shared():
    """Path of a model that is no part of the repository; without it the test is skipped."""

    def path(name: str) -> Path:
        found = ROOT.parent / "shared" / "models" / f"{name}.onnx"
        if not found.is_file():
            pytest.skip(f"{found} is not here")
        return found

    return path
