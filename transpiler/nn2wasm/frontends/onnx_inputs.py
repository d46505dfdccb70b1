"""Graph inputs: element types, and a known size for every axis."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod

import onnx

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_tensors import BITS, DTYPES, type_name
from nn2wasm.frontends.onnx_types import OnnxValue, OutputType
from nn2wasm.ir.dtype import DType
from nn2wasm.ir.tensor import Shape

Axis = int | str | None
"""A fixed size, a symbol, or nothing said."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,60}", re.ASCII)
_EXAMPLE_SIZE = 96


@dataclass(frozen=True, slots=True)
class Declared:
    """What the file says of an input; no axes where it says nothing of its shape."""

    name: str
    dtype: DType
    axes: tuple[Axis, ...] | None
    bits: int = 0

    @property
    def label(self) -> str:
        return f"input {quote(self.name)}"

    def shown(self) -> str:
        axes = "unknown" if self.axes is None else ", ".join(_shown(axis) for axis in self.axes)
        return f"{self.dtype.value} [{axes}]"


def read_inputs(
    values: Sequence[onnx.ValueInfoProto],
    shapes: Mapping[str, Sequence[int]],
    limits: Limits,
) -> tuple[OnnxValue, ...]:
    """The inputs with every size known.

    A first axis without size is the batch and becomes 1; any other needs an entry of `shapes`. A
    symbol that gets a size on one input has it on all.

    Args:
        values: the graph's inputs without those that are initializers.
        shapes: input name to its sizes, from the user.
        limits: rank and elements.

    Raises:
        DynamicShape: an unknown size, or a shape for an input that does not exist.
        InvalidModel: a shape that contradicts the file, sizes above the limits.
        UnsupportedFeature: sequences, maps, strings.
    """
    declared = [declared_input(value, limits) for value in values]
    check_names(shapes, [value.name for value in declared], what="a shape")
    symbols: dict[str, int] = {}
    given: dict[str, Shape] = {}
    for value in declared:
        if value.name in shapes:
            given[value.name] = _override(value, shapes[value.name], symbols)
    for value in declared:
        first = value.axes[0] if value.axes else None
        if value.name not in given and isinstance(first, str):
            symbols.setdefault(first, 1)
    result = []
    for value in declared:
        shape = given[value.name] if value.name in given else _resolved(value, symbols)
        if len(shape) > limits.rank:
            raise InvalidModel(
                f"{value.label} has {len(shape):,} axes; at most {limits.rank} are supported"
            )
        if prod(max(size, 1) for size in shape) > limits.tensor_elements:
            raise InvalidModel(
                f"{value.label} has the shape {list(shape)}; "
                f"at most {limits.tensor_elements:,} elements are supported"
            )
        result.append(OnnxValue(value.name, value.dtype, shape, value.bits))
    return tuple(result)


def read_output_type(value: onnx.ValueInfoProto, limits: Limits) -> OutputType:
    """What the file says about an output, where it is a plain tensor.

    Raises:
        InvalidModel: an element type that ONNX does not have.
    """
    if value.type.WhichOneof("value") != "tensor_type":
        return "", None
    tensor = value.type.tensor_type
    if tensor.elem_type not in onnx.TensorProto.DataType.values():
        raise InvalidModel(
            f"output {quote(value.name)} has elements of type {tensor.elem_type}, "
            "which ONNX does not have"
        )
    name = type_name(tensor.elem_type) if tensor.elem_type else ""
    if (dtype := DTYPES.get(tensor.elem_type)) is not None:
        name = dtype.value
    if not tensor.HasField("shape") or len(tensor.shape.dim) > limits.rank:
        return name, None
    label = f"output {quote(value.name)}"
    axes = (_axis(dim, index, label) for index, dim in enumerate(tensor.shape.dim))
    return name, tuple(axis if isinstance(axis, int) and axis else None for axis in axes)


def declared_input(value: onnx.ValueInfoProto, limits: Limits) -> Declared:
    """What the file says of an input."""
    label = f"input {quote(value.name)}"
    kind = value.type.WhichOneof("value")
    if kind is None:
        raise InvalidModel(f"{label} has no type")
    if kind != "tensor_type":
        raise UnsupportedFeature(
            f"{label} is of type {kind.removesuffix('_type').replace('_', ' ')}; "
            "only plain tensors are supported"
        )
    tensor = value.type.tensor_type
    if tensor.elem_type == onnx.TensorProto.UNDEFINED:
        raise InvalidModel(f"{label} has no element type")
    dtype = DTYPES.get(tensor.elem_type)
    if dtype is None:
        raise UnsupportedFeature(f"{label} has elements of type {type_name(tensor.elem_type)}")
    bits = BITS.get(tensor.elem_type, 0) if dtype.is_byte else 0
    if not tensor.HasField("shape"):
        return Declared(value.name, dtype, None, bits)
    if len(tensor.shape.dim) > limits.rank:
        raise InvalidModel(
            f"{label} has {len(tensor.shape.dim):,} axes; at most {limits.rank} are supported"
        )
    axes = tuple(_axis(dim, index, label) for index, dim in enumerate(tensor.shape.dim))
    return Declared(value.name, dtype, axes, bits)


def _axis(dim: onnx.TensorShapeProto.Dimension, index: int, label: str) -> Axis:
    if not dim.HasField("dim_value"):
        return dim.dim_param or None
    size = int(dim.dim_value)
    if size < -1:
        raise InvalidModel(f"{label}: axis {index} has size {size}")
    return None if size == -1 else size  # some exporters write -1 for unknown


def check_names(given: Iterable[str], names: Sequence[str], *, what: str) -> None:
    """Refuses what the user gives for an input that the model does not have."""
    for name in given:
        if name not in names:
            near = get_close_matches(name[:200], [n for n in names if len(n) <= 200], n=1)
            known = ", ".join(quote(n) for n in names[:10]) or "none"
            raise DynamicShape(
                f"{what} is given for the input {quote(name)}, which the model does not have",
                facts=[("inputs", known)],
                hint=f"did you mean {quote(near[0])}?" if near else "",
            )


def _override(value: Declared, sizes: Sequence[int], symbols: dict[str, int]) -> Shape:
    """The user's shape, checked against the declared one; binds its symbols."""
    try:
        shape = tuple(operator.index(size) for size in sizes)
    except TypeError as error:
        raise DynamicShape(f"{value.label}: a given size is not an integer") from error
    if any(size < 0 for size in shape):
        raise DynamicShape(f"{value.label}: the given shape {list(shape)} has a size below 0")
    facts = [("declared", value.shown()), ("given", str(list(shape)))]
    if value.axes is None:
        return shape
    if len(shape) != len(value.axes):
        raise InvalidModel(
            f"{value.label} has {len(value.axes)} axes, the given shape has {len(shape)}",
            facts=facts,
        )
    for index, (axis, size) in enumerate(zip(value.axes, shape, strict=True)):
        if isinstance(axis, int) and axis != size:
            raise InvalidModel(
                f"{value.label}: axis {index} is {axis} in the model, the given shape has {size}",
                facts=facts,
                hint="a fixed size can only be changed by exporting the model again",
            )
        if isinstance(axis, str) and symbols.setdefault(axis, size) != size:
            raise InvalidModel(
                f"{value.label}: axis {index} ({quote(axis)}) is given as {size}, "
                f"but the same symbol is {symbols[axis]} elsewhere",
                facts=facts,
            )
    return shape


def _resolved(value: Declared, symbols: Mapping[str, int]) -> Shape:
    """The declared shape with its first axis, and what symbols say, filled in."""
    if value.axes is None:
        raise DynamicShape(
            f"{value.label} has no shape in the model",
            hint=f"give it, for example --shape {_option_name(value.name)}=1,3,96,96",
        )
    shape: list[int | None] = [
        symbols.get(axis) if isinstance(axis, str) else axis for axis in value.axes
    ]
    if shape and shape[0] is None:
        shape[0] = 1
    for index, size in enumerate(shape):
        if size is None:
            axis = value.axes[index]
            symbol = f" ({quote(axis)})" if isinstance(axis, str) else ""
            example = ",".join(str(s or _EXAMPLE_SIZE) for s in shape)
            raise DynamicShape(
                f"{value.label}: axis {index}{symbol} has no fixed size",
                facts=[("declared", value.shown())],
                hint=f"fix it, for example with --shape {_option_name(value.name)}={example}",
            )
    return tuple(size for size in shape if size is not None)


def _option_name(name: str) -> str:
    """The name as one would type it."""
    return name if _PLAIN_NAME.fullmatch(name) else quote(name)


def _shown(axis: Axis) -> str:
    if axis is None:
        return "?"
    return quote(axis)[1:-1] if isinstance(axis, str) else str(axis)
