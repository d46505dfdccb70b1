"""Optional values: whether there is one is known at compile time.

ONNX Optional, OptionalGetElement, OptionalHasElement (15..), of tensors and of sequences.
"""

from __future__ import annotations

import numpy as np

from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp


class OptionalValue(ImportOp):
    """The value itself, where there is one."""

    onnx_types = ("Optional", "OptionalGetElement")
    takes_sequences = True
    reads_strings = True
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if not node.is_given(0):
            raise node.unsupported("an optional value that is not there")
        node.alias(node.any_input(0))


class OptionalHasElement(ImportOp):
    onnx_types = ("OptionalHasElement",)
    takes_sequences = True
    reads_strings = True
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        node.alias(node.value(np.asarray(node.is_given(0), np.bool_)))
