"""Invariants of a graph, verified after import and after every pass."""

from __future__ import annotations

from nn2wasm.errors import InternalError
from nn2wasm.ir.graph import Graph
from nn2wasm.ir.tensor import Tensor


def check(graph: Graph, after: str) -> None:
    """Verifies that the graph can be executed from first to last node.

    1. Every tensor that is read is a constant, an input, or written by an earlier node.
    2. No tensor is written twice, no two nodes share a name.
    3. Outputs have the types that their operation infers.
    4. Constants have the type and shape that they claim.

    Raises:
        InternalError: names the pass and the broken invariant.
    """

    def broken(what: str) -> InternalError:
        return InternalError(f"after {after}: {what}", hint="please report this model")

    known: set[Tensor] = {*graph.inputs, *(state.kept for state in graph.states)}
    names: set[str] = set()
    for node in graph.nodes:
        if node.name in names:
            raise broken(f"two nodes are named {node.name!r}")
        names.add(node.name)
        for tensor in node.present_inputs:
            if tensor.data is not None:
                if tensor.data.shape != tensor.shape or tensor.data.dtype != tensor.dtype.numpy:
                    raise broken(
                        f"constant {tensor!r} holds {tensor.data.dtype}{tensor.data.shape}"
                    )
            elif tensor not in known:
                raise broken(f"{node.describe()} reads {tensor!r} before it is written")
        inferred = node.op.infer(node.inputs)
        if len(inferred) != len(node.outputs):
            raise broken(f"{node.describe()} has {len(node.outputs)} outputs, not {len(inferred)}")
        for tensor, kind in zip(node.outputs, inferred, strict=True):
            if tensor in known:
                raise broken(f"{tensor!r} is written twice")
            known.add(tensor)
            if (tensor.dtype, tensor.shape) != (kind.dtype, kind.shape):
                raise broken(
                    f"{node.describe()} gives {kind.dtype.value}{list(kind.shape)}, "
                    f"its output says {tensor.dtype.value}{list(tensor.shape)}"
                )
    for tensor in graph.outputs:
        if tensor not in known and not tensor.is_constant:
            raise broken(f"output {tensor!r} is never written")
