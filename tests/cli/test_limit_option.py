from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from nn2wasm.frontends.limits import Limits

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("model-bytes=1K", "models are read up to 1,024"),
        ("node-count=2", "2 nodes"),
        ("tensor-elements=10", "at most 10 elements"),
        ("rank=2", "at most 2"),
        ("weight-bytes=100", "exceed 100 bytes"),
        ("field-count=20", "20"),
    ],
)
def test_a_limit_that_is_reached(nn2wasm, digits, tmp_path, limit, text):
    done = nn2wasm(digits, "-o", tmp_path / "x.wasm", "--limit", limit)
    assert done.code in (11, 22)
    assert text in done.err
    assert not list(tmp_path.iterdir())


def test_several_limits_that_are_not_reached(nn2wasm, digits):
    assert nn2wasm("inspect", digits, "--limit", "rank=8", "--limit", "fold-elements=1M").code == 0


@pytest.mark.parametrize("limit", ["rank", "rang=3", "rank=many", "rank=0"])
def test_what_is_no_limit(nn2wasm, digits, limit):
    done = nn2wasm("inspect", digits, "--limit", limit)
    assert done.code == 2
    assert "--limit" in done.err


def test_the_page_has_every_limit():
    page = (DOCS / "security.md").read_text()
    for field in fields(Limits):
        assert f"| `{field.name.replace('_', '-')}` |" in page
