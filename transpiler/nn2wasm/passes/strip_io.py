"""Takes float quantizers off the network's border: the host hands over and receives integers.

Rules: an input whose readers all quantize alike becomes their integers; an output that is
dequantized becomes the integers before. Scale and zero point go to the module's description. What
stays from run to run stays as it is.
"""

from __future__ import annotations

from nn2wasm.ir import Graph
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges


def strip_io(graph: Graph, options: PassOptions) -> int:
    if not options.io_integers:
        return 0
    count = 0
    for index, tensor in enumerate(graph.inputs):
        edges = Edges(graph)
        readers = edges.readers(tensor)
        first = readers[0].op if readers else None
        if tensor.name in options.states.values():
            continue
        if not isinstance(first, Quantize) or edges.is_output(tensor):
            continue
        if not all(
            isinstance(reader.op, Quantize)
            and reader.op.quant.same_as(first.quant)
            and reader.op.dtype is first.dtype
            for reader in readers
        ):
            continue
        integers = readers[0].output
        for reader in readers:
            graph.replace_uses(reader.output, integers)
            graph.remove(reader)
        integers.name, integers.source = tensor.name, None
        graph.inputs[index] = integers
        count += 1
    for index, tensor in enumerate(graph.outputs):
        edges = Edges(graph)
        if graph.output_names[index] in options.states:
            continue
        before = edges.producer(tensor, Dequantize)
        if before is None or edges.readers(tensor) or before.input(0) in graph.outputs:
            continue
        if before.input(0) in graph.inputs:
            continue
        graph.outputs[index] = before.input(0)
        graph.remove(before)
        count += 1
    return count
