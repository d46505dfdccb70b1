"""The networks of ../shared/models and what each of them is compiled to, built once and kept.

A module is a function of the model, of our sources and of the options, so it is kept in
pytest's cache under their hash.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.loaders import WasmtimeSession
from nn2wasm.resources import data_folder
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "models"
APART = ("skl_*",)
"""What no pattern means unless it is said so; test_sklearn.py has the latter."""
FLOAT_BORDERS = ("*lstm*", "*bigru*")
"""Families whose inputs quantizers leave in float32, since they leave recurrent layers in it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the plan of a network says."""

    arena_bytes: int
    scratch_bytes: int
    weight_bytes: int
    module_bytes: int

    @property
    def beside_weights(self) -> int:
        return self.module_bytes - self.weight_bytes


@dataclass(frozen=True, slots=True)
class Built:
    module: bytes
    facts: Facts


class Network:
    """A model of the folder with the samples recorded beside it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = FOLDER / f"{name}.onnx"

    def __str__(self) -> str:
        return self.name

    @functools.cached_property
    def recorded(self) -> dict[str, np.ndarray]:
        with np.load(FOLDER / f"{self.name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    @property
    def samples(self) -> int:
        return len(self.recorded["in_0"])

    def feeds(self, index: int) -> list[np.ndarray]:
        return [self.recorded[key][index] for key in self._keys("in_")]

    def outputs(self) -> list[np.ndarray]:
        """All samples of each output."""
        return [self.recorded[key] for key in self._keys("out_")]

    def _keys(self, prefix: str) -> Iterator[str]:
        index = 0
        while f"{prefix}{index}" in self.recorded:
            yield f"{prefix}{index}"
            index += 1

    def step(self) -> float | None:
        """Real value of one step of the first output; None where nothing quantizes it."""
        graph = onnx.load(self.path).graph
        values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        makers = {name: node for node in graph.node for name in node.output}

        def value(name: str) -> np.ndarray:
            if name in values:
                return values[name]
            node = makers[name]
            if node.op_type == "Constant":
                return onnx.numpy_helper.to_array(node.attribute[0].t)
            assert node.op_type in ("Cast", "Identity"), node.op_type
            return value(node.input[0])

        last = makers[graph.output[0].name]
        if last.op_type == "QuantizeLinear":
            return 1.0
        if last.op_type == "DequantizeLinear":
            return float(value(last.input[1]).reshape(()))
        return None

    def moved_steps(self) -> float:
        """By how many output steps onnxruntime's own optimizations move the first output."""
        manifest = json.loads((FOLDER / "MANIFEST.json").read_text())["models"]
        (entry,) = (entry for entry in manifest if entry["name"] == self.name)
        moved = entry["fidelity"]["ort_optimized_vs_disabled_out_0"]
        return float(moved["max"] if "max" in moved else moved["max_abs"] / (self.step() or 1.0))


def named(*patterns: str, without: tuple[str, ...] = APART) -> list[Any]:
    """The networks that match any of the patterns, as parameters; one that is skipped without the
    folder.
    """
    names = sorted(path.stem for path in FOLDER.glob("*.onnx"))
    chosen = [
        pytest.param(Network(name), id=name)
        for name in names
        if any(fnmatch(name, p) for p in patterns) and not any(fnmatch(name, p) for p in without)
    ]
    missing = pytest.mark.skip(reason=f"there is no {FOLDER}")
    return chosen or [pytest.param(None, id="no networks", marks=missing)]


@functools.cache
def _sources() -> str:
    """A hash of everything of ours that goes into a module."""
    digest = hashlib.sha256()
    package = Path(data_folder("templates")).parent
    files = [
        *Path(find_target.__code__.co_filename).parent.rglob("*.py"),
        *(package / "templates").rglob("*"),
        *(package / "runtime_c").rglob("*"),
    ]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def build(network: Network, cache: Path, options: Options, target: str = "wasm") -> Built:
    """The network as a module, from the cache where it is there; safe beside other processes."""
    return build_model(network.path, network.name, cache, options, target)


def build_model(
    model: Path | onnx.ModelProto, name: str, cache: Path, options: Options, target: str = "wasm"
) -> Built:
    """The same for a model that is not a file."""
    content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    key = hashlib.sha256(content)
    key.update(
        f"{_sources()} {target} {options.optimize} {options.io_integers} "
        f"{sorted(options.disabled_passes)}".encode()
    )
    file, note = (cache / f"{name}-{key.hexdigest()[:24]}{end}" for end in (".wasm", ".json"))
    if file.exists() and note.exists():
        return Built(file.read_bytes(), Facts(**json.loads(note.read_text())))
    machine = find_target(target)
    compiled = plan_model(model, machine, options)
    module = build_artifact(generate(compiled), compiled.plan.target, strict=True)
    plan = compiled.plan
    scratch = max((call.scratch_bytes for call in plan.calls), default=0)
    facts = Facts(plan.memory.arena_bytes, scratch, plan.weight_bytes, len(module))
    for path, data in ((note, json.dumps(asdict(facts)).encode()), (file, module)):
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(data)
        part.replace(path)
    return Built(module, facts)


def run_all(network: Network, module: bytes) -> list[np.ndarray]:
    """The module's outputs for every recorded sample, stacked as they are recorded."""
    with WasmtimeSession(module) as session:
        names = [info.name for info in session.inputs]
        runs = [
            session.run(dict(zip(names, network.feeds(index), strict=True)))
            for index in range(network.samples)
        ]
        return [np.stack([run[info.name] for run in runs]) for info in session.outputs]
