"""Constants that a layer decodes before its kernel runs: kept as integers with scales, or halves.

The kernel never knows. It packs floats; the same packing of codes and of their blocks' numbers, in
place of the floats, tells where each lies, and what is kept instead is checked to decode to the
very floats that the kernel asked for. Where it does not, or saves little, floats are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

import numpy as np

from nn2wasm.ir import Array, Blocks, Encoding, Half, Node, Tensor
from nn2wasm.ops.registry import KernelOp

LEAST_BYTES = 512
"""Of floats: fewer save less than decoding them costs in code."""
LARGEST_SHARE = 0.75
"""Of the floats' bytes that codes and scales may take."""
LARGEST_WHOLE = 4096
"""Bytes of floats that may be in memory at once for a layer that cannot be computed in parts."""
MOST_SECTIONS = 3
"""Of a constant: each is a call."""
LARGEST_NUMBER = 2**24
"""Up to which floats tell whole numbers apart."""
NIBBLE, BYTE = 16, 256
"""Codes of 4 and 8 bits."""


class Section(NamedTuple):
    """Floats [outer][count][inner] that share a scale along the middle axis."""

    outer: int
    repeats: int
    inner: int

    @property
    def size(self) -> int:
        """Of all floats."""
        return self.outer * self.repeats * self.inner

    @property
    def scales(self) -> int:
        """How many there are."""
        return self.outer * self.inner


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Floats as what is kept of them.

    Attributes:
        function: of runtime_c's decode.h.
        arrays: what is kept, by the stem of its name: codes first, then scales, zero points.
        sections: behind each other; a kernel may pack its last outputs in another way.
        per_code: floats to an element of the codes.
        zero: a zero point for all; None where each scale has one, or where there are none.
    """

    function: str
    arrays: dict[str, Array]
    sections: tuple[Section, ...]
    per_code: int = 1
    zero: int | None = None

    def starts(self) -> list[tuple[int, ...]]:
        """Where each section begins in the arrays, in their order, and among the floats."""
        found, floats, scales = [], 0, 0
        for section in self.sections:
            parameters = (scales,) * (len(self.arrays) - 1)
            found.append((floats // self.per_code, *parameters, floats))
            floats, scales = floats + section.size, scales + section.scales
        return found

    def decoded(self) -> Array:
        """The floats as the C makes them."""
        codes, scales, zeros = (self.arrays.get(kind) for kind in ("codes", "scales", "zeros"))
        assert codes is not None
        if scales is None:
            return codes.astype(np.float32)
        parts = []
        for section, starts in zip(self.sections, self.starts(), strict=True):
            outer, repeats, inner = section
            some = codes[starts[0] : starts[0] + section.size // self.per_code]
            if self.per_code > 1:
                halves = some.reshape(outer, 1, repeats // 2, inner)
                some = np.concatenate([halves & 15, halves >> 4], axis=1)
            some = some.reshape(section).astype(np.int32)
            own = slice(starts[1], starts[1] + section.scales)
            if zeros is not None:
                some = some - zeros[own].reshape(outer, 1, inner)
            elif self.zero is not None:
                some = some - self.zero
            real = some.astype(np.float32) * scales[own].reshape(outer, 1, inner)
            parts.append(real.astype(np.float32).reshape(-1))
        return np.concatenate(parts)


def encoded_input(node: Node) -> int | None:
    """The constant input that a node may get in another form, the largest that there is; decided
    for all parts of a node alike.
    """
    whole = node.part_of.node if node.part_of else node
    sizes = {
        index: tensor.bytes
        for index, tensor in enumerate(whole.inputs)
        if tensor is not None and tensor.encoding is not None and tensor.bytes >= LEAST_BYTES
    }
    largest = max(sizes, key=lambda index: sizes[index], default=None)
    if largest is None or not isinstance(node.op, KernelOp):
        return None
    in_parts = node.op.outputs_apart(whole) > 1
    return largest if in_parts or sizes[largest] <= LARGEST_WHOLE else None


def marked(node: Node, index: int, *, blocks: bool) -> Node:
    """The node with whole numbers in place of the floats of an input: their codes, less the zero
    point; or the numbers of their blocks, from 1 on. Where a kernel fills up, it puts zeros.
    """
    tensor = node.input(index)
    encoding, numbers = tensor.encoding, np.ones(tensor.shape)
    if isinstance(encoding, Blocks):
        numbers = encoding.blocks + 1 if blocks else encoding.centred
    inputs: list[Tensor | None] = list(node.inputs)
    inputs[index] = Tensor.constant(tensor.name, numbers.astype(np.float32))
    return Node(node.name, node.op, inputs, node.outputs, node.origin, node.part_of)


def encode(encoding: Encoding, floats: Array, centred: Array, blocks: Array) -> Encoded | None:
    """What is kept in place of a kernel's constant; None for the floats.

    Args:
        encoding: of the input that it may be made of.
        floats: the constant.
        centred: the same of `marked(…, blocks=False)`.
        blocks: the same of `marked(…, blocks=True)`.
    """
    if floats.dtype != np.float32 or np.array_equal(blocks, floats):
        return None
    found: Encoded | None = None
    if isinstance(encoding, Half):
        halves = floats.astype(encoding.dtype.numpy).reshape(-1)
        function = f"nn_decode_{encoding.dtype.value}"
        found = Encoded(function, {"codes": halves}, (Section(1, floats.size, 1),))
    elif len(encoding.scale) < LARGEST_NUMBER:
        found = _blocks(encoding, centred.reshape(-1), blocks.reshape(-1))
    if found is None or found.decoded().tobytes() != floats.tobytes():
        return None
    kept = sum(array.nbytes for array in found.arrays.values())
    return found if kept <= LARGEST_SHARE * floats.nbytes else None


def _blocks(encoding: Blocks, centred: Array, blocks: Array) -> Encoded | None:
    """Integers as a kernel packed them."""
    numbers = blocks.astype(np.int64)
    sections = _sections(numbers)
    if not sections:
        return None
    of_scales, of_codes, at = [], [], 0
    for section in sections:
        own = numbers[at : at + section.size].reshape(section).max(axis=1)
        of_scales.append(own.reshape(-1))
        of_codes.append(np.broadcast_to(own[:, None, :], section).reshape(-1))
        at += section.size
    # where a kernel filled up: any
    number, every = (np.maximum(np.concatenate(n) - 1, 0) for n in (of_scales, of_codes))
    codes = centred.astype(np.int32) + encoding.zero_point[every]
    low, span = encoding.low, encoding.high - encoding.low + 1
    if span > BYTE:
        return None
    arrays = {"codes": codes, "scales": encoding.scale[number]}
    if span <= NIBBLE and all(section.repeats % 2 == 0 for section in sections):
        function, base, per_code = "nn_decode_s4", low, 2
        arrays["codes"] = _nibbles((codes - base).astype(np.uint8), sections)
    else:
        function, base, per_code = "nn_decode_s8", 0 if _is_s8(encoding) else low + 128, 1
        arrays["codes"] = (codes - base).astype(np.int8)
    zeros = encoding.zero_point - base
    if np.all(zeros == zeros[0]):
        return Encoded(function, arrays, sections, per_code, int(zeros[0]))
    arrays["zeros"] = zeros[number].astype(np.int8)
    return Encoded(function, arrays, sections, per_code)


def _is_s8(encoding: Blocks) -> bool:
    return encoding.low >= -128 and encoding.high <= 127


def _nibbles(codes: Array, sections: tuple[Section, ...]) -> Array:
    """Codes of 4 bits, two a byte: one of the first half of a block's rows, one of the second."""
    parts, at = [], 0
    for section in sections:
        outer, repeats, inner = section
        halves = codes[at : at + section.size].reshape(outer, 2, repeats // 2, inner)
        parts.append((halves[:, 0] | halves[:, 1] << 4).reshape(-1))
        at += section.size
    return np.concatenate(parts)


def _sections(numbers: Array) -> tuple[Section, ...]:
    """Sections in each of which numbers only repeat along the middle axis, as far as they do; none
    where they do not in such a way. Zeros may be any number.
    """
    if not np.any((numbers != numbers.max()) & (numbers != 0)):
        return (Section(1, numbers.size, 1),)
    found: list[Section] = []
    while numbers.size:
        first = numbers[0]
        again = np.flatnonzero(numbers[1:] == first)
        inner = int(again[0]) + 1 if again.size else numbers.size
        rows = numbers[: numbers.size // inner * inner].reshape(-1, inner)
        ordered = np.sort(rows, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != 0)
        mixed = np.flatnonzero(twice.any(axis=1))  # a row of narrower ones
        rows = rows[: mixed[0]] if mixed.size else rows
        changes = np.flatnonzero(((rows[1:] != rows[:-1]) & (rows[1:] != 0)).any(axis=1)) + 1
        repeats = gcd(len(rows), *map(int, changes))
        if not first or repeats < 2 or len(found) == MOST_SECTIONS:
            return ()
        found.append(Section(len(rows) // repeats, repeats, inner))
        numbers = numbers[rows.size :]
    return tuple(found)
