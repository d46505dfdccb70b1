"""ops/kernel.py's leads and trails against a simulation of every byte: sufficient, and not one
byte too many.

The simulated kernels read all that a row needs while they write that row; streams read element
i, then write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from nn2wasm.ops.kernel import Rows, Window, rows_overlap, stream_lead, window_overlap

pytest.importorskip("hypothesis")
from hypothesis import example, given, settings
from hypothesis import strategies as st

EXAMPLES = settings(max_examples=400, deadline=None, derandomize=True)


class Event(NamedTuple):
    """A write of some bytes of the output, and the bytes of the input that must be whole until it
    is done.
    """

    written: range
    read: set[int]


def survives(events: Sequence[Event], output_at: int) -> bool:
    """Whether all reads see unharmed bytes where the output begins `output_at` bytes behind the
    input's begin.
    """
    harmed: set[int] = set()
    for event in events:
        harmed.update(range(event.written.start + output_at, event.written.stop + output_at))
        if harmed & event.read:
            return False
    return True


def window_events(window: Window, in_bytes: int, out_bytes: int) -> list[Event]:
    in_row, out_row = window.in_row_elements * in_bytes, window.out_row_elements * out_bytes
    events = []
    for image in range(window.images):
        for row in range(window.out_rows):
            read: set[int] = set()
            for tap in range(window.kernel):
                y = row * window.stride + tap * window.dilation - window.pad
                if 0 <= y < window.in_rows:
                    first = (image * window.in_rows + y) * in_row
                    read.update(range(first, first + in_row))
            begin = (image * window.out_rows + row) * out_row
            events.append(Event(range(begin, begin + out_row), read))
    return events


@st.composite
def windows(draw: st.DrawFn, images: int = 3) -> Window:
    kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    dilation, pad = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    in_rows, below = draw(st.integers(1, 9)), draw(st.integers(0, 4))
    extent = (kernel - 1) * dilation + 1
    while in_rows + pad + below < extent:
        pad += 1
    return Window(
        images=draw(st.integers(1, images)),
        out_rows=(in_rows + pad + below - extent) // stride + 1,
        in_rows=in_rows,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        pad=pad,
        in_row_elements=draw(st.integers(1, 6)),
        out_row_elements=draw(st.integers(1, 6)),
    )


SIZES = st.sampled_from([1, 4])
SAME_3X3 = Window(
    images=1,
    out_rows=6,
    in_rows=6,
    kernel=3,
    stride=1,
    dilation=1,
    pad=1,
    in_row_elements=4,
    out_row_elements=4,
)


def test_a_same_convolution_keeps_two_rows_apart_in_either_direction() -> None:
    assert window_overlap(SAME_3X3, 1, 1) == (2 * 4, 2 * 4)


@given(windows(), SIZES, SIZES)
@example(SAME_3X3, 1, 1)
@EXAMPLES
def test_windows_are_safe(window: Window, in_bytes: int, out_bytes: int) -> None:
    events = window_events(window, in_bytes, out_bytes)
    overlap = window_overlap(window, in_bytes, out_bytes)
    for more in (0, 1, 7):
        assert survives(events, -overlap.lead - more)
        if overlap.trail is not None:
            assert survives(events[::-1], overlap.trail + more)


def is_tight(window: Window) -> bool:
    """Whether every row reads, without gaps, from its first row to its last, and no row lies
    outside.
    """
    top = [row * window.stride - window.pad for row in range(window.out_rows)]
    reach = (window.kernel - 1) * window.dilation + 1
    inside = all(-window.pad < 0 or 0 <= t < window.in_rows for t in top)
    return (
        window.dilation == 1 and inside and all(t + reach > 0 and t < window.in_rows for t in top)
    )


@given(windows(images=1).filter(is_tight), SIZES, SIZES)
@example(SAME_3X3, 1, 1)
@EXAMPLES
def test_windows_waste_no_byte(window: Window, in_bytes: int, out_bytes: int) -> None:
    """One byte nearer harms a row that is needed; from 0 on the output would leave the input's
    front or end.
    """
    events = window_events(window, in_bytes, out_bytes)
    overlap = window_overlap(window, in_bytes, out_bytes)
    if overlap.lead > 0:
        assert not survives(events, -overlap.lead + 1)
    assert overlap.trail is not None
    if overlap.trail > 0:
        assert not survives(events[::-1], overlap.trail - 1)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 6), SIZES, SIZES)
@EXAMPLES
def test_rows_are_safe_and_waste_no_byte(
    count: int, in_elements: int, out_elements: int, in_bytes: int, out_bytes: int
) -> None:
    rows = Rows(count=count, in_row_elements=in_elements, out_row_elements=out_elements)
    in_row, out_row = in_elements * in_bytes, out_elements * out_bytes
    events = [
        Event(
            range(row * out_row, (row + 1) * out_row), set(range(row * in_row, (row + 1) * in_row))
        )
        for row in range(count)
    ]
    overlap = rows_overlap(rows, in_bytes, out_bytes)
    assert overlap.trail is not None
    assert survives(events, -overlap.lead)
    assert survives(events[::-1], overlap.trail)
    assert not survives(events, -overlap.lead + 1)
    assert not survives(events[::-1], overlap.trail - 1)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(1, 8))
@EXAMPLES
def test_streams_are_safe_and_waste_less_than_an_element(
    count: int, in_bytes: int, out_bytes: int
) -> None:
    """Element i is read before it is written: only the elements behind it must be whole."""
    events = [
        Event(
            range(i * out_bytes, (i + 1) * out_bytes),
            set(range((i + 1) * in_bytes, count * in_bytes)),
        )
        for i in range(count)
    ]
    lead = stream_lead(count, in_bytes, out_bytes)
    assert survives(events, -lead)
    least = lead - max(0, out_bytes - in_bytes)
    if count > 1 and least > 0:
        assert not survives(events, -least + 1)
