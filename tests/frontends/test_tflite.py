"""TensorFlow Lite's files, as its converter writes them, against its reference kernels."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import run

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import InstallError, InvalidModel, Nn2wasmError, UnsupportedOp
from nn2wasm.frontends import tflite_import
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_model import read_model
from nn2wasm.frontends.tflite_import import onnx_of_tflite
from nn2wasm.target import find_target

FOLDER = Path(__file__).resolve().parent / "tflite"
FURTHER = {"attention_int8": 5}
"""Where a variance has eight bits, a step of it is several of the quotient."""
MODELS = sorted(path.stem for path in FOLDER.glob("*.tflite"))


def bytes_of(name: str) -> bytes:
    return (FOLDER / f"{name}.tflite").read_bytes()


def kernels(name: str) -> list[str]:
    plan = plan_model(FOLDER / f"{name}.tflite", find_target("wasm"), Options(name="lite")).plan
    return [call.node.op.kind for call in plan.calls]


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_the_reference(name: str) -> None:
    """Integers differ by one at most: its roundings are of fixed-point numbers, ours of floats."""
    model = onnx_of_tflite(bytes_of(name), name, Limits())
    port = model.graph.input[0].name
    with np.load(FOLDER / f"{name}.npz") as recorded:
        samples, expected = recorded["input"], recorded["output"]
    found = np.stack([next(iter(run(model, {port: x}).values())) for x in samples])
    assert found.dtype == expected.dtype
    if found.dtype == np.float32 and "int16" not in name:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    elif found.dtype == np.float32:
        np.testing.assert_allclose(found, expected, atol=2e-4)
    else:
        steps = np.abs(found.astype(int) - expected)
        assert steps.max() <= FURTHER.get(name, 1)
        assert np.mean(steps) < 0.25 * FURTHER.get(name, 1)


@pytest.mark.parametrize("name", ["image_int8", "upscaled_int8", "signal_int8"])
def test_integer_networks_run_on_integers(name: str) -> None:
    found = kernels(name)
    assert not {"Quantize", "Dequantize", "Transpose"} & set(found)
    assert "Conv" in found


def test_names_and_types_are_those_of_the_file() -> None:
    model = read_model(FOLDER / "image_int8.tflite")
    (port,) = model.inputs
    assert port.name.startswith("serving_default")
    assert (port.dtype.value, port.shape) == ("s8", (1, 16, 16, 3))
    assert model.producer.startswith("TensorFlow Lite")


def test_all_builtins_that_are_missing_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {k: v for k, v in tflite_import.TRANSLATORS.items() if k not in ("MEAN", "SOFTMAX")}
    monkeypatch.setattr(tflite_import, "TRANSLATORS", fewer)
    with pytest.raises(UnsupportedOp, match="2 builtins") as caught:
        read_model(FOLDER / "image_int8.tflite")
    assert [name for name, _ in caught.value.facts] == ["MEAN", "SOFTMAX"]


def test_without_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(InstallError, match="needs the package tflite") as caught:
        read_model(FOLDER / "image_int8.tflite")
    assert "nn2wasm[tflite]" in caught.value.hint


# -- damaged files ---------------------------------------------------------------------------------


def ends_well(data: bytes, what: str) -> bool:
    try:
        plan_model(data, find_target("wasm"), Options(name="lite"))
    except Nn2wasmError:
        return False
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    return True


def test_every_truncation_ends_well() -> None:
    data = bytes_of("signal_int8")
    ends = [*range(8, 600), *range(600, len(data), 37)]
    read = [ends_well(data[:end], f"first {end} bytes") for end in ends]
    assert not all(read)
    with pytest.raises(InvalidModel, match=r"is damaged"):
        read_model(data[:100])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["signal_int8", "attention_f32", "upscaled_int8"])
def test_random_damage_ends_well(name: str, seed: int) -> None:
    rng, data = random.Random(seed), bytes_of(name)
    for round_ in range(150):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            position = rng.randrange(8, len(damaged))
            match rng.randrange(4):
                case 0:
                    damaged[position] ^= 1 << rng.randrange(8)
                case 1:
                    damaged[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
                case 2:
                    word = rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
                    damaged[position : position + 4] = word.to_bytes(4, "little")
                case _:
                    del damaged[position : position + rng.randrange(1, 9)]
        ends_well(bytes(damaged), f"seed {seed}, round {round_}")
