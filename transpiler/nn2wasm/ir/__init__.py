"""The graph between the front ends and the planner: types, tensors, operations, invariants."""

from nn2wasm.ir.dtype import DType
from nn2wasm.ir.graph import Graph, Node, PartOf
from nn2wasm.ir.op import Op, TensorType
from nn2wasm.ir.tensor import Array, QuantParams, Shape, Tensor

__all__ = [
    "Array",
    "DType",
    "Graph",
    "Node",
    "Op",
    "PartOf",
    "QuantParams",
    "Shape",
    "Tensor",
    "TensorType",
]
