"""What callers feed to a model: the right names, shapes and element types, or a helpful error."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nn2wasm.errors import RunError, quote
from nn2wasm.ir.dtype import NARROW, DType
from nn2wasm.loaders.tensor_info import TensorInfo


def describe(info: TensorInfo) -> str:
    return f"{info.dtype.value} {list(info.shape)}"


def check_names(
    inputs: Sequence[TensorInfo], feeds: Mapping[str, ArrayLike] | ArrayLike
) -> Mapping[str, ArrayLike]:
    """Values by input name, exactly one for each input; a bare value if there is one input.

    Raises:
        RunError: names are missing or unknown; lists all and suggests the nearest.
    """
    if not isinstance(feeds, Mapping):
        if len(inputs) != 1:
            raise RunError(
                f"the model has {len(inputs)} inputs, one array cannot feed them",
                facts=[(quote(i.name), describe(i)) for i in inputs],
                hint="pass a dictionary from name to array",
            )
        return {inputs[0].name: feeds}
    names = [info.name for info in inputs]
    unknown = [str(name) for name in feeds if name not in names]
    missing = [name for name in names if name not in feeds]
    if not unknown and not missing:
        return feeds
    facts = [("unknown", quote(name)) for name in unknown]
    facts += [("missing", f"{quote(i.name)}  {describe(i)}") for i in inputs if i.name in missing]
    nearest = [n for name in unknown for n in difflib.get_close_matches(name, missing, n=1)]
    raise RunError(
        "the input names do not match the model",
        facts=facts,
        hint=f"did you mean {quote(nearest[0])}?" if nearest else "",
    )


def convert(info: TensorInfo, value: ArrayLike) -> NDArray[Any]:
    """`value` as a contiguous array of the input's element type and shape.

    Allowed are conversions that keep every value, and any number into a float of less precision.

    Raises:
        RunError: another shape; an element type or a value that the input cannot hold.
    """
    try:
        array = np.asarray(value)
    except ValueError as problem:
        raise RunError(f"input {quote(info.name)}: not an array: {problem}") from None
    _check_shape(info, array)
    if array.dtype in NARROW and array.dtype == info.numpy:
        array = array.astype(info.dtype.numpy)
    if array.dtype == info.dtype.numpy:
        return np.ascontiguousarray(array).reshape(info.shape)
    # A list has no element type of its own; an array's says what its owner believes it holds.
    typed = isinstance(value, np.ndarray | np.generic)
    if array.size and not _convertible(info.dtype, array, typed):
        raise RunError(
            f"input {quote(info.name)}: wrong element type",
            facts=[("expected", describe(info)), ("found", str(array.dtype))],
            hint=_type_hint(info, array),
        )
    try:
        with np.errstate(over="raise"):
            return np.ascontiguousarray(array.astype(info.dtype.numpy)).reshape(info.shape)
    except FloatingPointError:
        raise RunError(
            f"input {quote(info.name)}: a finite value is too large for {info.dtype.value}"
        ) from None


def _check_shape(info: TensorInfo, array: NDArray[Any]) -> None:
    if array.shape == info.shape:
        return
    hint = ""
    if array.ndim == len(info.shape) + 1 and array.shape[1:] == info.shape:
        hint = "the model has no further batch axis: run it once for each element of the first axis"
    elif array.shape[1:] == info.shape[1:] and array.ndim == len(info.shape):
        hint = f"the model was compiled for batch size {info.shape[0]}: compile it for another"
    elif info.shape[:1] == (1,) and array.shape == info.shape[1:]:
        hint = "add the batch axis: x[None]"
    raise RunError(
        f"input {quote(info.name)}: wrong shape",
        facts=[("expected", str(list(info.shape))), ("found", str(list(array.shape)))],
        hint=hint,
    )


def _convertible(wanted: DType, array: NDArray[Any], typed: bool) -> bool:
    """True if values survive; of a float only its precision may be lost."""
    kind = array.dtype.kind
    if wanted.is_float or wanted.is_half or wanted.is_tiny:
        return kind in "fiu" or (kind == "b" and not typed)
    if kind not in "iu" and not (kind == "b" and wanted is not DType.BOOL):
        return False
    if typed and np.can_cast(array.dtype, wanted.numpy, "safe"):
        return True
    # Bytes of the other sign are a picture that nobody quantized: the values would fit by chance.
    if typed and wanted.is_byte and array.dtype.itemsize == 1:
        return False
    low, high = (0, 1) if wanted is DType.BOOL else (wanted.minimum, wanted.maximum)
    return bool(low <= int(array.min()) and int(array.max()) <= high)


def _type_hint(info: TensorInfo, array: NDArray[Any]) -> str:
    plain = array.dtype.kind in "iu" and info.dtype is not DType.BOOL
    if plain and (not info.dtype.is_byte or array.dtype.itemsize > 1):
        return f"values must lie between {info.dtype.minimum} and {info.dtype.maximum}"
    if info.scale is not None and info.zero_point is not None:
        low, high = info.dtype.minimum, info.dtype.maximum
        return (
            f"the input is quantized: q = clip(round(x / {info.scale!r}) + {info.zero_point}, "
            f"{low}, {high}), here scale = {info.scale!r} and zero_point = {info.zero_point}"
        )
    return f"convert it: x.astype(numpy.{info.dtype.numpy.name})"
