"""The targets whose kernels differ: a test that asks for `target` runs for each."""

from __future__ import annotations

import pytest

TARGETS = ("wasm", "wasm-simd128", "wasm-simd128-cranelift", "wasm-relaxed", "host", "cortex-m55")


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)
