"""What a target becomes when it is to be fast or small."""

from __future__ import annotations

import pytest

from nn2wasm.errors import TargetError
from nn2wasm.target import TARGETS, find_target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_flags_and_kernels(target):
    fast, small = target.optimized("speed"), target.optimized("size")
    assert fast.compiler_flags[: len(target.zig_flags)] == target.zig_flags
    assert fast.compiler_flags != small.compiler_flags
    assert "small" in small.offers
    assert "small" not in fast.offers
    assert target.optimized(None) == target
    assert fast.features == small.features


def test_usual_ones():
    small = [target.name for target in TARGETS if target.optimize == "size"]
    assert small == ["wasm"]
    assert find_target("wasm").compiler_flags == ("-mcpu=lime1", "-Os", "-mllvm", "-disable-lsr")


def test_neither():
    with pytest.raises(TargetError, match="cannot optimize for 'beauty'"):
        find_target("wasm").optimized("beauty")
