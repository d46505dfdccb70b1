"""AttributeProto to plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx

from nn2wasm.errors import InvalidModel, quote
from nn2wasm.frontends.onnx_tensors import TensorReader

_A = onnx.AttributeProto

# Fields of an attribute without type, as files before IR version 2 have them.
_SINGLE = {"f": _A.FLOAT, "i": _A.INT, "s": _A.STRING, "t": _A.TENSOR, "g": _A.GRAPH}
_REPEATED = {
    "floats": _A.FLOATS,
    "ints": _A.INTS,
    "strings": _A.STRINGS,
    "tensors": _A.TENSORS,
    "graphs": _A.GRAPHS,
}
_FIELDS = _SINGLE | _REPEATED
_FIELDS |= {"sparse_tensor": _A.SPARSE_TENSOR, "sparse_tensors": _A.SPARSE_TENSORS}
_FIELDS |= {"tp": _A.TYPE_PROTO, "type_protos": _A.TYPE_PROTOS}


class AttributeReader:
    """Converts each attribute once, however often inlining repeats its node."""

    def __init__(self, tensors: TensorReader) -> None:
        self._tensors = tensors
        # The protobuf object is kept beside its value, so that its id stays its own.
        self._known: dict[int, tuple[onnx.AttributeProto, object]] = {}

    def read(self, attributes: Mapping[str, onnx.AttributeProto], node: str) -> dict[str, object]:
        """Values by name.

        Args:
            attributes: references resolved.
            node: what messages call the node.

        Raises:
            InvalidModel: an unknown attribute type, a value of another type than the attribute
                says, a malformed tensor.
            UnsupportedFeature: a tensor of a type without arithmetic here.
        """
        values: dict[str, object] = {}
        for name, attribute in attributes.items():
            known = self._known.get(id(attribute))
            if known is None:
                value = self._convert(attribute, f"attribute {quote(name)} of {node}")
                known = self._known[id(attribute)] = (attribute, value)
            values[name] = known[1]
        return values

    def _convert(self, attribute: onnx.AttributeProto, where: str) -> object:
        kind = attribute.type or _guessed_type(attribute)
        _check_fields(attribute, kind, where)
        if kind in _PLAIN:
            return _PLAIN[kind](attribute)
        if kind == _A.TENSOR:
            return self._tensors.read(attribute.t, where)
        if kind == _A.TENSORS:
            return tuple(self._tensors.read(tensor, where) for tensor in attribute.tensors)
        if kind == _A.SPARSE_TENSOR:
            return self._tensors.read_sparse(attribute.sparse_tensor, where)
        if kind == _A.SPARSE_TENSORS:
            return tuple(self._tensors.read_sparse(t, where) for t in attribute.sparse_tensors)
        raise InvalidModel(f"{where} has no type, or one that ONNX does not have ({kind})")


def _guessed_type(attribute: onnx.AttributeProto) -> int:
    for name, kind in _SINGLE.items():
        if attribute.HasField(name):
            return int(kind)
    for name, kind in _REPEATED.items():
        if len(getattr(attribute, name)):
            return int(kind)
    return 0


def _check_fields(attribute: onnx.AttributeProto, kind: int, where: str) -> None:
    """Refuses values in fields of other types; zeros there are what some writers fill up with."""
    for field, value in attribute.ListFields():
        holds = _FIELDS.get(field.name, kind)
        if holds != kind and value:
            names = _A.AttributeType
            says = names.Name(kind) if kind in names.values() else str(kind)
            raise InvalidModel(
                f"{where} says that it is {says}, and holds a value of type {names.Name(holds)}"
            )


def _text(data: bytes) -> str:
    # Plugin nodes keep binary blobs in strings. That they are unsupported operators is the better
    # message, and it comes later.
    return data.decode("utf-8", "replace")


_PLAIN: dict[int, Callable[[onnx.AttributeProto], object]] = {
    _A.FLOAT: lambda a: float(a.f),
    _A.INT: lambda a: int(a.i),
    _A.STRING: lambda a: _text(a.s),
    _A.FLOATS: lambda a: tuple(a.floats),
    _A.INTS: lambda a: tuple(a.ints),
    _A.STRINGS: lambda a: tuple(_text(s) for s in a.strings),
    _A.GRAPH: lambda a: a.g,
    _A.GRAPHS: lambda a: tuple(a.graphs),
    _A.TYPE_PROTO: lambda a: a.tp,
    _A.TYPE_PROTOS: lambda a: tuple(a.type_protos),
}
