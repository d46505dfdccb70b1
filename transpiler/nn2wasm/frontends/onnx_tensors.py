"""TensorProto and SparseTensorProto to numpy, with every length checked before it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx

from nn2wasm.errors import InvalidModel, UnsupportedFeature, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_external import read_external
from nn2wasm.ir.dtype import NARROW, DType
from nn2wasm.ir.tensor import Array, Shape

_T = onnx.TensorProto

DTYPES: dict[int, DType] = {
    _T.FLOAT: DType.F32,
    _T.DOUBLE: DType.F64,
    _T.INT8: DType.S8,
    _T.UINT8: DType.U8,
    _T.INT16: DType.S16,
    _T.UINT16: DType.U16,
    _T.INT32: DType.S32,
    _T.UINT32: DType.U32,
    _T.INT64: DType.S64,
    _T.UINT64: DType.U64,
    _T.BOOL: DType.BOOL,
    _T.FLOAT16: DType.F16,
    _T.BFLOAT16: DType.BF16,
    _T.FLOAT8E4M3FN: DType.F8E4M3FN,
    _T.FLOAT8E4M3FNUZ: DType.F8E4M3FNUZ,
    _T.FLOAT8E5M2: DType.F8E5M2,
    _T.FLOAT8E5M2FNUZ: DType.F8E5M2FNUZ,
    _T.FLOAT8E8M0: DType.F8E8M0,
    _T.FLOAT4E2M1: DType.F4E2M1,
    _T.INT4: DType.S8,
    _T.UINT4: DType.U8,
    _T.INT2: DType.S8,
    _T.UINT2: DType.U8,
}
"""What elements of a type are here: themselves, or integers of 8 bits where they have fewer."""


@dataclass(frozen=True, slots=True)
class _Format:
    """How an element type is stored.

    Attributes:
        bits: of one element in raw_data.
        stored: numpy type of raw_data, little endian; bytes that several elements share.
        result: what an element becomes.
        field: name of the typed field.
    """

    bits: int
    stored: str
    result: DType
    field: str


_FORMATS: dict[int, _Format] = {
    _T.FLOAT: _Format(32, "<f4", DType.F32, "float_data"),
    _T.DOUBLE: _Format(64, "<f8", DType.F64, "double_data"),
    _T.INT8: _Format(8, "i1", DType.S8, "int32_data"),
    _T.UINT8: _Format(8, "u1", DType.U8, "int32_data"),
    _T.INT16: _Format(16, "<i2", DType.S16, "int32_data"),
    _T.UINT16: _Format(16, "<u2", DType.U16, "int32_data"),
    _T.INT32: _Format(32, "<i4", DType.S32, "int32_data"),
    _T.UINT32: _Format(32, "<u4", DType.U32, "uint64_data"),
    _T.INT64: _Format(64, "<i8", DType.S64, "int64_data"),
    _T.UINT64: _Format(64, "<u8", DType.U64, "uint64_data"),
    _T.BOOL: _Format(8, "u1", DType.BOOL, "int32_data"),
    _T.FLOAT16: _Format(16, "<u2", DType.F16, "int32_data"),
    _T.BFLOAT16: _Format(16, "<u2", DType.BF16, "int32_data"),
    _T.FLOAT8E4M3FN: _Format(8, "u1", DType.F8E4M3FN, "int32_data"),
    _T.FLOAT8E4M3FNUZ: _Format(8, "u1", DType.F8E4M3FNUZ, "int32_data"),
    _T.FLOAT8E5M2: _Format(8, "u1", DType.F8E5M2, "int32_data"),
    _T.FLOAT8E5M2FNUZ: _Format(8, "u1", DType.F8E5M2FNUZ, "int32_data"),
    _T.FLOAT8E8M0: _Format(8, "u1", DType.F8E8M0, "int32_data"),
    _T.FLOAT4E2M1: _Format(4, "u1", DType.F4E2M1, "int32_data"),
    _T.INT4: _Format(4, "u1", DType.S8, "int32_data"),
    _T.UINT4: _Format(4, "u1", DType.U8, "int32_data"),
    _T.INT2: _Format(2, "u1", DType.S8, "int32_data"),
    _T.UINT2: _Format(2, "u1", DType.U8, "int32_data"),
}
_NARROW = {wide: narrow for narrow, wide in NARROW.items()}
BITS = {data_type: form.bits for data_type, form in _FORMATS.items() if form.bits < 8}
_TYPED_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def type_name(data_type: int) -> str:
    """ONNX's name of an element type, in lower case."""
    try:
        return str(_T.DataType.Name(data_type)).lower()
    except ValueError:
        return f"number {data_type}"


class TensorReader:
    """Reads the tensors of one model and adds up what they weigh.

    Args:
        limits: elements of one tensor, bytes of all.
        folder: where external data may lie, None where there is no folder.
    """

    def __init__(self, limits: Limits, folder: str | None) -> None:
        self._limits = limits
        self._folder = folder
        self._bytes = 0
        self._data_files: dict[str, None] = {}

    @property
    def data_files(self) -> tuple[str, ...]:
        """Locations of external data that was read, as the model states them."""
        return tuple(self._data_files)

    @staticmethod
    def supports(tensor: onnx.TensorProto) -> bool:
        return tensor.data_type in _FORMATS or tensor.data_type == _T.STRING

    def read(self, tensor: onnx.TensorProto, where: str) -> Array:
        """The values; strings as objects.

        Args:
            tensor: untrusted.
            where: what messages call it, e.g. "initializer 'w'".

        Raises:
            InvalidModel: lengths that disagree, sizes above the limits, bad external data.
            UnsupportedFeature: an element type without arithmetic here (complex …).
        """
        shape = self._shape(tensor.dims, where)
        if tensor.data_type == _T.STRING:
            return self._strings(tensor, shape, where)
        if tensor.data_type == _T.UNDEFINED:
            raise InvalidModel(f"{where} has no element type")
        form = _FORMATS.get(tensor.data_type)
        if form is None:
            raise UnsupportedFeature(
                f"{where} has elements of type {type_name(tensor.data_type)}, "
                "which nn2wasm does not compute with"
            )
        if tensor.HasField("segment"):
            raise UnsupportedFeature(f"{where} is stored in segments")
        count = prod(shape)
        self._weigh(count * form.result.bytes, where)
        stored = self._stored(tensor, form, count, where)
        return _decode(stored, tensor.data_type, form, count).reshape(shape)

    def _strings(self, tensor: onnx.TensorProto, shape: Shape, where: str) -> Array:
        if len(tensor.string_data) != prod(shape) or tensor.data_location == _T.EXTERNAL:
            raise InvalidModel(
                f"{where} holds {len(tensor.string_data):,} strings for the shape {list(shape)}"
            )
        texts = np.empty(len(tensor.string_data), object)
        texts[:] = [text.decode("utf-8", "replace") for text in tensor.string_data]
        self._weigh(sum(map(len, tensor.string_data)), where)
        return texts.reshape(shape)

    def read_sparse(self, sparse: onnx.SparseTensorProto, where: str) -> Array:
        """A sparse tensor as a dense array; raises as `read` does."""
        shape = self._shape(sparse.dims, where)
        count = prod(shape)
        if count > self._limits.fold_elements:
            raise InvalidModel(
                f"{where} is sparse with {count:,} elements when dense; "
                f"at most {self._limits.fold_elements:,} are supported"
            )
        values = self.read(sparse.values, f"values of {where}")
        indices = self.read(sparse.indices, f"indices of {where}")
        if values.ndim != 1 or indices.dtype != np.int64:
            raise InvalidModel(f"{where} is sparse, but its values or indices are malformed")
        if indices.ndim == 2 and indices.shape == (len(values), len(shape)):
            if ((indices < 0) | (indices >= np.asarray(shape, np.int64))).any():
                raise InvalidModel(f"{where} is sparse with an index outside {list(shape)}")
            linear = indices @ np.asarray(_strides(shape), np.int64)
        elif indices.ndim == 1 and len(indices) == len(values):
            linear = indices
        else:
            raise InvalidModel(
                f"{where} is sparse, but its indices {list(indices.shape)} "
                f"do not fit its {len(values)} values"
            )
        if len(linear) and (linear[0] < 0 or linear[-1] >= count or (np.diff(linear) <= 0).any()):
            raise InvalidModel(f"{where} is sparse, but its indices are not ascending within it")
        self._weigh(count * values.dtype.itemsize, where)
        dense = np.zeros(count, values.dtype)
        dense[linear] = values
        return dense.reshape(shape)

    def _shape(self, dims: Any, where: str) -> Shape:
        if len(dims) > self._limits.rank:
            raise InvalidModel(
                f"{where} has {len(dims):,} axes; at most {self._limits.rank} are supported"
            )
        shape = tuple(int(size) for size in dims)
        if any(size < 0 for size in shape):
            raise InvalidModel(f"{where} has a negative size in its shape {list(shape)}")
        # Zeros must not hide the other sizes: numpy refuses [0, 2**62, 2**62] too.
        if prod(max(size, 1) for size in shape) > self._limits.tensor_elements:
            raise InvalidModel(
                f"{where} has the shape {list(shape)}; "
                f"at most {self._limits.tensor_elements:,} elements are supported"
            )
        return shape

    def _weigh(self, size: int, where: str) -> None:
        self._bytes += size
        if self._bytes > self._limits.weight_bytes:
            raise InvalidModel(
                f"the model's constants exceed {self._limits.weight_bytes:,} bytes",
                facts=[("reached at", where)],
            )

    def _stored(self, tensor: onnx.TensorProto, form: _Format, count: int, where: str) -> Array:
        """Elements as stored (packed ones as bytes), their number checked."""
        expected_bytes = (count * form.bits + 7) // 8
        if tensor.data_location == _T.EXTERNAL:
            data = read_external(tensor.external_data, self._folder, expected_bytes, where)
            for entry in tensor.external_data:
                if entry.key == "location":
                    self._data_files[entry.value] = None
            return np.frombuffer(data, form.stored)
        filled = [name for name in _TYPED_FIELDS if len(getattr(tensor, name))]
        if len(filled) + tensor.HasField("raw_data") > 1:
            raise InvalidModel(f"{where} holds its values twice, in different fields")
        if tensor.HasField("raw_data"):
            data = tensor.raw_data
            if len(data) != expected_bytes:
                raise InvalidModel(
                    f"{where} holds {len(data):,} bytes, but its shape {list(tensor.dims)} of "
                    f"{type_name(tensor.data_type)} needs {expected_bytes:,}"
                )
            return np.frombuffer(data, form.stored)
        fields = -(-count * form.bits // 8) if form.bits < 8 else count
        return _typed(tensor, form, fields, filled, where)


def _typed(
    tensor: onnx.TensorProto, form: _Format, count: int, filled: list[str], where: str
) -> Array:
    """Elements of a typed field, each within the range of its type."""
    if filled and filled != [form.field]:
        raise InvalidModel(
            f"{where} holds {type_name(tensor.data_type)} elements in the field {filled[0]}"
        )
    values = getattr(tensor, form.field)
    if len(values) != count:
        raise InvalidModel(
            f"{where} holds {len(values):,} elements, but its shape {list(tensor.dims)} "
            f"needs {count:,}"
        )
    stored = np.dtype(form.stored)
    wide = {"float_data": np.float32, "double_data": np.float64, "uint64_data": np.uint64}
    array = np.fromiter(values, wide.get(form.field, np.int64), count)
    if stored.kind in "iu" and count:
        info = np.iinfo(stored)
        # Old writers stored 16-bit patterns sign-extended, so a negative one is not an error.
        lowest = -(2**15) if tensor.data_type in (_T.FLOAT16, _T.BFLOAT16) else int(info.min)
        if form.bits < 8:
            lowest = -(2**7)
        if int(array.min()) < lowest or int(array.max()) > int(info.max):
            raise InvalidModel(
                f"{where} holds a number outside the range of {type_name(tensor.data_type)}"
            )
    return array.astype(stored)


def _decode(stored: Array, data_type: int, form: _Format, count: int) -> Array:
    """Stored elements in the type that they are computed in, shape (count,)."""
    values: Array
    if data_type == _T.BOOL:
        values = np.not_equal(stored, 0)
    elif form.bits < 8:
        # Several elements a byte, the first in the lowest bits.
        shifts = np.arange(0, 8, form.bits, dtype=np.uint8)
        low = (stored[:, None] >> shifts) & np.uint8(2**form.bits - 1)
        values = low.reshape(-1)[:count]
        if form.result.is_tiny:
            return values.view(form.result.numpy)
        if form.result is DType.S8:
            sign = np.uint8(2 ** (form.bits - 1))
            values = (values ^ sign).astype(np.int8) - np.int8(sign)
        values = values.astype(_NARROW[form.result, form.bits])
    elif form.result.is_half or form.result.is_tiny:
        values = stored.astype(stored.dtype.newbyteorder("=")).view(form.result.numpy)
    else:
        values = stored.astype(form.result.numpy, copy=False)
    return values


def _strides(shape: Shape) -> list[int]:
    """Elements between neighbours along each axis of a dense row-major tensor."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def tensor_label(tensor: onnx.TensorProto) -> str:
    return f"initializer {quote(tensor.name)}"
