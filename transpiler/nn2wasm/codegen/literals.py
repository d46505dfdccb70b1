"""Arrays as C text, or as files for #embed where the compiler is ours."""

from __future__ import annotations

from math import isfinite

import numpy as np

from nn2wasm.ir import Array, DType

LINE_WIDTH = 96
SMALLEST_EMBED = 512
"""Bytes from which an array goes through #embed: as text it costs the compiler more."""
MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00")


def array_text(array: Array) -> str:
    """Elements in rows of at most `LINE_WIDTH` characters."""
    array = bits_of(array)
    if array.dtype == np.float64:
        items = [_double(value) for value in array.reshape(-1).tolist()]
    elif array.dtype.kind == "f":
        items = [_float(value) for value in array.reshape(-1).tolist()]
    elif array.dtype == np.bool_:
        items = [str(int(value)) for value in array.reshape(-1).tolist()]
    elif array.dtype == np.uint64:
        items = [f"UINT64_C({value})" for value in array.reshape(-1).tolist()]
    elif array.dtype.itemsize == 8:
        items = [_long(value) for value in array.reshape(-1).tolist()]
    else:
        items = [str(value) for value in array.reshape(-1).tolist()]
    width = max(map(len, items), default=1) + 2
    per_line = max(1, LINE_WIDTH // width)
    rows = [items[i : i + per_line] for i in range(0, len(items), per_line)]
    return "".join("  " + ", ".join(row) + ",\n" for row in rows)


def bits_of(array: Array) -> Array:
    """What C holds of an array: the bits of floats that it has no type for."""
    dtype = DType.of(array)
    if not dtype.is_half and not dtype.is_tiny:
        return array
    return array.view(np.uint16 if dtype.is_half else np.uint8)


def _long(value: int) -> str:
    if value == -(2**63):
        return "INT64_MIN"
    return f"INT64_C({value})" if value < 2**63 else f"UINT64_C({value})"


def _double(value: float) -> str:
    return repr(value) if isfinite(value) else f"(double){_float(value)}"


def c_string(text: str) -> str:
    """A string literal of the text's UTF-8; octal escapes keep any content harmless."""
    return '"' + "".join(map(_character, text.encode("utf-8"))) + '"'


def _character(byte: int) -> str:
    plain = byte in b" ,:{}[]._-" or (byte < 128 and chr(byte).isalnum())
    return chr(byte) if plain else f"\\{byte:03o}"


def _float(value: float) -> str:
    if not isfinite(value):
        return "NN_NAN" if value != value else "NN_INFINITY" if value > 0 else "-NN_INFINITY"
    text = f"{value:.9g}"
    return (text if any(c in text for c in ".en") else text + ".0") + "f"


def array_definition(name: str, array: Array, *, embed: bool) -> tuple[str, dict[str, bytes]]:
    """The C definition of a constant, and the files that it embeds.

    Args:
        name: its identifier.
        array: its values.
        embed: whether #embed may be used.
    """
    c_type = DType.of(array).c_name
    if not embed or array.nbytes < SMALLEST_EMBED:
        body = array_text(array)
        return f"static const {c_type} {name}[{array.size}] NN_WEIGHTS = {{\n{body}}};\n", {}
    file = f"{name}.bin"
    bits = bits_of(array)
    data = np.ascontiguousarray(bits, bits.dtype.newbyteorder("<")).tobytes()
    head = _head_bytes(data)
    alignment = f"_Alignas({array.dtype.itemsize}) " if array.dtype.itemsize > 1 else ""
    text = (
        f"static const {alignment}uint8_t {name}_bytes[{array.nbytes}] = {{\n"
        f'{"".join(f"{byte}, " for byte in data[:head])}\n#embed "{file}"\n}};\n'
        f"#define {name} ((const {c_type} *)(const void *){name}_bytes)\n"
    )
    return text, {file: data[head:]}


def _head_bytes(data: bytes) -> int:
    """Bytes to write as text so that the rest does not begin with a byte order mark.

    Clang opens embedded files as if they were sources and refuses those that look like UTF-16.
    """
    head = 0
    while data[head : head + 2] in MARKS:
        head += 1
    return head
