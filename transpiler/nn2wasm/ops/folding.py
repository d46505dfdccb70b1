"""Evaluation of operations whose inputs are constants."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from nn2wasm.errors import OverBudget
from nn2wasm.ir import Array, Op, Tensor


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
