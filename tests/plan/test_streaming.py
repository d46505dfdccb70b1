"""The rule by which layers stream, played against a memory that remembers which row lies where."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nn2wasm.ir import DType, Node, Op, Tensor
from nn2wasm.ops.kernel import Choice, Kernel, Lowering
from nn2wasm.plan.call import Call
from nn2wasm.plan.rows import Reach, RowForm
from nn2wasm.plan.streaming import SOURCE, Stretch, footprint, stretches

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = settings(max_examples=300, deadline=None, derandomize=True)
KERNEL = Choice(Kernel(symbol="k", template="k", dtype="s8"))


@dataclass(frozen=True)
class Anything(Op):
    """A layer of a test."""


def tensor(name: str, rows: int, row_bytes: int) -> Tensor:
    return Tensor(name, DType.S8, (1, rows, row_bytes, 1))


def form(index: int, inputs: dict[Tensor, Reach], y: Tensor, step: int = 1) -> RowForm:
    call = Call(
        index, Node(f"n{index}", Anything(), list(inputs), [y]), KERNEL, Lowering(context={})
    )
    return RowForm(call, y.shape[1], y.shape[2], step, inputs)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Tensor, list[RowForm]]:
    """Windows, sums of two tensors of the same height, several readers of a tensor."""
    source = tensor("source", draw(st.integers(1, 12)), draw(st.integers(1, 5)))
    tensors, forms = [source], []
    for index in range(draw(st.integers(2, 7))):
        x = draw(st.sampled_from(tensors))
        rows = x.shape[1]
        alike = [t for t in tensors if t.shape[1] == rows and t is not x]
        y_bytes = draw(st.integers(1, 5))
        if alike and draw(st.booleans()):
            other = draw(st.sampled_from(alike))
            y = tensor(f"t{index}", rows, y_bytes)
            inputs = {t: Reach(rows, t.shape[2]) for t in (x, other)}
            forms.append(form(index, inputs, y))
        else:
            kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
            pad, step = draw(st.integers(0, 2)), draw(st.integers(1, 3))
            below = draw(st.integers(0, 2))
            out = (rows + pad + below - kernel) // stride + 1
            if out < 1:
                continue
            y = tensor(f"t{index}", out, y_bytes)
            extent = kernel + (step - 1) * stride
            forms.append(form(index, {x: Reach(rows, x.shape[2], extent, stride, pad)}, y, step))
        tensors.append(y)
    return source, forms


def usable(source: Tensor, forms: list[RowForm]) -> Stretch | None:
    """The stretch that begins with the first layer, as the planner finds it."""
    whole = [{source} for _ in forms]
    found = dict(stretches(forms, whole))
    return found.get(0)


def last_readers(stretch: Stretch) -> dict[Tensor, list[RowForm]]:
    return {
        made.call.node.output: [f for f in stretch.forms if made.call.node.output in f.reaches]
        for made in stretch.forms
    }


@EXAMPLES
@given(networks())
def test_each_row_is_made_once_and_found_where_it_was_put(network):
    stretch = usable(*network)
    if stretch is None:
        return
    readers = last_readers(stretch)
    whole = {t for t, reading in readers.items() if not reading}
    stretch = stretch.cut(whole)
    kept = footprint(stretch).rings
    slots: dict[tuple[Tensor, int], int] = {}  # which row lies in a slot of a tensor's ring
    made = dict.fromkeys(readers, 0)
    ring = {f.call.node.output: kept[k] for k, f in enumerate(stretch.forms)}
    for event, before in stretch.play():
        if event.layer == SOURCE:
            continue
        one = stretch.forms[event.layer]
        y, row = one.call.node.output, before[event.layer]
        assert row == made[y]
        for x, reach in one.reaches.items():
            if x is stretch.source:
                continue
            first = max(0, row * reach.stride - reach.pad)
            end = min(reach.rows, row * reach.stride - reach.pad + reach.extent)
            for needed in range(first, end):
                # a partial last call may look at rows that nobody needs and nobody makes
                if needed < stretch.limits[stretch.makers()[x]]:
                    assert slots[x, needed % ring[x]] == needed
        size = one.rows if y in whole else ring[y]
        for new in range(row, event.end):
            slots[y, new % size] = new
        made[y] = event.end
    for y, reading in readers.items():
        if not reading:
            assert made[y] == y.shape[1], "an output lacks rows"


@EXAMPLES
@given(networks())
def test_an_output_never_overtakes_the_source(network):
    stretch = usable(*network)
    if stretch is None:
        return
    last = len(stretch.forms) - 1
    stretch = stretch.cut({f.call.node.output for f in stretch.forms})
    played = footprint(stretch)
    lead = max(played.leads[last].values())
    one, readers = stretch.forms[last], stretch.readers()[stretch.source]
    tight = False
    for event, before in stretch.play():
        if event.layer != last:
            continue
        written = event.end * one.row_bytes - lead
        for reader, reach in readers:
            unread = reach.first(before[reader]) * reach.row_bytes
            assert written <= unread
            tight |= written == unread
    assert tight or lead == 0, "the lead is larger than it need be"


def test_a_residual_is_a_delay_line():
    """Two windows of three rows: the skip path waits for two rows more than it hands on."""
    x = tensor("x", 16, 8)
    a, b, c = (tensor(name, 16, 8) for name in "abc")
    window = Reach(16, 8, 3, 1, 1)
    forms = [
        form(0, {x: Reach(16, 8)}, a),
        form(1, {a: window}, b),
        form(2, {b: window}, c),
        form(3, {a: Reach(16, 8), c: Reach(16, 8)}, tensor("y", 16, 8)),
    ]
    stretch = usable(x, forms)
    assert stretch is not None
    played = footprint(stretch.cut({forms[-1].call.node.output}))
    assert played.rings[:3] == [3, 3, 1]
    assert played.calls == [16, 16, 16, 16]


def test_rows_that_nobody_reads_are_not_made():
    x, a, b = tensor("x", 9, 4), tensor("a", 9, 4), tensor("b", 2, 4)
    forms = [form(0, {x: Reach(9, 4)}, a), form(1, {a: Reach(9, 4, 2, 4, 0)}, b)]
    stretch = usable(x, forms)
    assert stretch is not None
    assert stretch.cut({b}).limits == [6, 2]
