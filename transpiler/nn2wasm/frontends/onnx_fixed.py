"""Inputs that the user fixes: they become constants of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike

from nn2wasm.errors import InvalidModel, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_inputs import Axis, check_names, declared_input
from nn2wasm.ir.dtype import DType
from nn2wasm.ir.tensor import Array


def fix_inputs(
    values: Sequence[onnx.ValueInfoProto], fixed: Mapping[str, ArrayLike], limits: Limits
) -> dict[str, Array]:
    """The constants that fixed inputs become, by input name.

    Args:
        values: the graph's inputs without those that are initializers.
        fixed: input name to its values, in the model's shape, or any shape where that has one
            axis or one element.
        limits: rank and elements.

    Raises:
        DynamicShape: a value for an input that does not exist.
        InvalidModel: values that do not have the declared shape, or lose something in the declared
            element type.
    """
    check_names(fixed, [value.name for value in values], what="a value")
    return {
        value.name: _constant(value, fixed[value.name], limits)
        for value in values
        if value.name in fixed
    }


def _constant(value: onnx.ValueInfoProto, given: ArrayLike, limits: Limits) -> Array:
    declared = declared_input(value, limits)
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise InvalidModel(f"{declared.label}: the value given is no tensor") from error
    if array.size > limits.tensor_elements:
        raise InvalidModel(f"{declared.label}: the value given has {array.size:,} elements")
    array = _shaped(array, declared.axes)
    facts = [("declared", declared.shown()), ("given", _shown(array))]
    if declared.axes is not None and not _matches(array.shape, declared.axes):
        raise InvalidModel(f"{declared.label}: the value given has another shape", facts=facts)
    converted = _converted(array, declared.dtype)
    if converted is None:
        raise InvalidModel(f"{declared.label}: the value given does not fit its type", facts=facts)
    return converted


def _shaped(array: Array, axes: Sequence[Axis] | None) -> Array:
    """One number is a list of one, where the model wants a list, and the other way round."""
    if axes is None or array.ndim == len(axes):
        return array
    if array.size == 1 and all(axis in (1, None) or isinstance(axis, str) for axis in axes):
        return array.reshape((1,) * len(axes))
    return array


def _matches(shape: Sequence[int], axes: Sequence[Axis]) -> bool:
    return len(shape) == len(axes) and all(
        size == axis or not isinstance(axis, int) for size, axis in zip(shape, axes, strict=True)
    )


def _converted(array: Array, dtype: DType) -> Array | None:
    """In the declared type, None where it would be another value; floats may lose precision."""
    if array.size == 0:
        return np.zeros(array.shape, dtype.numpy)
    if array.dtype.kind not in "biuf":
        return array if array.dtype == dtype.numpy else None
    with np.errstate(all="ignore"):
        converted = array.astype(dtype.numpy)
    if dtype.is_float:
        return converted
    same = np.isfinite(array).all() and (converted.astype(np.float64) == array).all()
    return converted if same else None


def _shown(array: Array) -> str:
    text = " ".join(str(array.tolist()).split())
    return f"{quote(text)[1:-1]}, shape {list(array.shape)}"
