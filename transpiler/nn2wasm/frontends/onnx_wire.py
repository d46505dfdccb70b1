"""A look over the raw protobuf before any of it is built: how many fields, and is text UTF-8.

Protobuf turns an empty submessage, two bytes of file, into more than a hundred bytes of memory,
and it hands out a string that is not UTF-8 as bytes, which no code expects. This walk follows the
schema over the bytes and finds both. It is not a parser: bytes that make no sense end it, and
protobuf then reports them.
"""

from __future__ import annotations

import re
from functools import lru_cache

import onnx

from nn2wasm.errors import InvalidModel, quote

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = 0, 1, 2, 3, 4, 5
_TYPE_STRING, _TYPE_MESSAGE = 9, 11  # of google.protobuf.descriptor.FieldDescriptor
_DEEPEST = 256  # protobuf refuses messages nested deeper than 100
_TEXT = ""

# Free text that nobody reads here may be in any encoding.
_FREE_FIELDS = ("doc_string",)
_FREE_MESSAGES = ("onnx.StringStringEntryProto",)


def check_wire(data: bytes, label: str, field_count: int) -> None:
    """Raises InvalidModel for too many fields, or for a name that is not UTF-8.

    Args:
        data: a serialized ModelProto, untrusted.
        label: what messages call the file.
        field_count: most strings and messages in it.
    """
    count = 0
    stack = [(0, len(data), "onnx.ModelProto")]
    while stack:
        position, end, message = stack.pop()
        fields = _fields(message)
        while position < end:
            tag, start = _varint(data, position, end)
            kind = tag & 7
            if kind == _BYTES:
                count += 1
                if count > field_count:
                    raise InvalidModel(
                        f"{label} holds more than {field_count:,} strings and messages; "
                        "that is not a model to compile"
                    )
                size, start = _varint(data, start, end)
                position = start + size
                if size < 0 or position > end:
                    break
                inner = fields.get((tag & 0xFFFFFFFF) >> 3)
                if inner == _TEXT:
                    _check_text(data[start:position], label)
                elif inner is not None and size and len(stack) < _DEEPEST:
                    # The rest of this message waits below its submessage, so that the stack
                    # stays as deep as the nesting.
                    stack.append((position, end, message))
                    stack.append((start, position, inner))
                    break
            elif kind in (_GROUP, _GROUP_END):
                # Protobuf skips unknown groups; seen as fields of this message they count the same.
                position = start
            else:
                run = _run(data[position:start], kind)
                match = run.match(data, position, end) if run else None
                if match is None:
                    break
                position = match.end()


def _check_text(data: bytes, label: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        shown = quote(data[:200].decode("latin-1"))
        raise InvalidModel(
            f"{label} is not an ONNX model, or it is damaged: the name {shown} is not UTF-8 text"
        ) from error


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A base-128 number and the position after it; -1 where the bytes end inside it."""
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return -1, end


@lru_cache(maxsize=256)
def _run(tag: bytes, kind: int) -> re.Pattern[bytes] | None:
    """A run of numbers with the same tag: unpacked lists have one tag for each element."""
    body = {_VARINT: rb"[\x80-\xff]*[\x00-\x7f]", _FIXED64: rb".{8}", _FIXED32: rb".{4}"}.get(kind)
    if body is None or not tag:
        return None
    # Bounded, because the regex engine remembers each repetition.
    return re.compile(rb"(?:" + re.escape(tag) + body + rb"){1,4096}", re.DOTALL)


@lru_cache(maxsize=64)
def _fields(message: str) -> dict[int, str]:
    """Field number to the message's name, or to `_TEXT` for names that must be UTF-8."""
    descriptor = onnx.ModelProto.DESCRIPTOR.file.pool.FindMessageTypeByName(message)
    fields: dict[int, str] = {}
    for field in descriptor.fields:
        free = field.name in _FREE_FIELDS or message in _FREE_MESSAGES
        if field.type == _TYPE_MESSAGE:
            fields[field.number] = field.message_type.full_name
        elif field.type == _TYPE_STRING and not free:
            fields[field.number] = _TEXT
    return fields
