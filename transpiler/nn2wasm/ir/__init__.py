"""The graph between the front ends and the planner: types, tensors, operations, invariants."""

from nn2wasm.ir.dtype import DType
from nn2wasm.ir.encoding import Blocks, Encoding, Half, blocks_of
from nn2wasm.ir.graph import Graph, Node, PartOf
from nn2wasm.ir.op import Op, TensorType
from nn2wasm.ir.tensor import Array, QuantParams, Shape, Tensor

__all__ = [
    "Array",
    "Blocks",
    "DType",
    "Encoding",
    "Graph",
    "Half",
    "Node",
    "Op",
    "PartOf",
    "QuantParams",
    "Shape",
    "Tensor",
    "TensorType",
    "blocks_of",
]
