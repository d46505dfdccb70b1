"""A .tflite file as plain records, every offset and length checked by reading it.

The schema is that of PyPI's package tflite; accessors of a damaged file fail in ways of their own,
and all of them mean that the file is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from nn2wasm.errors import InstallError, InvalidModel, UnsupportedFeature, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.ir.tensor import Array

MAGIC = b"TFL3"
"""At offset 4 of every such file."""
TYPES: Mapping[int, Any] = {
    0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16,
    9: np.int8, 10: np.float64, 12: np.uint64, 15: np.uint32, 16: np.uint16, 17: ml_dtypes.int4,
    18: ml_dtypes.bfloat16,
}  # fmt: skip
DAMAGE = (
    struct.error, IndexError, ValueError, TypeError, AttributeError, KeyError, OverflowError,
    MemoryError, AssertionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class TfliteTensor:
    """A tensor of the file.

    Attributes:
        name: of the file, or made of its index.
        dtype: numpy's, or ml_dtypes'.
        shape: every size is known.
        scale, zero_point: one or one for each channel, None where it is not quantized.
        axis: of the channels.
        data: the values of a constant.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    scale: Array | None = None
    zero_point: Array | None = None
    axis: int = 0
    data: Array | None = None


@dataclass(frozen=True, slots=True)
class TfliteOp:
    """A node: its builtin's name, tensors (None for one left out), and what its options say."""

    kind: str
    index: int
    inputs: tuple[TfliteTensor | None, ...]
    outputs: tuple[TfliteTensor, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.kind}_{self.index}"

    def option(self, name: str, default: Any = 0) -> Any:
        return self.options.get(name, default)


@dataclass(frozen=True, slots=True)
class TfliteModel:
    name: str
    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]
    ops: tuple[TfliteOp, ...]


def read_tflite(data: bytes, label: str, limits: Limits) -> TfliteModel:
    """The first subgraph of a file.

    Raises:
        InvalidModel: a damaged file.
        UnsupportedFeature: several subgraphs, sparse tensors, element types without arithmetic.
        InstallError: the package tflite is missing.
    """
    try:
        import tflite
    except ImportError:
        raise InstallError(
            "reading .tflite files needs the package tflite",
            hint="install it: pip install 'nn2wasm[tflite]'",
        ) from None
    with _damage(label):
        return _Reader(tflite, data, label, limits).model()


@contextmanager
def _damage(label: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise InvalidModel(
            f"{label} is not a TensorFlow Lite model: it is damaged",
            facts=[("at", f"{type(error).__name__}: {str(error)[:80]}")],
            hint="copy it again; a download or copy that stopped early leaves such a file",
        ) from error


class _Reader:
    def __init__(self, schema: Any, data: bytes, label: str, limits: Limits) -> None:
        self._schema, self._data, self._label, self._limits = schema, data, label, limits
        self._model = schema.Model.GetRootAsModel(bytearray(data), 0)
        self._bytes = 0

    def model(self) -> TfliteModel:
        count = self._model.SubgraphsLength()
        if count == 0:
            raise ValueError("no subgraph")
        if count != 1:
            raise UnsupportedFeature(
                f"{self._label} has {count} subgraphs; models without control flow are compiled"
            )
        graph = self._model.Subgraphs(0)
        size = self._counted(graph.TensorsLength())
        tensors = [self._tensor(graph.Tensors(i), i) for i in range(size)]
        builtins = self._builtins()
        ops = []
        for index in range(self._counted(graph.OperatorsLength())):
            ops.append(self._op(graph.Operators(index), index, builtins, tensors))
        name = graph.Name() or b""
        return TfliteModel(
            name.decode("utf-8", "replace"),
            tuple(tensors[i] for i in _indices(graph.InputsAsNumpy(), len(tensors))),
            tuple(tensors[i] for i in _indices(graph.OutputsAsNumpy(), len(tensors))),
            tuple(ops),
        )

    def _counted(self, count: int) -> int:
        """A number of tables, each of which takes four bytes at least."""
        if count * 4 > len(self._data) or count > self._limits.node_count:
            raise ValueError(f"{count} tables")
        return count

    def _builtins(self) -> list[str]:
        names = {
            value: name
            for name, value in vars(self._schema.BuiltinOperator).items()
            if isinstance(value, int)
        }
        found = []
        for index in range(self._counted(self._model.OperatorCodesLength())):
            code = self._model.OperatorCodes(index)
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = names.get(number, f"builtin {number}")
            if name == "CUSTOM":
                custom = (code.CustomCode() or b"").decode("utf-8", "replace")
                name = f"custom {quote(custom)[1:-1]}"
            found.append(name)
        return found

    def _tensor(self, tensor: Any, index: int) -> TfliteTensor:
        name = (tensor.Name() or b"").decode("utf-8", "replace") or f"tensor_{index}"
        if tensor.Sparsity() is not None:
            raise UnsupportedFeature(f"the tensor {quote(name)} is stored sparsely")
        kind = TYPES.get(tensor.Type())
        if kind is None:
            raise UnsupportedFeature(
                f"the tensor {quote(name)} has elements of type {tensor.Type()}"
            )
        shape = _numbers(tensor.ShapeAsNumpy())
        if any(size < 0 for size in shape) or len(shape) > self._limits.rank:
            raise ValueError(f"shape {shape}")
        if _product(max(size, 1) for size in shape) > self._limits.tensor_elements:
            raise InvalidModel(f"the tensor {quote(name)} has the shape {list(shape)}")
        dtype = np.dtype(kind)
        scale, zero_point, axis = _quantization(tensor.Quantization())
        if axis >= max(1, len(shape)) or (scale is not None and scale.size not in (1, *shape)):
            raise ValueError("channels of scales")
        data = self._values(tensor.Buffer(), dtype, shape)
        return TfliteTensor(name, dtype, shape, scale, zero_point, axis, data)

    def _values(self, buffer: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array | None:
        if not 0 <= buffer < self._model.BuffersLength():
            raise ValueError(f"buffer {buffer}")
        raw = self._model.Buffers(buffer).DataAsNumpy()
        count = _product(shape)
        if isinstance(raw, int) or (not len(raw) and count):
            return None
        self._bytes += count * dtype.itemsize
        if self._bytes > self._limits.weight_bytes:
            raise InvalidModel(f"the model's constants exceed {self._limits.weight_bytes:,} bytes")
        data = raw.tobytes()
        if dtype == ml_dtypes.int4:  # two a byte, the first in the low half
            halves = np.frombuffer(data, np.uint8)
            nibbles = np.stack([halves & 15, halves >> 4], -1).reshape(-1)
            values = nibbles[:count].view(ml_dtypes.int4)
        else:
            values = np.frombuffer(data, dtype)
        if values.size != count:
            raise ValueError(f"{values.size} elements for the shape {shape}")
        shaped: Array = values.reshape(shape)
        return shaped

    def _op(
        self, op: Any, index: int, builtins: list[str], tensors: list[TfliteTensor]
    ) -> TfliteOp:
        kind = builtins[op.OpcodeIndex()]
        inputs = tuple(
            None if i == -1 else tensors[i]
            for i in _numbers(op.InputsAsNumpy())
            if i == -1 or _indices([i], len(tensors))
        )
        outputs = tuple(tensors[i] for i in _indices(op.OutputsAsNumpy(), len(tensors)))
        return TfliteOp(kind, index, inputs, outputs, self._options(op))

    def _options(self, op: Any) -> dict[str, Any]:
        """All fields of the options by name: numbers, and lists of them."""
        kinds = {
            value: name
            for name, value in vars(self._schema.BuiltinOptions).items()
            if isinstance(value, int)
        }
        table, name = op.BuiltinOptions(), kinds.get(op.BuiltinOptionsType(), "NONE")
        reader = getattr(self._schema, name, None)
        if table is None or name == "NONE" or reader is None:
            return {}
        options = reader()
        options.Init(table.Bytes, table.Pos)
        found: dict[str, Any] = {}
        for field_name in dir(type(options)):
            if field_name.startswith(("_", "Init", "GetRoot")) or field_name.endswith(
                ("Length", "IsNone", "BufferHasIdentifier")
            ):
                continue
            read: Callable[..., Any] = getattr(options, field_name)
            if field_name.endswith("AsNumpy"):
                found[field_name.removesuffix("AsNumpy")] = _numbers(read())
            elif f"{field_name}AsNumpy" not in dir(type(options)):
                value = read()
                if isinstance(value, int | float):
                    found[field_name] = value
        return found


def _numbers(values: Any) -> tuple[int, ...]:
    """A vector of integers; the schema gives 0 where there is none."""
    return () if isinstance(values, int) else tuple(int(v) for v in values)


def _indices(values: Any, count: int) -> tuple[int, ...]:
    found = _numbers(values)
    if any(not 0 <= index < count for index in found):
        raise IndexError(f"tensor {found} of {count}")
    return found


def _product(sizes: Any) -> int:
    result = 1
    for size in sizes:
        result *= int(size)
    return result


def _quantization(about: Any) -> tuple[Array | None, Array | None, int]:
    if about is None:
        return None, None, 0
    scale, zero = about.ScaleAsNumpy(), about.ZeroPointAsNumpy()
    if isinstance(scale, int) or not len(scale):
        return None, None, 0
    zeros = np.zeros(len(scale), np.int64) if isinstance(zero, int) or not len(zero) else zero
    if len(zeros) == 1:
        zeros = np.repeat(zeros, len(scale))
    if len(zeros) != len(scale):
        raise ValueError("scales and zero points")
    return scale.astype(np.float32), zeros.astype(np.int64), int(about.QuantizedDimension())
