"""Compiles a case for the default target, runs it, and says what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from engines import run_in_wasmtime
from onnx.backend.test.runner import Runner
from onnx_cases import Case, array_of

from nn2wasm.api import DEFAULT_TARGETS, Compiled, Options, generate, plan_model
from nn2wasm.errors import DynamicShape, InternalError, Nn2wasmError, ToolchainError
from nn2wasm.target import ArtifactKind, find_target
from nn2wasm.toolchain import build_artifact

TARGET = find_target(DEFAULT_TARGETS[ArtifactKind.WASM])
PASSED, REFUSED, WRONG, BEYOND = "passed", "refused", "wrong", "beyond"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case.

    Attributes:
        outcome: "passed"; "refused", with a reason; "wrong": another result, or a crash; "beyond":
            another result for float64 inputs that float32, in which they are computed, cannot hold.
        reason: of all but passed ones, in one line; inputs that had to be fixed of those.
    """

    outcome: str
    reason: str = ""


def judge(case: Case) -> Verdict:
    """The verdict on a case: compiled as a user would, inputs that decide shapes are fixed."""
    fixed: set[str] = set()
    try:
        for number, data in enumerate(case.sets):
            if number == 0 or fixed:
                compiled, fixed = _compile(case, data)
                module = build_artifact(generate(compiled), compiled.plan.target)
            problem = _compare(case, module, data, fixed)
            if problem and _is_beyond(case, data):
                return Verdict(BEYOND, "float64 inputs outside the range of float32")
            if problem:
                return Verdict(WRONG, problem)
    except (InternalError, ToolchainError) as error:
        return Verdict(WRONG, f"{type(error).__name__}: {error.message}")
    except Nn2wasmError as error:
        return Verdict(REFUSED, _reason(error))
    except Exception as error:
        return Verdict(WRONG, f"{type(error).__name__}: {_line(str(error))}")
    return Verdict(PASSED, f"--fix {' '.join(sorted(fixed))}" if fixed else "")


def _compile(case: Case, data: Any) -> tuple[Compiled, set[str]]:
    """The plan, and the inputs that had to be fixed for it."""
    model = case.model
    values = _feeds(model, data[0])
    fixed: dict[str, Any] = {}
    while True:
        shapes = {
            value.name: values[value.name].shape
            for value in _inputs(model)
            if value.name not in fixed and _is_open(value) and values[value.name] is not None
        }
        options = Options(name="network", fixed=fixed, shapes=shapes)
        try:
            compiled = plan_model(model.SerializeToString(), TARGET, options)
            return compiled, set(fixed)
        except DynamicShape as error:
            deciding = [name for name in error.inputs if name not in fixed]
            if not deciding:
                raise
            fixed |= {name: values[name] for name in deciding}


def _compare(case: Case, module: bytes, data: Any, fixed: set[str]) -> str:
    """What differs, empty where nothing does."""
    model = case.model
    feeds = {n: v for n, v in _feeds(model, data[0]).items() if n not in fixed}
    found = run_in_wasmtime(module, feeds)
    outputs = [
        (value.name, array_of(expected, value.type))
        for value, expected in zip(model.graph.output, data[1], strict=False)
    ]
    try:
        Runner.assert_similar_outputs(
            ref_outputs=[expected for _, expected in outputs],
            outputs=[found[name] for name, _ in outputs],
            rtol=case.relative,
            atol=case.absolute,
        )
    except AssertionError as error:
        return _line(str(error))
    return ""


def _is_beyond(case: Case, data: Any) -> bool:
    """Whether a double of the inputs becomes zero or infinite as a float."""
    arrays = [v for v in _feeds(case.model, data[0]).values() if v is not None]
    doubles = [array for array in arrays if array.dtype == np.float64]
    with np.errstate(all="ignore"):
        narrow = [array.astype(np.float32) for array in doubles]
    return any(
        bool(((single == 0) != (double == 0)).any() or (np.isinf(single) != np.isinf(double)).any())
        for single, double in zip(narrow, doubles, strict=True)
    )


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def _feeds(model: onnx.ModelProto, values: Any) -> dict[str, Any]:
    pairs = zip(_inputs(model), values, strict=False)
    return {value.name: array_of(given, value.type) for value, given in pairs}


def _is_open(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    known = tensor.HasField("shape")
    return not known or any(not dim.HasField("dim_value") for dim in tensor.shape.dim)


def _reason(error: Nn2wasmError) -> str:
    """The error in a line: for operators that are missing, which."""
    names = [label for label, _ in error.facts] if "operator" in error.message else []
    return f"{type(error).__name__}: {', '.join(names) or _line(error.message)}"


def _line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(" ".join(lines).split())[:160] if lines else ""


def types_of(model: onnx.ModelProto) -> list[str]:
    """Element types of a model's inputs and outputs, as numpy calls them."""
    found = []
    for value in (*_inputs(model), *model.graph.output):
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            found.append(str(kind).removesuffix("_type"))
            continue
        found.append(onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower())
    return list(dict.fromkeys(found))


def operator_of(model: onnx.ModelProto) -> str:
    """The operator that a case is about, empty for networks and bodies of functions."""
    nodes = model.graph.node
    if len(nodes) != 1:
        return ""
    domain, name = nodes[0].domain, nodes[0].op_type
    return f"{domain}.{name}" if domain not in ("", "ai.onnx") else name


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the domain that the case is about."""
    domains = {node.domain for node in model.graph.node} or {""}
    versions = {entry.domain: entry.version for entry in model.opset_import}
    return max((versions.get(domain, 0) for domain in domains), default=0)
