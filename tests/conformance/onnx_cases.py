"""The cases of the installed onnx package: models with inputs and expected outputs."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")
NOISY = {
    "node/test_dft_inverse": 1e-6,
    "node/test_dft_inverse_opset19": 1e-6,
    "node/test_attention_4d_causal_fp16_expanded": 5e-4,
}
"""Errors allowed where the package's own results have larger ones: the first are of an FFT in
float32, 2e-7 where the true number is 0; the last was rounded to float16 on its way, and a step of
that is more than its tolerance."""
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@dataclass(frozen=True, slots=True)
class Case:
    """A model and what it must compute.

    Attributes:
        name: unique, "node/test_add".
        path: of the model's file; None where it is made in memory.
        made: the model where it is not in a file.
        sets: inputs and expected outputs, in the model's order; files where they are in files.
        relative: error allowed, as the onnx package has it.
        absolute: the same.
    """

    name: str
    path: Path | None
    made: onnx.ModelProto | None
    sets: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    relative: float
    absolute: float

    @property
    def model(self) -> onnx.ModelProto:
        return self.made or onnx.load(str(self.path))


@functools.cache
def all_cases() -> dict[str, Case]:
    """By name. Collecting takes seconds: the package computes the inputs of its node cases."""
    found = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for kind in KINDS[:-1]:
            found += [_case(kind, test) for test in load_model_tests(kind=kind)]
    found += [_light(path) for path in sorted(LIGHT.glob("*.onnx"))]
    return {case.name: case for case in found}


def _case(kind: str, test: Any) -> Case:
    name = f"{kind}/{test.name}"
    absolute = NOISY.get(name, test.atol)
    if test.model_dir is None:
        return Case(name, None, test.model, test.data_sets, test.rtol, absolute)
    folder = Path(test.model_dir)
    sets = [
        ([*_numbered(data, "input")], [*_numbered(data, "output")])
        for data in sorted(folder.glob("test_data_set_*"))
    ]
    return Case(name, folder / "model.onnx", None, sets, test.rtol, absolute)


def _numbered(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}_{i}.pb" for i in range(len(list(folder.glob(f"{stem}_*.pb"))))]


def _light(path: Path) -> Case:
    """A well-known network with constant weights, on the input that the package's runner makes."""
    model = onnx.load(str(path))
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [
        Runner.generate_dummy_data(value, name=path.stem)
        for value in model.graph.input
        if value.name not in constants
    ]
    outputs = [path.with_name(f"{path.stem}_output_{i}.pb") for i in range(len(model.graph.output))]
    return Case(f"light/{path.stem}", path, None, [(inputs, outputs)], 1e-3, 1e-7)


def array_of(value: Any, kind: onnx.TypeProto) -> Any:
    """A value of a data set as an array; None where it is no tensor."""
    if isinstance(value, Path):
        if kind.WhichOneof("value") != "tensor_type":
            return None
        value = onnx.TensorProto.FromString(value.read_bytes())
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    if kind.WhichOneof("value") != "tensor_type" or isinstance(value, list | dict):
        return None
    return np.asarray(value)
