"""Questions that passes ask about the edges of a graph, answered from one snapshot of it."""

from __future__ import annotations

from collections.abc import Iterable

from nn2wasm.ir import Graph, Node, Op, Tensor


class Edges:
    """Producers and readers; kept true by asking anew after a rewrite (`Edges(graph)`)."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = graph.producers()
        self.users = graph.users()
        self._outputs = set(graph.outputs)
        self._order = {node: index for index, node in enumerate(graph.nodes)}

    def producer(self, tensor: Tensor | None, kind: type[Op] | None = None) -> Node | None:
        """The node that writes the tensor, where its op is of that kind."""
        node = self.producers.get(tensor) if tensor is not None else None
        if node is None or (kind is not None and not isinstance(node.op, kind)):
            return None
        return node

    def in_order(self, nodes: Iterable[Node]) -> list[Node]:
        """Those nodes as they are executed."""
        return sorted(nodes, key=self._order.__getitem__)

    def rewired(self, node: Node) -> None:
        """Takes note that the node reads or writes other tensors than before."""
        for tensor in node.outputs:
            self.producers[tensor] = node
        for tensor in node.present_inputs:
            readers = self.users.setdefault(tensor, [])
            if node not in readers:
                readers.append(node)

    def readers(self, tensor: Tensor) -> list[Node]:
        return self.users.get(tensor, [])

    def is_output(self, tensor: Tensor) -> bool:
        return tensor in self._outputs

    def only_reader(self, tensor: Tensor) -> Node | None:
        """The one node that reads the tensor, None where there are others or it is an output."""
        readers = self.readers(tensor)
        return readers[0] if len(readers) == 1 and not self.is_output(tensor) else None
