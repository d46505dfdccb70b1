"""Evaluation of operations whose inputs are constants."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from nn2wasm.errors import OverBudget
from nn2wasm.ir import Array, Blocks, Encoding, Op, Tensor


def fold(
    op: Op,
    inputs: Sequence[Tensor | None],
    limit: int,
    where: str,
    *,
    lazy: bool = False,
) -> list[Array] | None:
    """The outputs of an operation on constants, None where it has to run.

    Args:
        op: the operation.
        inputs: its inputs.
        limit: largest number of elements that an output may have.
        where: the node, for the message.
        lazy: also evaluate operations that are not `eager`.

    Raises:
        OverBudget: an output would have more elements than the limit; nothing is allocated.
    """
    if any(tensor is not None and tensor.data is None for tensor in inputs):
        return None
    if not (op.eager or lazy):
        return None
    kinds = op.infer(inputs)
    for kind in kinds:
        if prod(kind.shape) > limit:
            raise OverBudget(
                f"{where}: a constant of {prod(kind.shape)} elements is above the limit",
                facts=[("shape", str(list(kind.shape))), ("limit", f"{limit} elements")],
                hint="raise it with --limit fold-elements=N",
            )
    if all(0 in kind.shape for kind in kinds):
        return [np.zeros(kind.shape, kind.dtype.numpy) for kind in kinds]
    with np.errstate(all="ignore"):
        arrays = op.evaluate([None if t is None else t.data for t in inputs])
        if arrays is None:
            return None
        return [
            np.ascontiguousarray(array, dtype=kind.dtype.numpy).reshape(kind.shape)
            for array, kind in zip(arrays, kinds, strict=True)
        ]


def moved_encoding(op: Op, inputs: Sequence[Tensor | None]) -> Encoding | None:
    """How the result of an operation that moves the elements of its one input may be kept."""
    present = [tensor for tensor in inputs if tensor is not None]
    if len(present) != 1 or present[0].encoding is None:
        return None

    def move(array: Array) -> Array:
        arrays = op.evaluate([array])
        assert arrays is not None
        return arrays[0]

    return present[0].encoding.moved(move)


def encoding_of(
    op: Op, inputs: Sequence[Tensor | None], folded: Sequence[Array]
) -> Encoding | None:
    """How what `fold` made of these inputs may be kept: None unless it decodes to those bits."""
    found = op.encoding(inputs) if len(folded) == 1 and folded[0].dtype == np.float32 else None
    if isinstance(found, Blocks) and found.decoded().tobytes() != folded[0].tobytes():
        return None
    return found
