"""Kernels: rows in an op's table, chosen by what the target offers and what the node needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nn2wasm.ir import Array, Node
from nn2wasm.ops.tiles import Tiling


def always(node: Node) -> str:
    """Fits every node."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One way to compute an op.

    Attributes:
        symbol: nn_<op>_<dtype>_<tile>__<isa>, the stem of the C function's name.
        template: path below templates/kernels.
        dtype: element type of the activations it computes on, as a `DType` value.
        needs: features and traits that the target must offer.
        fits: the reason why this kernel cannot compute a node, empty where it can.
        tiling: how it cuts pixels and outputs into register tiles, where it does.
        headers: of runtime_c that it calls, beside the usual ones.
        guard: C function of a header that tells whether this machine computes it rightly; empty
            where all do.
        integers: it requantizes without floats.
        lower: makes the lowering; None where the op does.
    """

    symbol: str
    template: str
    dtype: str
    needs: frozenset[str] = frozenset()
    fits: Callable[[Node], str] = always
    tiling: Tiling | None = None
    headers: tuple[str, ...] = ()
    guard: str = ""
    integers: bool = False
    lower: Callable[[Node], Lowering] | None = None

    @property
    def isa(self) -> str:
        """The instruction set that its template is for."""
        return self.template.partition("__")[2].partition(".")[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernel that a node got, and why those before it in the table were refused."""

    kernel: Kernel
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a windowed kernel walks over images: it gets `kernel` input rows, writes output rows.

    Attributes:
        images: batch count.
        out_rows: output rows of an image.
        in_rows: input rows of an image.
        kernel: input rows under the windows of a call.
        stride: input rows from one output row to the next.
        dilation: input rows from one window row to the next.
        pad: rows of padding above the image.
        in_row_elements: elements of an input row.
        out_row_elements: elements of an output row.
        fill: value of the elements of rows outside the image.
        counts_rows: the kernel is told how many of its rows are inside the image.
        call_rows: output rows of a call. Where they do not divide the image, the kernel is told how
            many to write; those behind them read rows outside the image.
    """

    images: int
    out_rows: int
    in_rows: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    in_row_elements: int
    out_row_elements: int
    fill: int | float = 0
    counts_rows: bool = False
    call_rows: int = 1

    @property
    def last_call(self) -> int:
        """The output row at which the last call begins."""
        return (self.out_rows - 1) // self.call_rows * self.call_rows

    @property
    def is_padded(self) -> bool:
        """Whether any call needs a row outside the image."""
        last = self.last_call * self.stride + (self.kernel - 1) * self.dilation - self.pad
        return self.pad > 0 or last >= self.in_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How a pointwise kernel walks: `count` spans, each an input row to an output row."""

    count: int
    in_row_elements: int
    out_row_elements: int


class Overlap(NamedTuple):
    """Bytes by which an output must begin before its dying input, or after it when walked backward.

    Attributes:
        lead: for rows walked from the first to the last.
        trail: for rows walked from the last to the first, None where that is not possible.
    """

    lead: int
    trail: int | None

    def on(self, lowering: Lowering, index: int) -> Lowering:
        """Writes it into a lowering, for the input of that index."""
        lowering.lead[index] = self.lead
        if self.trail is not None:
            lowering.trail[index] = self.trail
        return lowering


@dataclass(slots=True, kw_only=True)
class Lowering:
    """What the planner and the generator need to know of a node and its kernel.

    The C function has the parameters: arguments (or the row pointers of a window), constants in
    the order of `constants`, scratch where there is any, outputs.

    Attributes:
        context: what the template sees, flat.
        sizes: whole numbers that the template names: constants of the function, or parameters of
            one that several layers share.
        constants: packed weights and tables, by parameter name.
        walk: a window or rows where the kernel works row by row, None where one call does all.
        scratch_bytes: private memory of the kernel, without the row of fill values.
        scratch_type: C type of the scratch parameter's elements.
        arguments: inputs that are parameters, by index; the others are packed into `constants`.
        lead: for each input (by index) that the output may overlap where it dies here: by how many
            bytes at least the output must begin before it.
        trail: the same where the rows are walked from the last to the first: by how many bytes at
            least the output must begin after it.
        in_place: the output may be the very bytes of its input, where that dies here.
    """

    context: dict[str, Any]
    sizes: dict[str, int] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    walk: Window | Rows | None = None
    scratch_bytes: int = 0
    scratch_type: str = "uint8_t"
    arguments: tuple[int, ...] = (0,)
    lead: dict[int, int] = field(default_factory=dict)
    trail: dict[int, int] = field(default_factory=dict)
    in_place: bool = False


def window_overlap(window: Window, in_bytes: int, out_bytes: int) -> Overlap:
    """How a windowed output may overlap its dying input; sizes of one element in bytes.

    Forward, row r is written while rows from r·stride − pad on are still to be read: its end must
    not pass their begin. Backward, rows up to r·stride − pad + (kernel − 1)·dilation are: its begin
    must not lie before their end.
    """
    in_row = window.in_row_elements * in_bytes
    out_row = window.out_row_elements * out_bytes
    reach = (window.kernel - 1) * window.dilation + 1
    leads, trails = [0], [0]
    for image in range(window.images):
        for row in _corner_rows(window, reach):
            out_begin = (image * window.out_rows + row) * out_row
            top = row * window.stride - window.pad
            first = min(max(0, top), window.in_rows) + image * window.in_rows
            last = min(max(0, top + reach), window.in_rows) + image * window.in_rows
            out_end = out_begin + min(window.call_rows, window.out_rows - row) * out_row
            leads.append(out_end - first * in_row)
            trails.append(last * in_row - out_begin)
    return Overlap(max(leads), max(trails) if window.images == 1 else None)


def _corner_rows(window: Window, reach: int) -> set[int]:
    """Output rows, of those at which calls begin, among which both bounds are largest.

    Each is linear in the row but where the window's edge enters or leaves the image: the rows on
    either side of these corners, the first and the last are enough.
    """
    if window.call_rows > 1:
        return set(range(0, window.out_rows, window.call_rows))
    rows = {0, window.out_rows - 1}
    for edge in (0, window.in_rows, -reach, window.in_rows - reach):
        corner = (edge + window.pad) // window.stride
        rows |= {corner - 1, corner, corner + 1}
    return {row for row in rows if 0 <= row < window.out_rows}


def rows_overlap(rows: Rows, in_bytes: int, out_bytes: int) -> Overlap:
    """The same for a pointwise op that may read its whole input row after it wrote to its output
    row.
    """
    in_row, out_row = rows.in_row_elements * in_bytes, rows.out_row_elements * out_bytes
    ends = (0, rows.count - 1)
    lead = max((row + 1) * out_row - row * in_row for row in ends)
    trail = max((row + 1) * in_row - row * out_row for row in ends)
    return Overlap(max(0, lead), max(0, trail))


def stream_lead(count: int, in_bytes: int, out_bytes: int) -> int:
    """The lead of an op that reads element i before it writes element i, and none later.

    Args:
        count: elements.
        in_bytes: bytes of an input element.
        out_bytes: bytes of an output element.
    """
    return max(0, count * (out_bytes - in_bytes))
