"""A graph as text, one line a node: for tests, logs and people."""

from __future__ import annotations

from nn2wasm.ir.graph import Graph
from nn2wasm.ir.tensor import Tensor


def text(graph: Graph) -> str:
    """Inputs, then a line for each node in execution order, then outputs."""
    lines = [f"in  {type_text(tensor)}" for tensor in graph.inputs]
    for node in graph.nodes:
        operands = ", ".join("-" if t is None else type_text(t) for t in node.inputs)
        results = ", ".join(type_text(t) for t in node.outputs)
        lines.append(f"    {node.op.kind}({operands}) -> {results}")
    lines += [f"out {type_text(tensor)}" for tensor in graph.outputs]
    return "\n".join(lines)


def type_text(tensor: Tensor) -> str:
    """Name, type and shape; ``*`` marks a constant, ``~`` integers with a meaning."""
    marks = ("*" if tensor.is_constant else "") + ("~" if tensor.quant is not None else "")
    return f"{tensor.name}:{tensor.dtype.value}{list(tensor.shape)}{marks}".replace(" ", "")
