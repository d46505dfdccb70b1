"""ONNX model → graph, through the registry of operations."""

from __future__ import annotations

import nn2wasm.ops  # registers the operations
from nn2wasm.errors import UnsupportedOp, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_model import OnnxModel, OnnxNodeRecord
from nn2wasm.ir import DType, Graph, Node, Op, Tensor
from nn2wasm.ir.check import check
from nn2wasm.ops.cast import Cast, as_single
from nn2wasm.ops.movement import Expand
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import find_op
from nn2wasm.ops.shape import Reshape

assert nn2wasm.ops

LISTED_NODES = 3


def import_onnx(model: OnnxModel, limits: Limits) -> Graph:
    """The graph of a model, with constant expressions evaluated on the way.

    Raises:
        UnsupportedOp: lists every operator of the model that is not compiled.
        InvalidModel, UnsupportedFeature, DynamicShape, QuantizationError: about one node.
    """
    _require_ops(model)
    graph = Graph(model.name)
    tensors: dict[str, Tensor] = {}
    for value in model.inputs:
        tensor = Tensor(graph.fresh(value.name), value.dtype, value.shape, source=value.name)
        tensors[value.name] = tensor
        graph.inputs.append(tensor)
    for name, data in model.initializers.items():
        tensors[name] = Tensor.constant(graph.fresh(name), data)
    producers: dict[Tensor, Node] = {}
    for record in model.nodes:
        _import_node(graph, record, tensors, producers, limits)
    for name in model.outputs:
        if tensors[name].labels:
            graph.output_labels[name] = tensors[name].labels
        graph.outputs.append(_output(graph, name, tensors[name]))
        graph.output_names.append(name)
    check(graph, "import")
    return graph


def _import_node(
    graph: Graph,
    record: OnnxNodeRecord,
    tensors: dict[str, Tensor],
    producers: dict[Tensor, Node],
    limits: Limits,
) -> None:
    op = find_op(record.domain, record.op_type)
    assert op is not None
    node = OnnxNode(
        graph,
        record.domain,
        record.op_type,
        record.name,
        record.opset,
        record.attributes,
        [tensors[name] if name else None for name in record.inputs],
        record.outputs,
        limits.fold_elements,
        limits.tensor_elements,
        producers,
    )
    text = next((t for t in node.inputs if t is not None and t.holds_strings), None)
    if text is not None and not op.reads_strings:
        raise node.unsupported(
            f"{quote(text.name)} holds strings, which only pass through a model here",
            hint="classes and categories may be strings; see docs/operators.md",
        )
    doubles = [t for t in node.inputs if t is not None and t.dtype is DType.F64]
    narrow = not op.reads_doubles and not all(tensor.is_constant for tensor in doubles)
    if narrow:
        node.inputs = [as_single(node, t) if t in doubles else t for t in node.inputs]
    op.from_onnx(node)
    if narrow:
        node.results = [_as_double(node, tensor) for tensor in node.results]
    for name, tensor in zip(record.outputs, node.results, strict=True):
        if not name:
            continue
        if tensor is None:
            raise node.unsupported(f"its output {quote(name)}")
        if tensor.source is None and not tensor.is_constant:
            tensor.name = graph.fresh(name)
            tensor.source = name
        tensors[name] = tensor


def _as_double(node: OnnxNode, tensor: Tensor | None) -> Tensor | None:
    if tensor is None or tensor.dtype is not DType.F32:
        return tensor
    return node.add(Cast(DType.F64), [tensor], suffix="double")


def _output(graph: Graph, name: str, tensor: Tensor) -> Tensor:
    """The tensor as an output of its own: a view of an input, of a constant, of another output."""
    if tensor.is_constant or tensor in graph.inputs or tensor in graph.outputs:
        op: Op = Expand(tensor.shape) if tensor.is_constant else Reshape(tensor.shape)
        node = graph.make(op, [tensor], name=f"{name}_copy", quants=[tensor.quant])
        graph.nodes.append(node)
        tensor = node.output
    return tensor


def _require_ops(model: OnnxModel) -> None:
    """Every unsupported operator at once, with the nodes that use it and what is near."""
    missing = [record for record in model.nodes if find_op(record.domain, record.op_type) is None]
    if not missing:
        return
    by_type: dict[str, list[str]] = {}
    for record in missing:
        name = f"{record.domain}.{record.op_type}" if record.domain else record.op_type
        by_type.setdefault(name, []).append(record.name)
    facts = []
    for name, nodes in sorted(by_type.items()):
        listed = ", ".join(quote(node) for node in nodes[:LISTED_NODES])
        more = f" and {len(nodes) - LISTED_NODES} more" if len(nodes) > LISTED_NODES else ""
        facts.append((quote(name)[1:-1], f"{listed}{more}"))
    plural = "s" if len(by_type) > 1 else ""
    raise UnsupportedOp(
        f"{len(by_type)} operator{plural} of this model cannot be compiled yet",
        facts=facts,
        hint="`nn2wasm ops` lists what can; simplify the export, or split the model before them",
    )
