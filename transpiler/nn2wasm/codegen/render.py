"""Plan → C: kernels and layers from templates, constants as arrays, the description as metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import prod

from nn2wasm.codegen.constants import ConstantWriter
from nn2wasm.codegen.environment import render_template
from nn2wasm.codegen.identifiers import comment_text, identifier
from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.codegen.layers import LayerWriter, shape_text
from nn2wasm.codegen.layout import comment_lines
from nn2wasm.codegen.literals import c_string
from nn2wasm.codegen.source_tree import SourceTree
from nn2wasm.ir import Tensor
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.spatial import offset_text
from nn2wasm.plan import Plan
from nn2wasm.plan.segments import STATE_BYTES
from nn2wasm.target import FROM_HOST, RESIDENT
from nn2wasm.version import __version__

ABI = 1
SCATTER_HEADER = "nn2wasm/scatter.h"
DECODE_HEADER = "nn2wasm/decode.h"
TINY_LAYERS, TINY_WORK = 8, 64
"""Layers, and their products and elements together, up to which calls cost more than they do."""


def render(plan: Plan, *, name: str, model_sha256: str, embed: bool = False) -> SourceTree:
    """The sources of a plan: ``<name>.h``, ``<name>.c`` and the files that it embeds.

    Args:
        plan: what to write.
        name: the model's name; it becomes an identifier.
        model_sha256: of the model's file, for the description.
        embed: put large constants into files of their own, for compilers with #embed.
    """
    constants = ConstantWriter(plan, identifier(name), embed)
    writer = LayerWriter(plan, constants.name, KernelSet(plan.calls), constants)
    layers = [layer for segment in plan.segments for layer in writer.layers(segment)]
    texts = writer.kernels.texts()
    metadata = describe(plan, name, model_sha256)
    kernels = [call.choice.kernel for layer in plan.calls for call in layer.kernels]
    tiny = 0 < len(layers) <= TINY_LAYERS and _work(plan) <= TINY_WORK
    context: dict[str, object] = {
        "version": __version__,
        "target": plan.target.name,
        "name": writer.name,
        "upper": writer.name.upper(),
        "title": comment_text(name),
        "model_sha256": model_sha256,
        "arena_bytes": max(1, plan.memory.arena_bytes),
        "weight_bytes": plan.weight_bytes,
        "macs": plan.macs,
        "inputs": [_port(plan, tensor, tensor.name) for tensor in plan.graph.inputs],
        "outputs": [
            _port(plan, tensor, output)
            for tensor, output in zip(plan.graph.outputs, plan.graph.output_names, strict=True)
        ],
        "constants": constants.texts,
        "guards": list(dict.fromkeys(kernel.guard for kernel in kernels if kernel.guard)),
        "headers": _headers(plan),
        "kernels": texts,
        "any_shared": writer.kernels.any_shared,
        "any_rolled": any("NN_ROLLED" in text for text in texts),
        "layers": layers,
        "many_layers": len(layers) > 1,
        "tiny": tiny,
        "calls_layers": bool(layers) and not tiny,
        "feed": _feed(plan, layers),
        "states": _states(plan),
        "reads_weights": plan.target.weights != RESIDENT,
        "file_bytes": len(constants.weights),
        "steps": list(_steps(layers)),
    }
    context["input_count"] = len(plan.graph.inputs)
    context["output_count"] = len(plan.graph.outputs)
    files: dict[str, str | bytes] = {
        f"{writer.name}.h": render_template("model.h.j2", context),
        f"{writer.name}.c": render_template("model.c.j2", context),
    }
    files |= constants.files
    weights = bytes(constants.weights)
    if plan.target.weights == FROM_HOST:
        digest = hashlib.sha256(weights).hexdigest()
        metadata |= {"weights_file_bytes": len(weights), "weights_sha256": digest}
    return SourceTree(
        writer.name, files, max(1, plan.memory.arena_bytes), metadata, weights, tiny=tiny
    )


def _work(plan: Plan) -> int:
    """What layers do, roughly: products, and elements written."""
    written = sum(tensor.element_count for call in plan.calls for tensor in call.node.outputs)
    return plan.macs + written


def _headers(plan: Plan) -> list[str]:
    """Headers of runtime_c that kernels and the layers around them call, each once."""
    headers: dict[str, None] = {}
    for layer in plan.calls:
        headers |= dict.fromkeys(h for call in layer.kernels for h in call.choice.kernel.headers)
        if layer.parts and layer.parts.scattered_bytes:
            headers[SCATTER_HEADER] = None
        if any(call.encoded for call in layer.kernels):
            headers[DECODE_HEADER] = None
    return list(headers)


def _feed(plan: Plan, layers: list[dict[str, object]]) -> dict[str, object] | None:
    """What feeding the input row by row takes; None where it comes whole."""
    first = plan.segments[0] if plan.segments else None
    if not plan.target.feeds_rows or first is None or first.stretch is None:
        return None
    stretch, source = first.stretch, first.stretch.source
    driver, *steps = _steps(layers)
    return {
        "state": plan.memory.state_offset,
        "state_bytes": STATE_BYTES * (len(stretch.forms) + 1),
        "count": len(stretch.forms),
        "offset": plan.memory.offsets[source],
        "kept": (first.rings or {})[source],
        "rows": stretch.source_rows,
        "row_bytes": source.bytes // stretch.source_rows,
        "driver": driver["function"],
        "steps": steps,
    }


def _steps(layers: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    """What the run calls: layers alone, and the drivers of others; layers done before each."""
    done = 0
    for index, layer in enumerate(layers):
        driver = layer["driver"]
        if isinstance(driver, dict):
            yield {"function": driver["function"], "is_driver": True, "done": done}
        elif not layer["streams"]:
            yield {"function": layer["function"], "is_driver": False, "done": done}
        else:
            continue
        done = index + 1


def describe(plan: Plan, name: str, model_sha256: str) -> dict[str, object]:
    """What a module tells about itself; see docs/abi.md."""
    outputs = zip(plan.graph.outputs, plan.graph.output_names, strict=True)
    return (
        {
            "abi": ABI,
            "model": name,
            "version": __version__,
            "target": plan.target.name,
            "inputs": [_signature(plan, tensor, tensor.name) for tensor in plan.graph.inputs],
            "outputs": [
                _signature(plan, tensor, output) | _labels(plan, output)
                for tensor, output in outputs
            ],
            "arena_bytes": plan.memory.arena_bytes,
            "weight_bytes": plan.weight_bytes,
            "macs": plan.macs,
            "model_sha256": model_sha256,
        }
        | _weights(plan)
        | _fed(plan)
        | _kept(plan)
    )


def _states(plan: Plan) -> list[dict[str, object]]:
    """What stays from run to run, and where it comes from."""
    names = dict(zip(plan.graph.outputs, plan.graph.output_names, strict=True))
    offsets = plan.memory.offsets
    return [
        {
            "comment": comment_text(names[state.source])
            + f" -> {comment_text(state.kept.name)}, {shape_text(state.kept)}",
            "offset": offsets[state.kept],
            "source": offsets[state.source],
            "moves": offsets[state.kept] != offsets[state.source],
            "bytes": state.kept.bytes,
        }
        for state in plan.graph.states
    ]


def _kept(plan: Plan) -> dict[str, object]:
    """The same for whoever loads the model."""
    names = dict(zip(plan.graph.outputs, plan.graph.output_names, strict=True))
    states = [
        {"output": names[state.source], "input": state.kept.name, "dtype": state.kept.dtype.value,
         "shape": list(state.kept.shape)}
        for state in plan.graph.states
    ]  # fmt: skip
    return {"states": states} if states else {}


def _weights(plan: Plan) -> dict[str, object]:
    """Where constants are, if not in memory."""
    where = plan.target.weights
    return {} if where == RESIDENT else {"weights": where}


def _fed(plan: Plan) -> dict[str, object]:
    """How the input is fed, where that is row by row; loaders take it in the model's own order."""
    if not plan.target.feeds_rows:
        return {}
    image = plan.graph.inputs[0]
    _, rows, columns, channels = image.shape
    planes = image.perm is not None
    about = _signature(plan, image, image.name)
    if planes:
        about["shape"] = [1, channels, rows, columns]
    feed = {"rows": rows, "shape": [columns, channels], "planes": planes}
    return {"inputs": [about], "feed": feed}


def _signature(plan: Plan, tensor: Tensor, name: str) -> dict[str, object]:
    about: dict[str, object] = {
        "name": name,
        "dtype": tensor.dtype.value,
        "shape": list(tensor.shape),
    }
    if name in plan.graph.port_bits:
        about["bits"] = plan.graph.port_bits[name]
    quant = tensor.quant
    if quant is not None and quant.axis is None:
        about |= {"scale": float(quant.scale), "zero_point": int(quant.zero_point)}
    return about


def _labels(plan: Plan, output: str) -> dict[str, object]:
    """The names of an output's classes, where it has any."""
    labels = plan.graph.output_labels.get(output)
    return {"labels": list(labels)} if labels else {}


def _port(plan: Plan, tensor: Tensor, name: str) -> dict[str, object]:
    """An input or output in the header."""
    quant = tensor.quant if tensor.quant is not None and tensor.quant.axis is None else None
    comment = f"'{comment_text(name)}' {shape_text(tensor)}"
    macros: dict[str, object] = {}
    if quant is not None:
        zero_point, scale = int(quant.zero_point), float_literal(float(quant.scale))
        comment += f"; real = (q{offset_text(-zero_point)}) * {scale[:-1]}"
        macros = {"zero_point": zero_point, "scale": scale}
    labels = plan.graph.output_labels.get(name, ()) if tensor in plan.graph.outputs else ()
    if labels:
        indices = "elements of the last axis" if tensor.dtype.is_float else "what its integers are"
        comment += f"; LABELS names {indices}"
    return {
        "labels": [c_string(label) for label in labels],
        "comment": comment_lines(comment, taken=len("Output 00: ")),
        "type": tensor.dtype.c_name,
        "count": prod(tensor.shape),
        "bytes": tensor.bytes,
        "offset": plan.memory.offsets[tensor],
        "quant": macros,
    }
