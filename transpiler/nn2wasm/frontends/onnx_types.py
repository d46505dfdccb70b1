"""What the reader hands on: an ONNX model as plain, checked values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nn2wasm.ir.dtype import DType
from nn2wasm.ir.tensor import Array

if TYPE_CHECKING:
    from nn2wasm.frontends.onnx_bodies import BodyReader

OutputType = tuple[str, tuple[int | None, ...] | None]
"""Declared element type, a `DType`'s or ONNX's name where it is none of ours (empty: not said), and
shape (None: unknown axis, or unknown rank).
"""


@dataclass(frozen=True, slots=True)
class OnnxValue:
    """A graph input; every size of it is known. `bits` as in `ir.Tensor`."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    bits: int = 0


@dataclass(frozen=True, slots=True)
class OnnxNodeRecord:
    """A node after inlining.

    Attributes:
        domain: operator domain, empty for ai.onnx.
        op_type: operator type, never empty.
        name: for messages and reports, never empty; from the file where it has one.
        inputs: tensor names, empty for one left out.
        outputs: tensor names, empty for one left out.
        attributes: int, float, str, a tuple of those, a numpy array for a (sparse) tensor, a
            tuple of arrays for tensors, and as they are: onnx.GraphProto for a subgraph (a tuple
            for several), onnx.TypeProto for a type.
        opset: version of the node's domain.
        opsets: versions by domain in the node's subgraphs.
    """

    domain: str
    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, object]
    opset: int
    opsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A model whose names, sizes and order have been checked.

    Attributes:
        name: name of the graph, may be empty.
        sha256: hex digest of the file's bytes (of the serialized form of a ModelProto).
        opsets: version of each imported domain, empty string for ai.onnx.
        inputs: graph inputs that are not initializers.
        outputs: names of the graph outputs.
        output_types: declared type of each output.
        initializers: constants.
        nodes: in execution order, functions inlined.
        producer: name and version of the program that wrote the file, may be empty.
        bodies: reads the graphs inside attributes.
        data_files: where constants lie outside the file, relative to its folder.
    """

    name: str
    sha256: str
    opsets: dict[str, int]
    inputs: tuple[OnnxValue, ...]
    outputs: tuple[str, ...]
    output_types: dict[str, OutputType]
    initializers: dict[str, Array]
    nodes: tuple[OnnxNodeRecord, ...]
    producer: str
    data_files: tuple[str, ...] = ()
    bodies: BodyReader | None = None
