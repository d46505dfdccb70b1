"""float64, float16 and bfloat16: computed in float32, stored as they are."""

from __future__ import annotations

from nn2wasm.errors import UnsupportedFeature
from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.onnx_node import OnnxNode, TensorList, Value
from nn2wasm.ops.registry import ImportOp


class SingleFloats:
    """Makes what an operation does not read float32, and its results what they were.

    A result that another operation reads goes there as it was computed, in float32: between two
    operations nothing is rounded.
    """

    def __init__(self) -> None:
        self._computed: dict[Tensor | None, Tensor] = {}

    def run(self, node: OnnxNode, op: type[ImportOp]) -> None:
        """Imports the node.

        Raises:
            UnsupportedFeature: elements of a type that the operation does not read, which do not
                become float32 either.
        """
        unread = [t for t in node.inputs if t is not None and not self._reads(op, t, node)]
        for tensor in unread:
            if tensor.dtype.is_tiny:
                raise node.unsupported(f"elements of type {tensor.dtype.value}")
        exact = all(t.dtype is DType.F64 and t.is_constant for t in unread)
        if unread and exact:  # evaluated in float64, if it is
            try:
                _import(node, op)
            except UnsupportedFeature:
                node.forget()
            else:
                return
        if not unread:
            _import(node, op)
            return
        own = _result_type(node, unread)
        given = list(node.inputs)
        node.inputs = [self._single(node, t) if t in unread else t for t in given]
        _import(node, op)
        node.results = [
            result if index in op.single_outputs else self._as_stored(node, result, own)
            for index, result in enumerate(node.results)
        ]

    def _single(self, node: OnnxNode, tensor: Tensor | None) -> Tensor:
        assert tensor is not None
        computed = self._computed.get(tensor)
        return computed or node.add(Cast(DType.F32), [tensor], suffix="single")

    def _as_stored(self, node: OnnxNode, result: Value | None, dtype: DType) -> Value | None:
        if isinstance(result, TensorList) and result.items and result.items[0].dtype is DType.F32:
            raise node.unsupported(f"a sequence of {dtype.value} tensors")
        if not isinstance(result, Tensor) or result.dtype is not DType.F32:
            return result
        stored = node.add(Cast(dtype), [result], suffix=dtype.value)
        self._computed[stored] = result
        return stored

    def _reads(self, op: type[ImportOp], tensor: Tensor, node: OnnxNode) -> bool:
        if (
            op.moves and op.reads_all and tensor.dtype.is_half
        ):  # what was computed moves as it was computed
            return not any(each in self._computed for each in node.inputs)
        if tensor.dtype is DType.F64 and node.op_type in op.double_types:
            return not any(each in self._computed for each in node.inputs)
        return _reads(op, tensor)


def _reads(op: type[ImportOp], tensor: Tensor) -> bool:
    if tensor.dtype is DType.F64:
        return op.reads_doubles or op.reads_all
    if tensor.dtype.is_tiny:
        return op.reads_all or op.reads_tiny
    return op.reads_all or not tensor.dtype.is_half


def _result_type(node: OnnxNode, unread: list[Tensor]) -> DType:
    """The first input's type where that is a float's, else that of the first unread one."""
    first = node.inputs[0] if node.inputs else None
    if first is not None and (first.dtype is DType.F32 or first in unread):
        return first.dtype
    return unread[0].dtype


def _import(node: OnnxNode, op: type[ImportOp]) -> None:
    try:
        op.from_onnx(node)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        if not any(tensor is not None and tensor.is_empty for tensor in node.inputs):
            raise
        raise node.unsupported("an input without elements") from error  # numpy has no result
