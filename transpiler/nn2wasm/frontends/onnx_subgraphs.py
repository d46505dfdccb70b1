"""Walks over the graphs inside a node's attributes, without recursion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from nn2wasm.errors import InvalidModel


@dataclass(frozen=True, slots=True)
class Scope:
    """A subgraph and the names it defines.

    Attributes:
        graph: the subgraph.
        names: its inputs, initializers and node outputs.
        parent: the scope around it, None where the main graph (or function) is around it.
        depth: 1 for a subgraph of the main graph.
    """

    graph: onnx.GraphProto
    names: frozenset[str]
    parent: Scope | None
    depth: int

    def defines(self, name: str) -> bool:
        """True where this subgraph or one around it defines `name`; else it is captured."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return True
            scope = scope.parent
        return False


def subgraphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """The graphs of an attribute, whatever type it claims to have."""
    graphs = [attribute.g] if attribute.HasField("g") else []
    graphs.extend(attribute.graphs)
    return graphs


def scopes(roots: list[onnx.GraphProto], depth_limit: int) -> Iterator[Scope]:
    """Each graph in `roots` and all graphs inside them, outer ones first.

    Raises:
        InvalidModel: nesting deeper than `depth_limit`.
    """
    stack: list[tuple[onnx.GraphProto, Scope | None]] = [(graph, None) for graph in roots]
    while stack:
        graph, parent = stack.pop()
        depth = parent.depth + 1 if parent else 1
        if depth > depth_limit:
            raise InvalidModel(f"subgraphs are nested deeper than {depth_limit} levels")
        scope = Scope(graph, _defined(graph), parent, depth)
        yield scope
        for node in graph.node:
            for attribute in node.attribute:
                stack.extend((inner, scope) for inner in subgraphs(attribute))


def captured_names(roots: list[onnx.GraphProto], depth_limit: int) -> set[str]:
    """Names that the graphs read from the graph around them."""
    names: set[str] = set()
    for scope in scopes(roots, depth_limit):
        read = {name for node in scope.graph.node for name in node.input}
        read.update(output.name for output in scope.graph.output)
        names.update(name for name in read if name and not scope.defines(name))
    return names


def _defined(graph: onnx.GraphProto) -> frozenset[str]:
    names = {value.name for value in graph.input}
    names.update(tensor.name for tensor in graph.initializer)
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        names.update(node.output)
    return frozenset(names)
