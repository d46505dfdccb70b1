"""Thousands of mutants, always the same ones; `make fuzz` tries others, as long as one likes."""

from __future__ import annotations

import warnings

import pytest
from campaign import corpus, judged, mutant

COUNT = 2_500


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return corpus()


@pytest.mark.parametrize("seed", range(4))
def test_mutants_end_in_c_or_in_one_clear_error(models: dict[str, bytes], seed: int) -> None:
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(COUNT):
            name, data = mutant(models, f"ci:{seed}:{number}")
            what = judged(data)
            if what:
                found[f"ci:{seed}:{number} {name}"] = what
    assert not found


def test_mutants_are_of_all_kinds(models: dict[str, bytes]) -> None:
    """Most are refused, and enough are not: both ways are tried."""
    from nn2wasm.api import Options, plan_model
    from nn2wasm.errors import Nn2wasmError
    from nn2wasm.target import find_target

    accepted, errors = 0, set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(400):
            _, data = mutant(models, f"kinds:{number}")
            try:
                plan_model(data, find_target("wasm"), Options(name="mutant"))
                accepted += 1
            except Nn2wasmError as error:
                errors.add(type(error).__name__)
    assert 40 < accepted < 360
    assert errors >= {"InvalidModel", "UnsupportedFeature", "UnsupportedOp", "DynamicShape"}
