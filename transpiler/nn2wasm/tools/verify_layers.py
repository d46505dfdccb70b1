"""Compares a model with a reference layer by layer, each fed with the reference's own values.

Small differences add up through a network and hide where they begin; here each layer answers for
itself alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nn2wasm.api import Compiled, ModelSource, Options, plan_model
from nn2wasm.codegen import render
from nn2wasm.errors import VerificationFailed, quote
from nn2wasm.ir import Array, DType, Graph, Tensor
from nn2wasm.loaders import Session, load
from nn2wasm.plan import make_plan
from nn2wasm.target import Target
from nn2wasm.toolchain.build import build_many
from nn2wasm.tools.difference import RELATIVE, STEPS, Difference, Meter, Tolerance
from nn2wasm.tools.layers import Batch, Piece, take_apart
from nn2wasm.tools.reference import Reference, open_reference
from nn2wasm.tools.samples import Samples
from nn2wasm.tools.verify import (
    DEFAULT_TARGET,
    Progress,
    VerifyReport,
    runnable_target,
    same_results,
    silent,
    take_samples,
)

CHANGES_TENSORS = frozenset({"remove_constant_channels"})
"""Passes after which tensors no longer have the elements of the model's own."""

EXPLAINING_SAMPLES = 3
"""Samples that a second look at the layers takes: each is a comparison of every layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDifference:
    """A layer, or a few that cannot be told apart.

    Attributes:
        index: position of the last one in the schedule.
        op: its operation.
        kernel: what computes it.
        nodes: the ONNX nodes behind it.
        with_layers: positions of those before it whose results the model has no tensor for.
        tensor: the ONNX tensor that it is compared with.
        dtype: element type in the compiled model.
        shape: in memory order.
        difference: over all samples.
    """

    index: int
    op: str
    kernel: str
    nodes: tuple[str, ...]
    with_layers: tuple[int, ...]
    tensor: str
    dtype: str
    shape: tuple[int, ...]
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersReport:
    """How each layer compares with a reference when it is fed with the reference's values.

    Attributes:
        model: name of the model.
        target: what it is compiled for.
        reference: name and version of the engine that it is compared with.
        samples: where the inputs come from.
        sample_count: how many.
        layer_count: layers of the model.
        layers: those that could be compared, in execution order.
        unchecked: positions and operations of layers that were not computed at all.
        first: the first of `layers` beyond the tolerance, as an index of `layers`.
        notes: what else the reader should know.
        passed: whether all are within it.
    """

    model: str
    target: str
    reference: str
    samples: str
    sample_count: int
    layer_count: int
    layers: tuple[LayerDifference, ...]
    unchecked: tuple[tuple[int, str], ...]
    first: int | None
    notes: tuple[str, ...]
    passed: bool


def verify_layers(
    model: ModelSource,
    *,
    samples: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    count: int | None = None,
    tolerance: Tolerance | None = None,
    target: str | Target = DEFAULT_TARGET,
    options: Options | None = None,
    engine: str = "",
    progress: Progress = silent,
) -> LayersReport:
    """Runs each layer alone, on the reference's values; arguments as for `verify_model`.

    Raises:
        Nn2wasmError: the model cannot be compiled, run, or evaluated by the reference.
    """
    chosen = runnable_target(target)
    options = options or Options()
    disabled = options.disabled_passes | CHANGES_TENSORS
    compiled = plan_model(
        model, chosen, replace(options, io_integers=False, state={}, disabled_passes=disabled)
    )
    wanted = list(tensor_names(compiled.plan.graph).values())
    reference = open_reference(model, engine=engine, wanted=wanted)
    drawn = take_samples(compiled, samples, count)
    return compare_layers(compiled, reference, drawn, tolerance or Tolerance(), progress)


def compare_layers(
    compiled: Compiled,
    reference: Reference,
    drawn: Samples,
    tolerance: Tolerance,
    progress: Progress = silent,
) -> LayersReport:
    """The layers of a planned model, each alone, against a reference of any model.

    Args:
        compiled: planned with `CHANGES_TENSORS` disabled.
        reference: returns the tensors that `tensor_names` names.
        drawn: what both are fed with.
        tolerance: what counts as equal.
        progress: told what is being done.
    """
    graph, names = compiled.plan.graph, tensor_names(compiled.plan.graph)
    progress("running the reference")
    first = _values(reference, drawn.feeds[0])
    batches = take_apart(graph, lambda tensor: _fits(tensor, names.get(tensor), first))
    meters = [
        (piece, Meter(unit=RELATIVE if piece.tensor.dtype.is_float else STEPS))
        for batch in batches
        for piece in batch.pieces.values()
    ]
    progress("compiling the layers")
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(s) for s in _build(batches, compiled)]
        for index, feeds in enumerate(drawn.feeds):
            progress(f"sample {index + 1} of {len(drawn.feeds)}")
            values = _values(reference, feeds) if index else first
            pairs = [
                pair
                for batch, session in zip(batches, sessions, strict=True)
                for pair in _run(batch, session, names, values)
            ]
            for (_, meter), (ours, theirs) in zip(meters, pairs, strict=True):
                meter.add(ours, theirs)
    return _report(compiled, reference, drawn, names, meters, tolerance)


def explain(
    report: VerifyReport,
    model: ModelSource,
    module: str | os.PathLike[str] | None = None,
    *,
    samples: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    options: Options | None = None,
    engine: str = "",
    progress: Progress = silent,
) -> VerifyReport:
    """A report that failed by steps of integers alone, again in the light of its layers.

    In a deep network single roundings that differ from the reference's add up. Where every layer by
    itself is within one step, and the module computes what these layers compute, the report passes
    with a note that says so; otherwise it comes back as it was.

    Args:
        report: what `verify_model` found.
        model: as given to it, like the following.
        module: the compiled model.
        samples: what both were fed with.
        options: how it was compiled.
        engine: of the reference.
        progress: told what is being done.
    """
    if report.passed or any(output.difference.unit != STEPS for output in report.outputs):
        return report
    if module is not None and not same_results(
        model, module, samples=samples, count=report.sample_count, options=options
    ):
        return report
    layers = verify_layers(
        model,
        samples=samples,
        count=min(report.sample_count, EXPLAINING_SAMPLES),
        target=report.target,
        options=options,
        engine=engine,
        progress=progress,
    )
    if not layers.passed or layers.unchecked:
        return report
    note = (
        f"the outputs differ by more than a step, yet each of the {layers.layer_count} layers is "
        "within one by itself: single roundings add up, no layer is wrong"
    )
    return replace(report, passed=True, notes=(*report.notes, note))


def require_layers_passed(report: LayersReport) -> None:
    """Raises VerificationFailed, with the first layer that is beyond its tolerance."""
    if report.first is None:
        return
    layer = report.layers[report.first]
    difference = layer.difference
    failed = sum(not each.difference.passed for each in report.layers)
    raise VerificationFailed(
        f"layer {layer.index} of {quote(report.model)} is the first that differs from "
        f"{report.reference} by more than the tolerance; {failed} do",
        facts=[
            ("layer", f"{layer.op} {quote(layer.nodes[0] if layer.nodes else '')}"),
            ("kernel", layer.kernel),
            ("tensor", quote(layer.tensor)),
            ("difference", f"{difference.maximum:.4g} {difference.unit}"),
            ("allowed", f"{difference.limit:g} {difference.unit}"),
        ],
        hint="it was fed with the reference's own values, so it is at fault by itself",
    )


def tensor_names(graph: Graph) -> dict[Tensor, str]:
    """The model's own tensor that each activation holds, where there is one."""
    names = {tensor: tensor.source or tensor.name for tensor in graph.inputs}
    for node in graph.nodes:
        names |= {tensor: tensor.source for tensor in node.outputs if tensor.source}
    for tensor, name in zip(graph.outputs, graph.output_names, strict=True):
        names.setdefault(tensor, name)
    return names


def _values(reference: Reference, feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {**feeds, **reference.run(feeds)}


def _fits(tensor: Tensor, name: str | None, values: Mapping[str, Array]) -> bool:
    """Whether the reference's value is what the tensor holds, but for order of axes and sign."""
    value = values.get(name) if name is not None else None
    if value is None or value.ndim != len(tensor.perm or value.shape):
        return False
    shape = value.shape if tensor.perm is None else tuple(value.shape[a] for a in tensor.perm)
    is_same = value.dtype == tensor.dtype.numpy or _sign_offset(tensor, value) > 0
    return shape == tensor.shape and is_same


def _sign_offset(tensor: Tensor, value: Array) -> int:
    """How far the compiled model's integers lie below the reference's unsigned ones."""
    given = DType.of(value)
    return given.sign_offset if given.signed is tensor.dtype else 0


def _in_memory(tensor: Tensor, value: Array) -> Array:
    """The reference's value as the compiled model holds it."""
    if offset := _sign_offset(tensor, value):
        value = (value.astype(np.int32) - offset).astype(tensor.dtype.numpy)
    return np.ascontiguousarray(value if tensor.perm is None else value.transpose(tensor.perm))


def _build(batches: list[Batch], compiled: Compiled) -> list[Session]:
    target = compiled.plan.target
    trees = [
        render(make_plan(batch.graph, target), name="layers", model_sha256=compiled.sha256,
               embed=True)
        for batch in batches
    ]  # fmt: skip
    return [load(artifact) for artifact in build_many(trees, target)]


def _run(
    batch: Batch, session: Session, names: dict[Tensor, str], values: Mapping[str, Array]
) -> list[tuple[Array, Array]]:
    """What each piece of the batch makes of the reference's values, and what the reference made."""
    made = session.run(
        {name: _in_memory(tensor, values[names[tensor]]) for name, tensor in batch.given.items()}
    )
    return [
        (made[name], _in_memory(piece.tensor, values[names[piece.tensor]]))
        for name, piece in batch.pieces.items()
    ]


def _report(
    compiled: Compiled,
    reference: Reference,
    drawn: Samples,
    names: dict[Tensor, str],
    meters: list[tuple[Piece, Meter]],
    tolerance: Tolerance,
) -> LayersReport:
    calls = {call.node.name: call for call in compiled.plan.calls}
    layers = []
    for piece, meter in meters:
        computing = [calls[node.name] for node in piece.nodes]
        last = computing[-1]
        layers.append(
            LayerDifference(
                index=last.index,
                op=last.node.op.kind,
                kernel=last.choice.kernel.symbol,
                nodes=tuple(name for node in reversed(piece.nodes) for name in node.origin),
                with_layers=tuple(call.index for call in computing[:-1]),
                tensor=names[piece.tensor],
                dtype=piece.tensor.dtype.value,
                shape=piece.tensor.shape,
                difference=meter.result(tolerance),
            )
        )
    layers.sort(key=lambda layer: layer.index)
    reached = {i for layer in layers for i in (layer.index, *layer.with_layers)}
    first = next((i for i, layer in enumerate(layers) if not layer.difference.passed), None)
    return LayersReport(
        model=compiled.name,
        target=compiled.plan.target.name,
        reference=reference.engine,
        samples=drawn.origin,
        sample_count=len(drawn.feeds),
        layer_count=len(compiled.plan.calls),
        layers=tuple(layers),
        unchecked=tuple(
            (call.index, call.node.op.kind)
            for call in compiled.plan.calls
            if call.index not in reached
        ),
        first=first,
        notes=reference.notes,
        passed=first is None,
    )
