"""What a model will become, or a module is, without compiling or running it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from nn2wasm.api import Compiled, ModelSource, Options, plan_model
from nn2wasm.frontends.onnx_model import read_model
from nn2wasm.ir import Graph, Tensor
from nn2wasm.plan import Call
from nn2wasm.target import Target, find_target
from nn2wasm.toolchain import ModuleSizes, module_sizes, read_metadata
from nn2wasm.toolchain.promises import broken_promises
from nn2wasm.toolchain.wasm_file import WasmFile


@dataclass(frozen=True, slots=True, kw_only=True)
class PortReport:
    """An input or output; real = (q − zero_point) · scale where it has a scale."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """A call of a kernel.

    Attributes:
        index: position in the schedule.
        op: the operation.
        kernel: the one that was chosen.
        refused: kernels before it in the op's table, and why each was not.
        nodes: the ONNX nodes that it stands for.
        dtype: of its first output.
        shape: of its first output, in memory order.
        macs: multiply-accumulates.
        weight_bytes: its constants as packed; layers may share them.
        arena_offset: where its first output lies.
        output_bytes: size of its first output.
        scratch_bytes: memory that only this layer uses.
        parts: in which its outputs are computed, each with a tile of constants of its own; 1 where
            all constants are there at once.
        tile_bytes: that the constants of a part take of the scratch; 0 where they are resident.
    """

    index: int
    op: str
    kernel: str
    refused: tuple[tuple[str, str], ...]
    nodes: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    arena_offset: int
    output_bytes: int
    scratch_bytes: int
    parts: int
    tile_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """A model as planned for a target.

    Attributes:
        name: of the model.
        sha256: of its file.
        producer: the program that wrote it, may be empty.
        target: what it is planned for.
        optimize: "speed", "size", "speed and memory" or "size and memory".
        inputs: what the host writes.
        outputs: what the host reads.
        operators: how often the model has each ONNX operator, functions inlined.
        macs: multiply-accumulates of one run.
        weight_bytes: all constants, equal ones once.
        arena_bytes: memory for everything that lives between two layers.
        arena_floor_bytes: what no plan for these kernels in this order can go below.
        layers: in execution order.
        passes: rewrites in their order, and how often each applied.
    """

    name: str
    sha256: str
    producer: str
    target: str
    optimize: str
    inputs: tuple[PortReport, ...]
    outputs: tuple[PortReport, ...]
    operators: dict[str, int]
    macs: int
    weight_bytes: int
    arena_bytes: int
    arena_floor_bytes: int
    layers: tuple[LayerReport, ...]
    passes: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleReport:
    """A module as it tells itself.

    Attributes:
        metadata: its section "nn2wasm".
        sizes: where its bytes go.
        exports: names and kinds of what the host sees.
        memory_pages: of each memory, least and most.
        broken_promises: what a module of nn2wasm should not do and this one does.
    """

    metadata: dict[str, Any]
    sizes: ModuleSizes
    exports: tuple[tuple[str, str], ...]
    memory_pages: tuple[tuple[int, int | None], ...]
    broken_promises: tuple[str, ...]


def inspect_model(
    model: ModelSource, target: str | Target = "wasm", options: Options | None = None
) -> ModelReport:
    """Plans the model; no compiler is needed.

    Raises:
        Nn2wasmError: the model cannot be compiled; the subclass says why.
    """
    options = options or Options()
    chosen = find_target(target) if isinstance(target, str) else target
    source = read_model(model, shapes=options.shapes, limits=options.limits)
    names = (f"{n.domain}.{n.op_type}" if n.domain else n.op_type for n in source.nodes)
    compiled = plan_model(model, chosen, options)
    return _report(compiled, dict(Counter(names).most_common()), source.producer)


def inspect_module(module: bytes) -> ModuleReport:
    """Reads a module; nothing of it is run.

    Raises:
        RunError: not WebAssembly, or not made by nn2wasm.
    """
    wasm = WasmFile.parse(module)
    return ModuleReport(
        metadata=read_metadata(module),
        sizes=module_sizes(module),
        exports=tuple((export.name, export.kind.name.lower()) for export in wasm.exports),
        memory_pages=tuple((memory.minimum, memory.maximum) for memory in wasm.memories),
        broken_promises=tuple(broken_promises(module)),
    )


def _report(compiled: Compiled, operators: dict[str, int], producer: str) -> ModelReport:
    plan = compiled.plan
    return ModelReport(
        name=compiled.name,
        sha256=compiled.sha256,
        producer=producer,
        target=plan.target.name,
        optimize=plan.target.optimized_for,
        inputs=tuple(_port(tensor, tensor.name) for tensor in plan.graph.inputs),
        outputs=_outputs(plan.graph),
        operators=operators,
        macs=plan.macs,
        weight_bytes=plan.weight_bytes,
        arena_bytes=plan.memory.arena_bytes,
        arena_floor_bytes=plan.memory.floor_bytes,
        layers=tuple(_layer(call, plan.memory.offsets) for call in plan.calls),
        passes=tuple(compiled.log.entries),
    )


def _outputs(graph: Graph) -> tuple[PortReport, ...]:
    pairs = zip(graph.outputs, graph.output_names, strict=True)
    return tuple(_port(tensor, name) for tensor, name in pairs)


def _port(tensor: Tensor, name: str) -> PortReport:
    quant = tensor.quant if tensor.quant is not None and tensor.quant.axis is None else None
    return PortReport(
        name=name,
        dtype=tensor.dtype.value,
        shape=tensor.shape,
        scale=None if quant is None else float(quant.scale),
        zero_point=None if quant is None else int(quant.zero_point),
    )


def _layer(call: Call, offsets: dict[Tensor, int]) -> LayerReport:
    node = call.node
    return LayerReport(
        index=call.index,
        op=node.op.kind,
        kernel=call.choice.kernel.symbol,
        refused=call.choice.refused,
        nodes=node.origin or (node.name,),
        dtype=node.output.dtype.value,
        shape=node.output.shape,
        macs=node.op.macs(node),
        weight_bytes=call.constant_bytes,
        arena_offset=offsets[node.output],
        output_bytes=node.output.bytes,
        scratch_bytes=call.scratch_bytes,
        parts=len(call.kernels),
        tile_bytes=call.tile_bytes,
    )
