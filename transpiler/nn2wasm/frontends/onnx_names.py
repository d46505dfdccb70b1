"""Fresh names for what inlining creates: readable, unique, and never long."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_subgraphs import scopes, subgraphs

LONGEST_STEM = 160  # hostile names must not grow with the depth of the calls


class FreshNames:
    """Hands out names that are not taken yet."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def make(self, stem: str) -> str:
        """`stem`, with a number where that is taken, shortened in front where it is too long."""
        if len(stem) > LONGEST_STEM:
            stem = "…" + stem[1 - LONGEST_STEM :]
        name = stem
        number = self._next.get(stem, 0)
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._next[stem] = number
        self._taken.add(name)
        return name


def all_names(model: onnx.ModelProto, limits: Limits) -> set[str]:
    """Every tensor name that a fresh name must not meet.

    Names that are only read are among them: a fresh name must not give a dangling one a
    meaning. So are the names that functions define inside subgraphs, because there they would
    hide a fresh name.
    """
    graph = model.graph
    names = {value.name for value in graph.input}
    names.update(value.name for value in graph.output)
    names.update(tensor.name for tensor in graph.initializer)
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        names.update(node.input)
        names.update(node.output)
    bodies = [graph.node, *(function.node for function in model.functions)]
    for node in (node for body in bodies for node in body):
        roots = [inner for attribute in node.attribute for inner in subgraphs(attribute)]
        for scope in scopes(roots, limits.depth):
            names.update(scope.names)
            for inner in scope.graph.node:
                names.update(inner.input)
    return names
