"""1 at the first largest element along an axis, 0 elsewhere.

ONNX Hardmax-1.., made of ArgMax and a comparison with the places along the axis. Before opset 13
the axes from `axis` on are one.
"""

from __future__ import annotations

from math import prod

import numpy as np

from nn2wasm.ops.cast import Cast
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.reduce import ArgExtreme
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape


class Hardmax(ImportOp):
    """Becomes ArgMax, Equal, Cast."""

    onnx_types = ("Hardmax",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if not x.shape or 0 in x.shape:
            raise node.invalid("its input has no elements along an axis")
        rank, old = len(x.shape), node.opset < 13
        axis = node.axis(node.attr_int("axis", 1 if old else -1), rank)
        shape = x.shape
        if old:
            shape = (prod(shape[:axis]), prod(shape[axis:]))
            axis = 1
        vectors = x if shape == x.shape else node.add(Reshape(shape), [x], suffix="vectors")
        index = node.add(ArgExtreme(axis), [vectors], suffix="largest")
        along = [-1 if i == axis else 1 for i in range(len(shape))]
        places = node.value(np.arange(shape[axis], dtype=np.int64).reshape(along), "places")
        found = node.add(Binary("Equal"), [index, places], suffix="found")
        if shape != x.shape:
            found = node.add(Reshape(x.shape), [found], suffix="shaped")
        node.emit(Cast(x.dtype), [found])
