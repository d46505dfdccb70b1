"""Graphs as plain values: initializers, nodes in order; those inside a node's attributes, too."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import onnx

from nn2wasm.errors import InvalidModel, UnsupportedFeature, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_attributes import AttributeReader
from nn2wasm.frontends.onnx_function_index import NodeTemplate, node_template
from nn2wasm.frontends.onnx_functions import FlatNode
from nn2wasm.frontends.onnx_order import describe, order_nodes
from nn2wasm.frontends.onnx_subgraphs import captured_names, subgraphs
from nn2wasm.frontends.onnx_tensors import TensorReader, tensor_label, type_name
from nn2wasm.frontends.onnx_types import OnnxNodeRecord
from nn2wasm.ir.tensor import Array


@dataclass(frozen=True, slots=True)
class OnnxBody:
    """A graph inside an attribute.

    Attributes:
        inputs: their names.
        outputs: their names.
        initializers: constants.
        nodes: in execution order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    initializers: dict[str, Array]
    nodes: tuple[OnnxNodeRecord, ...]


class BodyReader:
    """Reads the graphs inside attributes, each once."""

    def __init__(self, limits: Limits, tensors: TensorReader, attributes: AttributeReader) -> None:
        self._limits = limits
        self._tensors = tensors
        self._attributes = attributes
        # The protobuf object is kept beside its value, so that its id stays its own.
        self._known: dict[int, tuple[onnx.GraphProto, OnnxBody]] = {}

    def read(
        self,
        graph: onnx.GraphProto,
        opsets: Mapping[str, int],
        visible: Container[str],
        where: str,
    ) -> OnnxBody:
        """A graph with its names checked and its nodes in order.

        Args:
            graph: untrusted.
            opsets: versions by domain.
            visible: names of tensors around it.
            where: what messages call it.

        Raises:
            InvalidModel: names with two origins or none, a cycle, malformed tensors.
            UnsupportedFeature: element types or opset versions that are not read.
        """
        known = self._known.get(id(graph))
        if known is None:
            known = self._known[id(graph)] = (graph, self._read(graph, opsets, visible, where))
        return known[1]

    def _read(
        self,
        graph: onnx.GraphProto,
        opsets: Mapping[str, int],
        visible: Container[str],
        where: str,
    ) -> OnnxBody:
        inputs = tuple(value.name for value in graph.input)
        outputs = tuple(value.name for value in graph.output)
        if "" in (*inputs, *outputs) or len(set(inputs)) < len(inputs):
            raise InvalidModel(f"{where} has two inputs of the same name, or a name that is empty")
        constants, unsupported = read_constants(graph, self._tensors)
        for name, kind in unsupported.items():
            raise UnsupportedFeature(
                f"initializer {quote(name)} of {where} has elements of type {kind}, "
                "which nn2wasm does not compute with"
            )
        sources = dict.fromkeys(constants, "an initializer")
        sources |= dict.fromkeys(inputs, "an input")
        for name in captured_names([graph], self._limits.depth):
            if name in visible:
                sources[name] = "a tensor around it"
        templates = (node_template(n, i, self._limits) for i, n in enumerate(graph.node))
        flat = [_flat_node(template, opsets) for template in templates]
        check_opsets(flat)
        ordered = order_nodes(flat, sources, outputs, self._limits)
        nodes = tuple(read_node(node, self._attributes) for node in ordered)
        return OnnxBody(inputs, outputs, constants, nodes)


def _flat_node(node: NodeTemplate, opsets: Mapping[str, int]) -> FlatNode:
    for name, attribute in node.attributes:
        if attribute.ref_attr_name:
            raise InvalidModel(
                f"attribute {quote(name)} of a node {quote(node.op_type)} inside a subgraph refers "
                "to one of a function, but is in no function"
            )
    return FlatNode(
        node.domain,
        node.op_type,
        node.name or f"{node.op_type[:40]}_{node.index}",
        node.inputs,
        node.outputs,
        dict(node.attributes),
        opsets.get(node.domain),
        tuple(graph for _, a in node.attributes for graph in subgraphs(a)),
        opsets,
    )


def read_node(node: FlatNode, attributes: AttributeReader) -> OnnxNodeRecord:
    """A node of a flat list with its attributes as plain values."""
    return OnnxNodeRecord(
        node.domain,
        node.op_type,
        node.name,
        node.inputs,
        node.outputs,
        attributes.read(node.attributes, describe(node)) if node.attributes else {},
        node.opset or 0,
        node.opsets,
    )


def check_opsets(nodes: Iterable[FlatNode]) -> None:
    """Each version that a node uses is one that we know how to read."""
    newest = int(onnx.defs.onnx_opset_version())
    seen: set[tuple[str, int]] = set()
    for node in nodes:
        if node.opset is None:
            raise InvalidModel(
                f"{describe(node)} is of the domain {quote(node.domain or 'ai.onnx')}, "
                "of which the model imports no version"
            )
        if (node.domain, node.opset) in seen:
            continue
        seen.add((node.domain, node.opset))
        if node.opset < 1:
            raise InvalidModel(
                f"the version {node.opset} of the domain {quote(node.domain or 'ai.onnx')} "
                "does not exist"
            )
        if node.domain == "" and node.opset > newest:
            raise UnsupportedFeature(
                f"{describe(node)} uses opset {node.opset} of ai.onnx; up to {newest} are read",
                hint="install a newer onnx package, or export with a lower opset_version",
            )


def read_constants(
    graph: onnx.GraphProto, tensors: TensorReader
) -> tuple[dict[str, Array], dict[str, str]]:
    """Initializers by name, and the names of those whose element type we cannot compute with."""
    constants: dict[str, Array] = {}
    unsupported: dict[str, str] = {}
    for tensor in graph.initializer:
        name = _new_name(tensor.name, constants, unsupported)
        if tensor.data_type and not tensors.supports(tensor):
            unsupported[name] = type_name(tensor.data_type)
        else:
            constants[name] = tensors.read(tensor, tensor_label(tensor))
    for sparse in graph.sparse_initializer:
        name = _new_name(sparse.values.name, constants, unsupported)
        constants[name] = tensors.read_sparse(sparse, f"initializer {quote(name)}")
    return constants, unsupported


def _new_name(name: str, *taken: Mapping[str, object]) -> str:
    if not name:
        raise InvalidModel("an initializer has no name")
    if any(name in names for names in taken):
        raise InvalidModel(f"there are two initializers {quote(name)}")
    return name
