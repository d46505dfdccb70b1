"""ONNX model → graph, through the registry of operations."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import onnx

import nn2wasm.ops  # registers the operations
from nn2wasm.errors import InvalidModel, OverBudget, UnsupportedFeature, UnsupportedOp, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_bodies import OnnxBody
from nn2wasm.frontends.onnx_model import OnnxModel, OnnxNodeRecord
from nn2wasm.frontends.onnx_schema import check_schema
from nn2wasm.frontends.onnx_singles import SingleFloats
from nn2wasm.frontends.onnx_types import OutputType
from nn2wasm.ir import Graph, Node, Op, Shape, Tensor
from nn2wasm.ir.check import check
from nn2wasm.ops.empty import Empty
from nn2wasm.ops.movement import Expand
from nn2wasm.ops.onnx_node import OnnxNode, TensorList, Value
from nn2wasm.ops.registry import ImportOp, find_op
from nn2wasm.ops.shape import Reshape

assert nn2wasm.ops

LISTED_NODES = 3
LONGEST_INNER_NAME = 60
"""Characters of a node's name inside a body: names must not grow with the depth of bodies."""

Scope: TypeAlias = ChainMap[str, Value]
"""Tensors, and sequences of them, by name; bodies see those around them."""


def import_onnx(model: OnnxModel, limits: Limits) -> Graph:
    """The graph of a model, with constant expressions evaluated on the way.

    Raises:
        UnsupportedOp: lists every operator of the model that is not compiled.
        InvalidModel, UnsupportedFeature, DynamicShape, QuantizationError: about one node.
        OverBudget: loops become more nodes than the limit.
    """
    _require_ops(model.nodes)
    graph = Graph(model.name)
    tensors: Scope = ChainMap()
    for value in model.inputs:
        tensor = Tensor(graph.fresh(value.name), value.dtype, value.shape, source=value.name)
        tensor.bits = value.bits
        if value.bits:
            graph.port_bits[tensor.name] = value.bits
        tensors[value.name] = _value_of(graph, tensor)
        graph.inputs.append(tensor)
    for name, data in model.initializers.items():
        tensors[name] = Tensor.constant(graph.fresh(name), data)
    importer = _Importer(model, graph, limits)
    for record in model.nodes:
        importer.add(record, tensors)
    for name in model.outputs:
        result = tensors[name]
        if isinstance(result, Tensor) and result.labels:
            graph.output_labels[name] = result.labels
        if isinstance(result, Tensor) and result.bits:
            graph.port_bits[name] = result.bits
        output = _output(graph, name, result)
        strings = isinstance(result, Tensor) and result.holds_strings
        kind = "string" if strings else output.dtype.value
        _check_declared(name, kind, output.shape, model.output_types[name])
        graph.outputs.append(output)
        graph.output_names.append(name)
    check(graph, "import")
    return graph


class _Importer:
    """Imports nodes one after the other, those of their bodies where the operation wants them."""

    def __init__(self, model: OnnxModel, graph: Graph, limits: Limits) -> None:
        self._graph = graph
        self._limits = limits
        self._bodies = model.bodies
        self._constants: dict[int, dict[str, Tensor]] = {}
        self._producers: dict[Tensor, Node] = {}
        self._singles = SingleFloats()
        self._unrolled = 0
        self._computed = 0

    def add(self, record: OnnxNodeRecord, tensors: Scope, path: str = "") -> None:
        """Imports a node.

        Args:
            record: what the model says.
            tensors: by the names that the node reads and writes.
            path: of the body that the node is in, empty in the main graph.
        """
        op = find_op(record.domain, record.op_type)
        assert op is not None
        node = OnnxNode(
            self._graph,
            record.domain,
            record.op_type,
            f"{path}{_shortened(record.name)}" if path else record.name,
            record.opset,
            record.attributes,
            [tensors[name] if name else None for name in record.inputs],
            record.outputs,
            self._limits.fold_elements,
            self._limits.tensor_elements,
            self._producers,
            lambda name, inputs, step: self._call(node, record, tensors, name, inputs, step),
        )
        check_schema(node, record.inputs, record.attributes)
        if not op.takes_sequences:
            node.refuse_sequences()
        _refuse_strings(node, op)
        self._singles.run(node, op)
        for name, tensor in zip(record.outputs, node.results, strict=True):
            if not name:
                continue
            if tensor is None:
                raise node.unsupported(f"its output {quote(name)}")
            tensors[name] = tensor
            if isinstance(tensor, TensorList):
                continue
            if tensor.is_constant and path:
                self._charge_constant(node, tensor)
            if tensor.source is None and not tensor.is_constant and not path:
                tensor.name = self._graph.fresh(name)
                tensor.source = name

    def _call(
        self,
        node: OnnxNode,
        record: OnnxNodeRecord,
        tensors: Scope,
        name: str,
        inputs: Sequence[Value],
        step: str,
    ) -> list[Value]:
        """The outputs of a node's body for these inputs; its nodes are added to the graph."""
        proto = record.attributes.get(name)
        if not isinstance(proto, onnx.GraphProto) or self._bodies is None:
            raise node.invalid(f"attribute {name} must be a graph")
        body = self._bodies.read(proto, record.opsets, tensors, f"{name} of {node.describe()}")
        if len(body.inputs) != len(inputs):
            raise node.invalid(f"{name} has {len(body.inputs)} inputs, {len(inputs)} are given")
        _require_ops(body.nodes)
        self._unrolled += 1 + len(body.nodes)  # bodies without nodes must end, too
        if self._unrolled > self._limits.unrolled_nodes:
            raise OverBudget(
                f"{node.describe()}: loops and branches become more than "
                f"{self._limits.unrolled_nodes:,} nodes",
                facts=[("nodes of its body", str(len(body.nodes))), ("reached at", step)],
                hint="compile a network of one step and keep its state with --state, or let loops "
                "run fewer steps",
            )
        inner = tensors.new_child()
        inner.update(self._constants_of(body))
        inner.update(zip(body.inputs, inputs, strict=True))
        path = f"{node.name}/{step}/" if step else f"{node.name}/"
        for each in body.nodes:
            self.add(each, inner, path)
        return [inner[output] for output in body.outputs]

    def _charge_constant(self, node: OnnxNode, tensor: Tensor) -> None:
        """What bodies compute at compile time is charged: a few bytes of file run them often."""
        self._computed += tensor.element_count
        if self._computed > self._limits.tensor_elements:
            raise OverBudget(
                f"{node.describe()}: loops and branches compute constants of more than "
                f"{self._limits.tensor_elements:,} elements"
            )

    def _constants_of(self, body: OnnxBody) -> dict[str, Tensor]:
        """Initializers of a body: all its runs share them."""
        known = self._constants.get(id(body))
        if known is None:
            known = self._constants[id(body)] = {
                name: Tensor.constant(self._graph.fresh(_shortened(name)), data)
                for name, data in body.initializers.items()
            }
        return known


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_INNER_NAME else "…" + name[1 - LONGEST_INNER_NAME :]


def _refuse_strings(node: OnnxNode, op: type[ImportOp]) -> None:
    text = next((t for t in node.inputs if t is not None and t.holds_strings), None)
    if text is not None and not op.reads_strings:
        raise node.unsupported(
            f"{quote(text.name)} holds strings, which only pass through a model here",
            hint="classes and categories may be strings; see docs/operators.md",
        )


def _value_of(graph: Graph, tensor: Tensor) -> Tensor:
    """What an input stands for: without elements it can have one value only, and is known."""
    if not tensor.is_empty:
        return tensor
    known = graph.constant(f"{tensor.name}_empty", np.zeros(tensor.shape, tensor.dtype.numpy))
    known.bits = tensor.bits
    return known


def _output(graph: Graph, name: str, tensor: Value) -> Tensor:
    """The tensor as an output of its own: a view of an input, of a constant, of another output."""
    if isinstance(tensor, TensorList):
        raise UnsupportedFeature(
            f"the output {quote(name)} is a sequence of {len(tensor.items)} tensors",
            hint="a compiled network gives out tensors: take them from the sequence in the model",
        )
    if tensor.is_constant or tensor in graph.inputs or tensor in graph.outputs:
        op: Op = Expand(tensor.shape) if tensor.is_constant else Reshape(tensor.shape)
        if tensor.is_empty:
            op = Empty(tensor.dtype, tensor.shape)
        values = [] if tensor.is_empty else [tensor]
        node = graph.make(op, values, name=f"{name}_copy", quants=[tensor.quant])
        graph.nodes.append(node)
        tensor = node.output
    return tensor


def _check_declared(name: str, kind: str, shape: Shape, declared: OutputType) -> None:
    """An output is of the type that the file promises its readers, where it promises one."""
    wanted, sizes = declared
    same_sizes = sizes is None or (
        len(sizes) == len(shape)
        and all(size in (None, given) for size, given in zip(sizes, shape, strict=True))
    )
    if same_sizes and wanted in ("", kind):
        return
    shown = "" if sizes is None else f" {[size or '?' for size in sizes]}".replace("'", "")
    raise InvalidModel(
        f"the output {quote(name)} is not what the model declares",
        facts=[
            ("declared", f"{wanted or 'any type'}{shown}"),
            ("computed", f"{kind} {list(shape)}"),
        ],
        hint="declare it as computed, or without sizes; or export the model again",
    )


def _require_ops(nodes: Sequence[OnnxNodeRecord]) -> None:
    """Every unsupported operator at once, with the nodes that use it and what is near."""
    missing = [record for record in nodes if find_op(record.domain, record.op_type) is None]
    if not missing:
        return
    by_type: dict[str, list[str]] = {}
    for record in missing:
        name = f"{record.domain}.{record.op_type}" if record.domain else record.op_type
        by_type.setdefault(name, []).append(record.name)
    facts = []
    for name, users in sorted(by_type.items()):
        listed = ", ".join(quote(node) for node in users[:LISTED_NODES])
        more = f" and {len(users) - LISTED_NODES} more" if len(users) > LISTED_NODES else ""
        facts.append((quote(name)[1:-1], f"{listed}{more}"))
    plural = "s" if len(by_type) > 1 else ""
    raise UnsupportedOp(
        f"{len(by_type)} operator{plural} of this model cannot be compiled yet",
        facts=facts,
        hint="`nn2wasm ops` lists what can; simplify the export, or split the model before them",
    )
