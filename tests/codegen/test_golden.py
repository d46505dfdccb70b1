"""Generated C as text: a change of a template or a kernel shows here as what a reader would see.

After an intended change: pytest tests/codegen --update-golden, and read the difference.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_networks import NETWORKS

import nn2wasm
from nn2wasm.api import Options, generate, plan_model
from nn2wasm.target import find_target

GOLDEN = Path(__file__).with_name("golden")
LONGEST_FILE = 230
FILES = [f"{name}.{ending}" for name in NETWORKS for ending in ("c", "h")]


def generated(file: str) -> str:
    """The text, without what changes with every release."""
    name = file.partition(".")[0]
    compiled = plan_model(NETWORKS[name](), find_target("c"), Options(name=name))
    text = generate(compiled).files[file]
    assert isinstance(text, str)
    text = text.replace(f"nn2wasm {nn2wasm.__version__}", "nn2wasm VERSION")
    return re.sub(r"\b[0-9a-f]{64}\b", "SHA256", text)


@pytest.mark.parametrize("file", FILES)
def test_as_committed(file, update_golden):
    text = generated(file)
    if update_golden:
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / file).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / file).read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE


def test_nothing_is_left_over():
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(FILES)
