"""The first elements of each sequence of a batch in reverse order: ONNX ReverseSequence-10..

y[batch, t] = x[batch, t < length[batch] ? length[batch] − 1 − t : t]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.movement import Movement
from nn2wasm.ops.onnx_node import OnnxNode


@dataclass(frozen=True)
class ReverseSequence(Movement):
    """Inputs x, lengths (s64 [batch]; bounded by the axis). The two axes are 0 and 1."""

    onnx_types = ("ReverseSequence",)
    kernels = (
        Kernel(
            symbol="nn_reverse_sequence__scalar",
            template="indexing/reverse_sequence__scalar.c.j2",
            dtype="any",
        ),
    )

    time_axis: int
    batch_axis: int

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, lengths = node.input(0), node.input(1)
        time, batch = node.attr_int("time_axis", 0), node.attr_int("batch_axis", 1)
        if len(x.shape) < 2 or sorted((time, batch)) != [0, 1]:
            raise node.invalid(f"rank {len(x.shape)}, time axis {time}, batch axis {batch}")
        if lengths.dtype is not DType.S64 or lengths.shape != (x.shape[batch],):
            raise node.invalid("its lengths are not one number of 64 bits for each sequence")
        node.emit(cls(time, batch), [x, lengths])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, lengths = np.asarray(inputs[0]), np.asarray(inputs[1])
        steps = np.arange(x.shape[self.time_axis])
        counts = np.clip(lengths, 0, len(steps))[:, None]
        order = np.where(steps < counts, counts - 1 - steps, steps)
        y = np.moveaxis(x, self.batch_axis, 0)[np.arange(len(order))[:, None], order]
        return [np.moveaxis(y, 0, self.batch_axis)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        inner = prod(x.shape[2:])
        steps = {0: x.shape[1] * inner, 1: inner}
        context = {
            "type": x.dtype.c_name,
            "batch": x.shape[self.batch_axis],
            "time": x.shape[self.time_axis],
            "batch_step": steps[self.batch_axis],
            "time_step": steps[self.time_axis],
            "inner": inner,
        }
        return Lowering(context=context, arguments=(0, 1))
