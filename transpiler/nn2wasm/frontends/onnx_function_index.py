"""A model's local functions, checked once and ready to be called many times."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from nn2wasm.errors import InvalidModel, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_subgraphs import scopes, subgraphs

MOST_ATTRIBUTES = 1000  # of one node; the richest operator of ONNX has fewer than 20

FunctionKey = tuple[str, str, str]
"""Domain (normalised), name and overload."""


@dataclass(frozen=True, slots=True)
class NodeTemplate:
    """A node as the file has it.

    Attributes:
        index: position in its graph or function.
        nested_count: nodes inside its subgraphs.
        graph_attributes: names of the attributes that hold subgraphs.
    """

    index: int
    domain: str
    op_type: str
    overload: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, onnx.AttributeProto], ...]
    nested_count: int
    graph_attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Function:
    """A function whose names have been checked.

    Attributes:
        passed_through: inputs that are outputs too.
        defaults: attributes with a default value.
        opsets: the function's own versions by domain.
    """

    key: FunctionKey
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    passed_through: frozenset[str]
    defaults: dict[str, onnx.AttributeProto]
    opsets: dict[str, int]
    body: tuple[NodeTemplate, ...]


class FunctionIndex:
    """Finds functions; each is checked when it is first called.

    Raises:
        InvalidModel: two functions with the same domain, name and overload.
    """

    def __init__(self, model: onnx.ModelProto, limits: Limits) -> None:
        self._limits = limits
        self._ready: dict[FunctionKey, Function] = {}
        self._protos: dict[FunctionKey, onnx.FunctionProto] = {}
        for proto in model.functions:
            key = (normal_domain(proto.domain), proto.name, proto.overload)
            if key in self._protos:
                raise InvalidModel(f"the function {quote(proto.name)} is defined twice")
            self._protos[key] = proto

    def __bool__(self) -> bool:
        return bool(self._protos)

    def find(self, key: FunctionKey) -> Function | None:
        if key not in self._protos:
            return None
        if key not in self._ready:
            self._ready[key] = _prepare(key, self._protos[key], self._limits)
        return self._ready[key]


def normal_domain(domain: str) -> str:
    """ONNX's own domain has two spellings."""
    return "" if domain == "ai.onnx" else domain


def read_opsets(imports: object, where: str) -> dict[str, int]:
    """Versions by domain; InvalidModel where a domain has two."""
    opsets: dict[str, int] = {}
    for entry in imports:  # type: ignore[attr-defined]
        domain = normal_domain(entry.domain)
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise InvalidModel(
                f"{where} imports two versions of the domain {quote(domain or 'ai.onnx')}: "
                f"{opsets[domain]} and {entry.version}"
            )
    return opsets


def node_template(node: onnx.NodeProto, index: int, limits: Limits) -> NodeTemplate:
    """Raises InvalidModel for a node without operator, or with unnamed or doubled attributes."""
    label = f"node {quote(node.name)}" if node.name else f"node number {index}"
    if not node.op_type:
        raise InvalidModel(f"{label} has no operator type")
    if len(node.attribute) > MOST_ATTRIBUTES:
        raise InvalidModel(f"{label} has more than {MOST_ATTRIBUTES:,} attributes")
    attributes = tuple((attribute.name, attribute) for attribute in node.attribute)
    names = {name for name, _ in attributes}
    if len(names) < len(attributes) or "" in names:
        raise InvalidModel(
            f"{label} ({quote(node.op_type)[1:-1]}) has two attributes of the same name, "
            "or one without"
        )
    nested = 0
    graph_attributes = frozenset(name for name, a in attributes if a.HasField("g") or a.graphs)
    if graph_attributes:
        roots = [
            graph for name, a in attributes if name in graph_attributes for graph in subgraphs(a)
        ]
        for scope in scopes(roots, limits.depth):
            nested += len(scope.graph.node)
            if nested > limits.node_count:
                raise InvalidModel(
                    f"{label} has more than {limits.node_count:,} nodes in its subgraphs"
                )
    return NodeTemplate(
        index=index,
        domain=normal_domain(node.domain),
        op_type=node.op_type,
        overload=node.overload,
        name=node.name,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes=attributes,
        nested_count=nested,
        graph_attributes=graph_attributes,
    )


def _prepare(key: FunctionKey, proto: onnx.FunctionProto, limits: Limits) -> Function:
    label = f"the function {quote(proto.name)}"
    if len(proto.node) > limits.node_count:
        raise InvalidModel(f"{label} has more than {limits.node_count:,} nodes")
    inputs, outputs = tuple(proto.input), tuple(proto.output)
    for names, what in ((inputs, "inputs"), (outputs, "outputs")):
        if len(set(names)) < len(names) or "" in names:
            raise InvalidModel(f"{label} has two {what} of the same name, or one without")
    body = tuple(node_template(node, i, limits) for i, node in enumerate(proto.node))
    known = set(inputs)
    for node in body:
        for name in node.outputs:
            if name and name in known:
                raise InvalidModel(f"{label} computes {quote(name)} twice")
            known.add(name)
    for name in outputs:
        if name not in known:
            raise InvalidModel(f"{label} never computes its output {quote(name)}")
    return Function(
        key=key,
        inputs=inputs,
        outputs=outputs,
        passed_through=frozenset(inputs) & frozenset(outputs),
        defaults={attribute.name: attribute for attribute in proto.attribute_proto},
        opsets=read_opsets(proto.opset_import, label),
        body=body,
    )
