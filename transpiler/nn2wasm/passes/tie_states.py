"""Ties outputs to inputs: what the network gives out in a run is what it gets in the next.

Rule: an input that is named so is the host's no more; its values stay in the arena, and a run ends
by copying the output over them. An output that is itself such an input's bytes becomes a copy,
since those bytes are about to change.
"""

from __future__ import annotations

from nn2wasm.errors import UnsupportedFeature, quote
from nn2wasm.ir import Graph, Tensor
from nn2wasm.ir.graph import State
from nn2wasm.ops.movement import Expand
from nn2wasm.ops.shape import is_alias
from nn2wasm.passes.base import PassOptions


def tie_states(graph: Graph, options: PassOptions) -> int:
    taken: dict[Tensor, str] = {}
    for output_name, input_name in options.states.items():
        index = _position(output_name, graph.output_names, "output")
        names = [tensor.name for tensor in graph.inputs]
        kept = graph.inputs[_position(input_name, names, "input")]
        if kept in taken:
            raise UnsupportedFeature(
                f"the input {quote(input_name)} is to keep two outputs",
                facts=[("outputs", f"{quote(taken[kept])}, {quote(output_name)}")],
            )
        _check_match(graph.outputs[index], output_name, kept)
        taken[kept] = output_name
    for kept, output_name in taken.items():
        index = graph.output_names.index(output_name)
        origin = _origin(graph, graph.outputs[index])
        if origin in taken and origin is not kept:
            _copy_output(graph, index)
        graph.states.append(State(kept, graph.outputs[index]))
    graph.inputs = [tensor for tensor in graph.inputs if tensor not in taken]
    return len(taken)


def _position(name: str, names: list[str], what: str) -> int:
    if name not in names:
        raise UnsupportedFeature(
            f"the network has no {what} {quote(name)} for its state",
            facts=[(f"{what}s", ", ".join(quote(n) for n in names) or "none")],
            hint="--state takes an output and the input that gets it in the next run: "
            "--state h_out=h_in",
        )
    return names.index(name)


def _check_match(output: Tensor, output_name: str, kept: Tensor) -> None:
    if (output.dtype, output.shape) != (kept.dtype, kept.shape):
        raise UnsupportedFeature(
            f"the output {quote(output_name)} cannot be kept for the input {quote(kept.name)}",
            facts=[
                ("output", f"{output.dtype.value} {list(output.shape)}"),
                ("input", f"{kept.dtype.value} {list(kept.shape)}"),
            ],
            hint="type and shape must be the same",
        )


def _origin(graph: Graph, tensor: Tensor) -> Tensor:
    """The tensor whose bytes this one is."""
    producers = graph.producers()
    while tensor in producers and is_alias(producers[tensor]):
        tensor = producers[tensor].input(0)
    return tensor


def _copy_output(graph: Graph, index: int) -> None:
    tensor = graph.outputs[index]
    name = f"{graph.output_names[index]}_copy"
    node = graph.make(Expand(tensor.shape), [tensor], name=name, quants=[tensor.quant])
    graph.nodes.append(node)
    graph.outputs[index] = node.output
