"""Inlines a model's local functions: what is left is one flat list of nodes.

A function call becomes the function's nodes with formal names replaced: inputs and outputs by
those of the call, everything else by fresh names derived from the call node's name. Attribute
references take the call's value, else the function's default, else the attribute is left out.
The walk keeps its own stack, and every step is charged to the limits, so a file in which each
function calls the next one twice ends as quickly as it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx

from nn2wasm.errors import InvalidModel, UnsupportedFeature, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_function_index import (
    Function,
    FunctionIndex,
    FunctionKey,
    NodeTemplate,
    node_template,
    normal_domain,
)
from nn2wasm.frontends.onnx_names import FreshNames, all_names
from nn2wasm.frontends.onnx_subgraphs import Scope, scopes, subgraphs

__all__ = ["FlatNode", "inline_functions", "normal_domain"]


@dataclass(frozen=True, slots=True)
class FlatNode:
    """A node of the flat list; attributes are still protobuf, references resolved."""

    domain: str
    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, onnx.AttributeProto]
    opset: int | None
    subgraphs: tuple[onnx.GraphProto, ...] = ()
    opsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Frame:
    """A graph or function that is being walked.

    Attributes:
        nodes: those still to come.
        opsets: version of each domain.
        prefix: name of the call node, empty for the main graph.
        rename: formal to actual names; None in the main graph, where names stay.
        bound: attributes of the call and the function's defaults.
        key: of the function, None for the main graph.
        identities: outputs of the call that are inputs of the function, to be copied.
    """

    nodes: Iterator[NodeTemplate]
    opsets: Mapping[str, int]
    prefix: str = ""
    rename: dict[str, str] | None = None
    bound: Mapping[str, onnx.AttributeProto] = field(default_factory=dict)
    key: FunctionKey | None = None
    identities: list[tuple[str, str]] = field(default_factory=list)


def inline_functions(
    model: onnx.ModelProto, opsets: Mapping[str, int], limits: Limits
) -> list[FlatNode]:
    """The main graph's nodes in file order, function calls replaced by what they compute.

    Args:
        model: untrusted, parsed.
        opsets: the model's versions by domain.
        limits: nodes after inlining, depth of calls and of subgraphs.

    Raises:
        InvalidModel: recursion, expansion beyond the limits, calls that do not fit.
        UnsupportedFeature: a function called from inside a subgraph.
    """
    return _Inliner(model, opsets, limits).run()


class _Inliner:
    def __init__(self, model: onnx.ModelProto, opsets: Mapping[str, int], limits: Limits) -> None:
        self._limits = limits
        self._index = FunctionIndex(model, limits)
        self._graph = model.graph
        self._opsets = opsets
        self._tensor_names = FreshNames(all_names(model, limits) if model.functions else ())
        self._node_names = FreshNames(node.name for node in model.graph.node)
        self._node_count = 0
        self._name_count = 0
        self._copied_bytes = 0
        self._flat: list[FlatNode] = []

    def run(self) -> list[FlatNode]:
        self._charge_nodes(len(self._graph.node), "the graph")
        self._node_count = 0
        main = (node_template(node, i, self._limits) for i, node in enumerate(self._graph.node))
        stack = [_Frame(main, self._opsets)]
        while stack:
            frame = stack[-1]
            node = next(frame.nodes, None)
            if node is None:
                stack.pop()
                self._copy_identities(frame)
                continue
            name = self._node_name(frame, node)
            self._charge_nodes(1 + node.nested_count, f"node {quote(name)}")
            self._charge_names(len(node.inputs) + len(node.outputs) + len(node.attributes))
            flat = self._instance(frame, node, name)
            function = self._index.find((node.domain, node.op_type, node.overload))
            if function is None:
                self._flat.append(flat)
            else:
                self._check_depth(stack, function.key, name)
                stack.append(self._call(function, flat))
        return self._flat

    # -- one node ------------------------------------------------------------------------------

    def _instance(self, frame: _Frame, node: NodeTemplate, name: str) -> FlatNode:
        attributes: dict[str, onnx.AttributeProto] = {}
        graphs: list[onnx.GraphProto] = []
        for key, attribute in node.attributes:
            value: onnx.AttributeProto | None = attribute
            if attribute.ref_attr_name:
                value = self._referred(frame, node, name, attribute)
            elif key in node.graph_attributes and frame.rename is not None:
                value = self._specialised(frame, attribute, name)
            if value is not None:
                attributes[key] = value
                if key in node.graph_attributes or attribute.ref_attr_name:
                    inner = subgraphs(value)
                    if inner and attribute.ref_attr_name:
                        # Not copied, but walked again for each node that refers to it.
                        self._charge_copy(value, name)
                    graphs.extend(inner)
        if graphs and self._index:
            self._refuse_inner_calls(graphs, name)
        return FlatNode(
            node.domain,
            node.op_type,
            name,
            tuple(self._actual(frame, n) for n in node.inputs),
            tuple(self._actual(frame, n) for n in node.outputs),
            attributes,
            frame.opsets.get(node.domain, self._opsets.get(node.domain)),
            tuple(graphs),
            {**self._opsets, **frame.opsets} if graphs else frame.opsets,
        )

    def _node_name(self, frame: _Frame, node: NodeTemplate) -> str:
        own = node.name or f"{node.op_type[:40]}_{node.index}"
        if frame.rename is not None:
            return self._node_names.make(f"{frame.prefix}/{own}")
        return node.name or self._node_names.make(own)

    def _actual(self, frame: _Frame, name: str) -> str:
        """The tensor's name in the flat list."""
        if frame.rename is None or not name:
            return name
        actual = frame.rename.get(name)
        if actual is None:
            actual = self._tensor_names.make(f"{frame.prefix}/{name}")
            frame.rename[name] = actual
        return actual

    def _referred(
        self, frame: _Frame, node: NodeTemplate, name: str, attribute: onnx.AttributeProto
    ) -> onnx.AttributeProto | None:
        """The call's value of a referenced attribute, None where it was left out."""
        where = f"node {quote(name)} ({quote(node.op_type)[1:-1]})"
        reference = attribute.ref_attr_name
        if frame.rename is None:
            raise InvalidModel(
                f"{where} refers to the attribute {quote(reference)} of a function, "
                "but is in no function"
            )
        value = frame.bound.get(reference)
        if value is not None and attribute.type and value.type and attribute.type != value.type:
            raise InvalidModel(
                f"{where} needs the attribute {quote(reference)} as "
                f"{_type_name(attribute)}, but the call gives {_type_name(value)}"
            )
        return value

    # -- one call ------------------------------------------------------------------------------

    def _call(self, function: Function, call: FlatNode) -> _Frame:
        what = f"node {quote(call.name)} calls the function {quote(function.key[1])}"
        if len(call.inputs) > len(function.inputs) or len(call.outputs) > len(function.outputs):
            raise InvalidModel(
                f"{what} with {len(call.inputs)} inputs and {len(call.outputs)} outputs; "
                f"it has {len(function.inputs)} and {len(function.outputs)}"
            )
        self._charge_names(len(function.inputs) + len(function.outputs) + len(function.defaults))
        rename = dict.fromkeys(function.inputs, "")
        rename.update(zip(function.inputs, call.inputs, strict=False))
        identities: list[tuple[str, str]] = []
        for formal, actual in zip(function.outputs, call.outputs, strict=False):
            if formal in function.passed_through:
                if actual and not rename[formal]:
                    raise InvalidModel(
                        f"{what}, whose output {quote(formal)} is an input that the call leaves out"
                    )
                identities.append((rename[formal], actual))
            elif actual:
                rename[formal] = actual
        return _Frame(
            nodes=iter(function.body),
            opsets=function.opsets,
            prefix=call.name,
            rename=rename,
            bound={**function.defaults, **call.attributes},
            key=function.key,
            identities=identities,
        )

    def _copy_identities(self, frame: _Frame) -> None:
        for source, target in frame.identities:
            if target:
                self._charge_nodes(1, f"node {quote(frame.prefix)}")
                name = self._node_names.make(f"{frame.prefix}/Identity")
                opset = self._opsets.get("", frame.opsets.get("", 13))
                self._flat.append(FlatNode("", "Identity", name, (source,), (target,), {}, opset))

    def _check_depth(self, stack: list[_Frame], key: FunctionKey, name: str) -> None:
        if any(frame.key == key for frame in stack):
            raise InvalidModel(
                f"the function {quote(key[1])} calls itself (node {quote(name)})",
                hint="ONNX functions cannot be recursive",
            )
        if len(stack) > self._limits.depth:
            raise InvalidModel(
                f"functions call each other deeper than {self._limits.depth} levels "
                f"(node {quote(name)})"
            )

    # -- subgraphs -----------------------------------------------------------------------------

    def _specialised(
        self, frame: _Frame, attribute: onnx.AttributeProto, name: str
    ) -> onnx.AttributeProto:
        """A copy of a subgraph attribute in which names of the function are actual names."""
        self._charge_copy(attribute, name)
        copy = onnx.AttributeProto()
        copy.CopyFrom(attribute)
        # All scopes first: renaming changes what a scope would be computed from.
        for scope in list(scopes(subgraphs(copy), self._limits.depth)):
            for node in scope.graph.node:
                for i, read in enumerate(node.input):
                    if read and not scope.defines(read):
                        node.input[i] = self._actual(frame, read)
                self._resolve_inner(frame, node)
            self._rename_outputs(frame, scope)
        return copy

    def _rename_outputs(self, frame: _Frame, scope: Scope) -> None:
        for output in scope.graph.output:
            if output.name and not scope.defines(output.name):
                output.name = self._actual(frame, output.name)

    def _resolve_inner(self, frame: _Frame, node: onnx.NodeProto) -> None:
        """Replaces attribute references of a node inside a subgraph."""
        # In place: attributes that stay must stay the same objects, because the scopes that are
        # still to be renamed point into them.
        for index in reversed(range(len(node.attribute))):
            attribute = node.attribute[index]
            if not attribute.ref_attr_name:
                continue
            value = frame.bound.get(attribute.ref_attr_name)
            if value is None:
                del node.attribute[index]
            else:
                self._charge_copy(value, node.name)
                name = attribute.name
                attribute.CopyFrom(value)
                attribute.name = name

    def _refuse_inner_calls(self, graphs: list[onnx.GraphProto], name: str) -> None:
        for scope in scopes(graphs, self._limits.depth):
            for node in scope.graph.node:
                if self._index.find((normal_domain(node.domain), node.op_type, node.overload)):
                    raise UnsupportedFeature(
                        f"node {quote(name)} has a subgraph that calls the function "
                        f"{quote(node.op_type)}",
                        hint="export the model without functions, or inline them with "
                        "onnx.inliner.inline_local_functions",
                    )

    # -- budget --------------------------------------------------------------------------------

    def _charge_nodes(self, count: int, where: str) -> None:
        self._node_count += count
        if self._node_count > self._limits.node_count:
            raise InvalidModel(
                f"the model has more than {self._limits.node_count:,} nodes, "
                f"functions and subgraphs included (reached at {where})"
            )

    def _charge_copy(self, attribute: onnx.AttributeProto, name: str) -> None:
        self._copied_bytes += attribute.ByteSize()
        if self._copied_bytes > self._limits.copied_bytes:
            raise InvalidModel(
                f"inlining functions repeats more than {self._limits.copied_bytes:,} bytes "
                f"of subgraphs (at node {quote(name)})"
            )

    def _charge_names(self, count: int) -> None:
        self._name_count += count
        if self._name_count > self._limits.name_count:
            raise InvalidModel(
                f"the model's nodes have more than {self._limits.name_count:,} "
                "inputs, outputs and attributes"
            )


def _type_name(attribute: onnx.AttributeProto) -> str:
    try:
        return str(onnx.AttributeProto.AttributeType.Name(attribute.type)).lower()
    except ValueError:
        return f"type {attribute.type}"
