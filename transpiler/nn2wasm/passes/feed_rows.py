"""Makes the input one of rows of pixels, channels last, where the host hands it over row by row.

Rule: Transpose(planes → channels) behind the input, past what computes element by element, goes;
the input itself has the order that it made.
"""

from __future__ import annotations

from nn2wasm.errors import UnsupportedFeature, quote
from nn2wasm.ir import Graph, Node, Tensor
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.shape import is_alias
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges

PIXELS = (0, 2, 3, 1)


def feed_rows(graph: Graph, options: PassOptions) -> int:
    if not options.feed_rows:
        return 0
    image = graph.inputs[0]
    if len(graph.inputs) != 1 or len(image.shape) != 4 or image.shape[0] != 1:
        raise UnsupportedFeature(
            "only a network with one input, an image, can be fed row by row",
            facts=[("inputs", ", ".join(f"{quote(t.name)} {list(t.shape)}" for t in graph.inputs))],
        )
    chain, last = _chain(graph)
    if last is None:
        return 0
    pixels = _permuted(image)
    graph.inputs[0] = pixels
    before, now = image, pixels
    for node in chain:
        node.inputs = [now if tensor is before else tensor for tensor in node.inputs]
        before = node.output
        now = node.outputs[0] = _permuted(before)
    graph.replace_uses(last.output, now)
    graph.remove(last)
    return 1


def _chain(graph: Graph) -> tuple[list[Node], Node | None]:
    """What computes element by element behind the input, and the transposition behind that."""
    edges, chain, tensor = Edges(graph), list[Node](), graph.inputs[0]
    while len(readers := edges.readers(tensor)) == 1 and not edges.is_output(tensor):
        node = readers[0]
        if isinstance(node.op, Transpose):
            found = node.op.perm == PIXELS and not edges.is_output(node.output)
            return chain, node if found else None
        if is_alias(node) and tensor.shape[1] == 1:  # one plane: its channels are where they were
            found = node.output.shape == _permuted(tensor).shape
            return chain, node if found and not edges.is_output(node.output) else None
        others = [t for t in node.present_inputs if t is not tensor]
        if not node.op.elementwise or any(t.element_count > 1 and len(t.shape) > 1 for t in others):
            break
        if node.op.transposed(node, PIXELS) is not node.op:
            break
        chain.append(node)
        tensor = node.output
    return chain, None


def _permuted(tensor: Tensor) -> Tensor:
    shape = tuple(tensor.shape[axis] for axis in PIXELS)
    return Tensor(
        tensor.name, tensor.dtype, shape, tensor.quant, None, tensor.source or tensor.name, PIXELS
    )
