"""Reads an ONNX file: untrusted bytes in, a plain and checked description out.

Nothing of onnx but its protobuf classes is used here, and the schemas of its operators at import
(`onnx_schema.py`). Its checker, shape inference, version converter and inliner assume an honest
file: on a hostile one they hang, crash or use all memory. Here every length is compared with a
limit before anything is allocated, every walk keeps its own stack, and whatever is wrong with the
bytes ends in an `Nn2wasmError` of one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import onnx
from google.protobuf.message import Error as ProtobufError  # type: ignore[import-untyped]
from numpy.typing import ArrayLike

from nn2wasm.errors import InvalidModel, UnsupportedFeature, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_attributes import AttributeReader
from nn2wasm.frontends.onnx_bodies import (
    BodyReader,
    check_opsets,
    read_constants,
    read_node,
)
from nn2wasm.frontends.onnx_file import OnnxFile, open_model
from nn2wasm.frontends.onnx_fixed import fix_inputs
from nn2wasm.frontends.onnx_function_index import read_opsets
from nn2wasm.frontends.onnx_functions import FlatNode, inline_functions
from nn2wasm.frontends.onnx_inputs import read_inputs, read_output_type
from nn2wasm.frontends.onnx_order import describe, order_nodes
from nn2wasm.frontends.onnx_subgraphs import captured_names
from nn2wasm.frontends.onnx_tensors import TensorReader
from nn2wasm.frontends.onnx_types import OnnxModel, OnnxNodeRecord, OnnxValue, OutputType

__all__ = ["Limits", "OnnxModel", "OnnxNodeRecord", "OnnxValue", "read_model"]

DEFAULT_LIMITS = Limits()


def read_model(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> OnnxModel:
    """Reads and checks a model.

    Args:
        source: path of the file, its bytes, or a parsed model (which cannot have external data).
        shapes: input name to all its sizes, for inputs whose sizes the file leaves open.
        fixed: input name to its values, for inputs that become constants.
        limits: what the file may ask for.

    Raises:
        InvalidModel: not ONNX, damaged, inconsistent, or beyond the limits.
        UnsupportedFeature: opset versions, element types or kinds of input that are not read.
        DynamicShape: an input size that must be known and is not.
    """
    try:
        file = open_model(source, limits)
        return _read(file, shapes or {}, fixed or {}, limits)
    except (ProtobufError, ValueError, OverflowError) as error:
        # Protobuf hands out strings lazily, so bad UTF-8 turns up anywhere; it is a ValueError.
        raise InvalidModel(
            "the model is damaged: its contents make no sense",
            facts=[(type(error).__name__, " ".join(str(error).split())[:200])],
        ) from error
    except MemoryError as error:
        raise InvalidModel("the model needs more memory than there is") from error


def _read(
    file: OnnxFile,
    shapes: Mapping[str, Sequence[int]],
    fixed: Mapping[str, ArrayLike],
    limits: Limits,
) -> OnnxModel:
    proto = file.proto
    graph = proto.graph
    outputs = _output_names(graph, file.label)
    _check_ir_version(proto.ir_version)
    opsets = _opsets(proto)
    flat = inline_functions(proto, opsets, limits)
    check_opsets(flat)
    tensors = TensorReader(limits, file.folder)
    constants, unsupported = read_constants(graph, tensors)
    inputs = _graph_inputs(graph, constants.keys() | unsupported.keys())
    constants |= fix_inputs(inputs, fixed, limits)
    inputs = [value for value in inputs if value.name not in fixed]
    sources = dict.fromkeys((*constants, *unsupported), "an initializer")
    sources |= {value.name: "a graph input" for value in inputs}
    ordered = order_nodes(flat, sources, outputs, limits)
    _refuse_unsupported(unsupported, ordered, outputs, limits)
    values = read_inputs(inputs, shapes, limits)
    attributes = AttributeReader(tensors)
    nodes = tuple(read_node(node, attributes) for node in ordered)
    return OnnxModel(
        name=graph.name,
        sha256=file.sha256,
        opsets=opsets,
        inputs=values,
        outputs=outputs,
        output_types=_output_types(graph, limits),
        initializers=constants,
        nodes=nodes,
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        data_files=tensors.data_files,
        bodies=BodyReader(limits, tensors, attributes),
    )


def _check_ir_version(version: int) -> None:
    if version < 1:
        raise InvalidModel(f"the model says that it is of IR version {version}; the first is 1")
    if version > onnx.IR_VERSION:
        raise UnsupportedFeature(
            f"the model is of IR version {version}; up to {onnx.IR_VERSION} are read",
            hint="install a newer onnx package, or export with a lower ir_version",
        )


def _opsets(proto: onnx.ModelProto) -> dict[str, int]:
    opsets = read_opsets(proto.opset_import, "the model")
    if not opsets and proto.ir_version < 3:
        return {"": 1}  # before IR version 3 there was one operator set, and no field to say so
    return opsets


def _refuse_unsupported(
    unsupported: Mapping[str, str],
    nodes: Iterable[FlatNode],
    outputs: Sequence[str],
    limits: Limits,
) -> None:
    """An initializer that nobody reads may have any type; one that is read may not."""
    if not unsupported:
        return
    readers = dict.fromkeys(outputs, "the graph gives it out")
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, f"{describe(node)} reads it")
        for name in captured_names(list(node.subgraphs), limits.depth):
            readers.setdefault(name, f"{describe(node)} reads it in a subgraph")
    for name, kind in unsupported.items():
        if name in readers:
            raise UnsupportedFeature(
                f"initializer {quote(name)} has elements of type {kind}, "
                f"which nn2wasm does not compute with; {readers[name]}"
            )


def _graph_inputs(graph: onnx.GraphProto, constants: Iterable[str]) -> list[onnx.ValueInfoProto]:
    """Inputs that are not initializers: before IR version 4 every initializer was an input too."""
    known = set(constants)
    seen: set[str] = set()
    inputs = []
    for value in graph.input:
        if not value.name:
            raise InvalidModel("a graph input has no name")
        if value.name in seen:
            raise InvalidModel(f"there are two graph inputs {quote(value.name)}")
        seen.add(value.name)
        if value.name not in known:
            inputs.append(value)
    return inputs


def _output_names(graph: onnx.GraphProto, label: str) -> tuple[str, ...]:
    names = tuple(value.name for value in graph.output)
    if not names:
        what = "neither nodes nor outputs" if not graph.node else "no outputs"
        raise InvalidModel(f"{label}: its graph has {what}")
    if "" in names:
        raise InvalidModel("a graph output has no name")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidModel(f"there are two graph outputs {quote(name)}")
        seen.add(name)
    return names


def _output_types(graph: onnx.GraphProto, limits: Limits) -> dict[str, OutputType]:
    return {value.name: read_output_type(value, limits) for value in graph.output}
