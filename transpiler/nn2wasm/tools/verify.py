"""Compares a compiled model with a reference, output by output."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nn2wasm.api import Compiled, ModelSource, Options, generate, plan_model
from nn2wasm.errors import ModelError, RunError, TargetError, VerificationFailed, quote
from nn2wasm.ir import Array, DType, QuantParams, Tensor
from nn2wasm.loaders import Session, TensorInfo, load
from nn2wasm.loaders.feeds import convert
from nn2wasm.ops.quantize import Dequantize
from nn2wasm.quant.arithmetic import dequantize, quantize
from nn2wasm.target import ArtifactKind, Target, find_target
from nn2wasm.toolchain import build_artifact
from nn2wasm.tools.difference import RELATIVE, STEPS, Difference, Meter, Tolerance
from nn2wasm.tools.reference import Reference, open_reference
from nn2wasm.tools.samples import Samples, pick_inputs, random_samples, read_arrays, split

DEFAULT_TARGET = "wasm"
RANDOM_COUNT = 10

Progress = Callable[[str], None]


def silent(text: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputReport:
    """An output of the model.

    Attributes:
        name: as in the model.
        dtype: element type of the compiled model's output.
        shape: of one sample.
        difference: over all samples.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """How a compiled model compares with a reference.

    Attributes:
        model: name of the model.
        module: path of the compiled model; empty where it was compiled for this report.
        target: what it is compiled for.
        reference: name and version of the engine that it is compared with.
        samples: where the inputs come from.
        sample_count: how many.
        outputs: one entry for each.
        notes: what else the reader should know.
        passed: whether all outputs are within tolerance.
    """

    model: str
    module: str
    target: str
    reference: str
    samples: str
    sample_count: int
    outputs: tuple[OutputReport, ...]
    notes: tuple[str, ...]
    passed: bool


def verify_model(
    model: ModelSource,
    module: str | os.PathLike[str] | None = None,
    *,
    samples: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    count: int | None = None,
    tolerance: Tolerance | None = None,
    target: str | Target = DEFAULT_TARGET,
    options: Options | None = None,
    engine: str = "",
    progress: Progress = silent,
) -> VerifyReport:
    """Runs a compiled model and a reference on the same inputs.

    Args:
        model: the ONNX model.
        module: what it was compiled to; compiled here where left out.
        samples: arrays or a file of them, for each input; random where left out.
        count: at most that many samples; all of the file, or `RANDOM_COUNT`, where left out.
        tolerance: what counts as equal.
        target: what to compile for.
        options: how to compile.
        engine: "onnxruntime" or "onnx"; the first that is installed where left out.
        progress: told what is being done.

    Raises:
        Nn2wasmError: the model cannot be compiled, run, or evaluated by the reference.
    """
    options, chosen = options or Options(), runnable_target(target)
    if module is None:
        progress("compiling")
        compiled = plan_model(model, chosen, options)
        session = load(build_artifact(generate(compiled), compiled.plan.target))
    else:
        session = load(module)
    with session:
        if module is not None:
            options = replace(options, state=options.state or _states_of(session))
        if module is not None or options.io_integers:
            compiled = _as_in_onnx(model, chosen, options, session)
        reference = open_reference(model, engine=engine)
        drawn = take_samples(compiled, samples, count)
        meters = _compare(compiled, session, reference, drawn, progress)
        notes = (*reference.notes, *_notes(session, compiled))
        described = session.metadata
    outputs = _outputs(session, meters, tolerance or Tolerance())
    return VerifyReport(
        model=compiled.name,
        module="" if module is None else os.fspath(module),
        target=str(described["target"]),
        reference=reference.engine,
        samples=drawn.origin,
        sample_count=len(drawn.feeds),
        outputs=outputs,
        notes=notes,
        passed=all(output.difference.passed for output in outputs),
    )


def _outputs(
    session: Session, meters: list[Meter], tolerance: Tolerance
) -> tuple[OutputReport, ...]:
    return tuple(
        OutputReport(
            name=info.name,
            dtype=info.dtype.value,
            shape=info.shape,
            difference=meter.result(tolerance),
        )
        for info, meter in zip(session.outputs, meters, strict=True)
    )


def _as_in_onnx(model: ModelSource, target: Target, options: Options, session: Session) -> Compiled:
    """The plan with the ONNX model's own inputs and outputs, of the sizes that the session has."""
    options = replace(options, io_integers=False)
    if not options.shapes:
        shapes = {info.name: info.shape for info in session.inputs}
        with contextlib.suppress(ModelError):  # of another model: the comparison of inputs tells
            return plan_model(model, target, replace(options, shapes=shapes))
    return plan_model(model, target, options)


def _states_of(session: Session) -> dict[str, str]:
    return {str(s["output"]): str(s["input"]) for s in session.metadata.get("states", ())}


def same_results(
    model: ModelSource,
    module: str | os.PathLike[str],
    *,
    samples: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    count: int | None = None,
    options: Options | None = None,
) -> bool:
    """Whether a module gives the same bytes as the model does when it is compiled now."""
    with load(module) as theirs:
        chosen = find_target(str(theirs.metadata["target"]))
        options = options or Options()
        options = replace(options, state=options.state or _states_of(theirs))
        compiled = plan_model(model, chosen, options)
        drawn = take_samples(compiled, samples, count)
        with load(build_artifact(generate(compiled), compiled.plan.target)) as ours:
            if ours.inputs != theirs.inputs:
                return False
            for feeds in drawn.feeds:
                first, second = ours.run(feeds), theirs.run(feeds)
                if any(not np.array_equal(first[name], second[name]) for name in first):
                    return False
    return True


def require_passed(report: VerifyReport) -> None:
    """Raises VerificationFailed where an output is beyond its tolerance."""
    if report.passed:
        return
    facts = [
        (quote(o.name), f"{o.difference.maximum:.4g} {o.difference.unit}, at most "
         f"{o.difference.limit:g} allowed")
        for o in report.outputs
        if not o.difference.passed
    ]  # fmt: skip
    raise VerificationFailed(
        f"{quote(report.model)} differs from {report.reference} by more than the tolerance",
        facts=facts,
        hint="small differences add up from layer to layer: --layers tells whether one of them is "
        "wrong by itself, --steps and --tolerance allow more",
    )


def runnable_target(target: str | Target) -> Target:
    """The target, where its artifacts can be run here.

    Raises:
        TargetError: it ends in sources.
    """
    chosen = find_target(target) if isinstance(target, str) else target
    if chosen.kind is ArtifactKind.C:
        raise TargetError(
            f"target {chosen.name} makes sources, there is nothing to run",
            hint="the same C is compiled and run with --target host",
        )
    return chosen


def take_samples(
    compiled: Compiled,
    samples: str | os.PathLike[str] | Mapping[str, Array] | None,
    count: int | None,
) -> Samples:
    """What the model and its reference are to be fed with; see `verify_model`."""
    infos = [signature(tensor) for tensor in compiled.plan.graph.inputs]
    if count is not None and count < 1:
        raise RunError("nothing is compared without samples")
    if samples is None:
        return random_samples(infos, RANDOM_COUNT if count is None else count)
    arrays = samples if isinstance(samples, Mapping) else read_arrays(samples)
    origin = "given" if isinstance(samples, Mapping) else Path(samples).name
    cut = split(infos, pick_inputs(infos, arrays), origin).first(count)
    feeds = tuple({i.name: convert(i, feed[i.name]) for i in infos} for feed in cut.feeds)
    return replace(cut, feeds=feeds)


def signature(tensor: Tensor) -> TensorInfo:
    """An input of a graph as a loaded model would describe it."""
    quant = tensor.quant
    if quant is None or quant.axis is not None:
        return TensorInfo(tensor.name, tensor.dtype, tensor.shape)
    scale, zero_point = float(quant.scale), int(quant.zero_point)
    return TensorInfo(tensor.name, tensor.dtype, tensor.shape, scale, zero_point)


def _compare(
    compiled: Compiled, session: Session, reference: Reference, drawn: Samples, progress: Progress
) -> list[Meter]:
    """Runs both on every sample."""
    _require_same_inputs(compiled, session)
    if len(reference.outputs) != len(session.outputs):
        raise _another_model("outputs", len(reference.outputs), len(session.outputs))
    steps = _steps(compiled, session)
    meters = [Meter(unit=RELATIVE if step is None else STEPS, step=step or 1.0) for step in steps]
    names = dict(zip(compiled.plan.graph.outputs, reference.outputs, strict=True))
    states = {state.kept: names[state.source] for state in compiled.plan.graph.states}
    kept = {t.name: np.zeros(t.shape, t.dtype.numpy) for t in states}
    session.reset()
    for index, feeds in enumerate(drawn.feeds):
        progress(f"sample {index + 1} of {len(drawn.feeds)}")
        theirs = reference.run({**feeds, **kept})
        kept = {tensor.name: theirs[name] for tensor, name in states.items()}
        ours = session.run({i.name: _quantized(i, feeds[i.name]) for i in session.inputs})
        for info, name, meter in zip(session.outputs, reference.outputs, meters, strict=True):
            value = _labels_as_numbers(info, theirs[name])
            made = ours[info.name]
            if info.dtype is not DType.F32 and value.dtype.kind == "f":
                made = _real(info, made)
            if made.size != value.size:
                raise _another_model("shape of an output", value.shape, made.shape)
            meter.add(made.reshape(value.shape), value)
    return meters


def _steps(compiled: Compiled, session: Session) -> list[float | None]:
    """What one step of each output is worth: 1 for integers, None for floats without steps."""
    producers = compiled.plan.graph.producers()
    steps: list[float | None] = []
    for info, tensor in zip(session.outputs, compiled.plan.graph.outputs, strict=True):
        before = producers.get(tensor)
        if not tensor.dtype.is_float:
            steps.append(1.0)
        elif not info.dtype.is_float and info.scale is not None:
            steps.append(info.scale)
        elif before is not None and isinstance(before.op, Dequantize):
            quant = before.op.quant
            steps.append(float(quant.scale) if quant.axis is None else None)
        else:
            steps.append(None)
    return steps


def _require_same_inputs(compiled: Compiled, session: Session) -> None:
    expected = {tensor.name: tensor.shape for tensor in compiled.plan.graph.inputs}
    found = {info.name: info.shape for info in session.inputs}
    if expected != found:
        raise _another_model("inputs", expected, found)


def _another_model(what: str, expected: object, found: object) -> RunError:
    return RunError(
        "the compiled model was not made from this ONNX model",
        facts=[(f"{what} expected", str(expected)), ("found", str(found))],
    )


def _quantized(info: TensorInfo, value: Array) -> Array:
    """The input as the compiled model wants it: integers where its quantizer was stripped."""
    if info.dtype.is_float or value.dtype.kind != "f":
        return value
    if info.scale is None or info.zero_point is None:
        return value
    return quantize(value, QuantParams.per_tensor(info.scale, info.zero_point), info.dtype)


def _real(info: TensorInfo, value: Array) -> Array:
    """What the integers of an output stand for, where its dequantizer was stripped."""
    if info.scale is None or info.zero_point is None:
        return value
    quant = QuantParams.per_tensor(info.scale, info.zero_point)
    real: Array = dequantize(value, quant)
    return real


def _labels_as_numbers(info: TensorInfo, value: Array) -> Array:
    if value.dtype.kind not in "OUS":
        return value
    places = {label: index for index, label in enumerate(info.labels)}
    try:
        flat = [places[str(label)] for label in value.reshape(-1)]
    except KeyError as error:
        raise RunError(f"the compiled model does not know the label {error}") from error
    numbers: Array = np.asarray(flat, np.int64).reshape(value.shape)
    return numbers


def _notes(session: Session, compiled: Compiled) -> list[str]:
    if session.metadata["model_sha256"] == compiled.sha256:
        return []
    return ["the compiled model was made from another ONNX file (their SHA-256 differ)"]
