"""The graph that passes rewrite: nodes in execution order, tensors as edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nn2wasm.errors import InternalError, quote
from nn2wasm.ir.op import Op
from nn2wasm.ir.tensor import Array, QuantParams, Tensor


@dataclass(slots=True, eq=False)
class Node:
    """One operation.

    Attributes:
        name: unique in its graph.
        op: the operation with its attributes.
        inputs: None stands for an optional input left out.
        outputs: tensors that this node alone writes.
        origin: the ONNX nodes folded into this one, for messages and reports.
        part_of: where this makes some of another node's outputs: what is proven for all of that
            node's weights holds here, so that all its parts can share a form.
    """

    name: str
    op: Op
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    origin: tuple[str, ...] = ()
    part_of: PartOf | None = None

    @property
    def output(self) -> Tensor:
        return self.outputs[0]

    def input(self, index: int) -> Tensor:
        """An input that must be there."""
        tensor = self.inputs[index]
        if tensor is None:
            raise InternalError(f"{self.describe()} lacks its input {index}")
        return tensor

    def optional(self, index: int) -> Tensor | None:
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def present_inputs(self) -> list[Tensor]:
        return [tensor for tensor in self.inputs if tensor is not None]

    @property
    def activations(self) -> list[Tensor]:
        """Inputs that are computed at run time."""
        return [tensor for tensor in self.present_inputs if not tensor.is_constant]

    def describe(self) -> str:
        return f"{self.op.kind} {quote(self.origin[0] if self.origin else self.name)}"

    def __repr__(self) -> str:
        return f"<{self.name} {self.op.kind} {self.inputs} -> {self.outputs}>"


@dataclass(frozen=True, slots=True, eq=False)
class PartOf:
    """Some outputs of a node, along its last axis.

    Attributes:
        node: the whole.
        outputs: their indices.
    """

    node: Node
    outputs: Array


class State(NamedTuple):
    """What stays from one run to the next.

    Attributes:
        kept: read by the network, written by nobody in it.
        source: the output that a run copies over it at its end.
    """

    kept: Tensor
    source: Tensor


@dataclass(slots=True, eq=False)
class Graph:
    """A network: only passes change it, and `ir.check` verifies it after every pass.

    Attributes:
        name: the model's.
        inputs: what the host writes.
        outputs: what the host reads, no tensor twice.
        output_names: the model's names of them.
        output_labels: names of classes, by output; see `Tensor.labels`.
        port_bits: of inputs and outputs whose integers have fewer than a byte; see `Tensor.bits`.
        nodes: in execution order.
        states: inputs that are not the host's.
    """

    name: str
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    output_labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    port_bits: dict[str, int] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)

    def fresh(self, stem: str) -> str:
        """A name that no tensor or node of this graph has; the stem itself where it is free."""
        count = self._names.get(stem, 0)
        self._names[stem] = count + 1
        if not count:
            return stem
        return self.fresh(f"{stem}.{count}")

    # -- edges ---------------------------------------------------------------------------------

    def producers(self) -> dict[Tensor, Node]:
        return {tensor: node for node in self.nodes for tensor in node.outputs}

    def users(self) -> dict[Tensor, list[Node]]:
        """Nodes that read each tensor, in order, a node once for each of its reads."""
        users: dict[Tensor, list[Node]] = {}
        for node in self.nodes:
            for tensor in node.present_inputs:
                users.setdefault(tensor, []).append(node)
        return users

    def constants(self) -> list[Tensor]:
        """Constant inputs in the order of their first use."""
        seen: dict[Tensor, None] = {}
        for node in self.nodes:
            for tensor in node.present_inputs:
                if tensor.is_constant:
                    seen[tensor] = None
        return list(seen)

    # -- building and rewriting ----------------------------------------------------------------

    def constant(self, stem: str, data: Array, quant: QuantParams | None = None) -> Tensor:
        return Tensor.constant(self.fresh(stem), data, quant)

    def make(
        self,
        op: Op,
        inputs: Sequence[Tensor | None],
        *,
        name: str,
        origin: tuple[str, ...] = (),
        quants: Sequence[QuantParams | None] = (),
        outputs: Sequence[Tensor] | None = None,
    ) -> Node:
        """A node that is not in the graph yet.

        Args:
            op: the operation.
            inputs: its inputs.
            name: stem of the node's name and of its outputs' names.
            origin: ONNX nodes it stands for.
            quants: meaning of the integers of each output.
            outputs: tensors to write; inferred and made where left out.
        """
        if outputs is None:
            outputs = [
                Tensor(self.fresh(f"{name}_out"), kind.dtype, kind.shape)
                for kind in op.infer(inputs)
            ]
            for tensor, quant in zip(outputs, quants, strict=False):
                tensor.quant = quant
        return Node(self.fresh(name), op, list(inputs), list(outputs), origin)

    def insert_before(self, mark: Node, nodes: Iterable[Node]) -> None:
        index = self.nodes.index(mark)
        self.nodes[index:index] = list(nodes)

    def insert_after(self, mark: Node, nodes: Iterable[Node]) -> None:
        index = self.nodes.index(mark) + 1
        self.nodes[index:index] = list(nodes)

    def remove(self, node: Node) -> None:
        self.nodes.remove(node)

    def replace_uses(self, old: Tensor, new: Tensor) -> None:
        """Every reader of `old` reads `new`; a graph output that was `old` becomes `new`."""
        for node in self.nodes:
            node.inputs = [new if tensor is old else tensor for tensor in node.inputs]
        self.outputs = [new if tensor is old else tensor for tensor in self.outputs]

    def sort(self) -> None:
        """Puts the nodes into an execution order, the present one as far as it is one."""
        producers = self.producers()
        done: set[Node] = set()
        order: list[Node] = []
        for root in self.nodes:
            stack = [(root, False)]
            while stack:
                node, ready = stack.pop()
                if node in done:
                    continue
                if ready:
                    done.add(node)
                    order.append(node)
                    continue
                stack.append((node, True))
                for tensor in reversed(node.present_inputs):
                    if tensor in producers and producers[tensor] not in done:
                        stack.append((producers[tensor], False))
        self.nodes = order
