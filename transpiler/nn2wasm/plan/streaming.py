"""Layers run together row by row: who runs when, and what that needs of memory.

The rows of one tensor, the stretch's source, arrive one after the other. Whenever several layers
could make a row, the last of them does; so each row is made once, as late as the rows before it
allow, and consumed as soon as it can be. Of a tensor between two of the layers only those rows
are kept that somebody still needs: a ring. A tensor that two layers read at different times (the
skip path of a residual) is no special case: its ring is as long as the way between them.

What happens does not depend on data: it is played through here, and the C follows the same rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nn2wasm.ir import Tensor
from nn2wasm.plan.rows import Reach, RowForm

SOURCE = -1


class Event(NamedTuple):
    """A call of a layer, or a row of the source: the layer's position in the stretch or `SOURCE`,
    and the rows that are there afterwards.
    """

    layer: int
    end: int


@dataclass(slots=True)
class Stretch:
    """Layers that can run together.

    Attributes:
        source: the tensor whose rows arrive.
        forms: the layers in execution order.
        limits: rows of each layer's output that are made; fewer than it has where the layers behind
            it do not need all.
    """

    source: Tensor
    forms: list[RowForm]
    limits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.limits:
            self.limits = [form.rows for form in self.forms]

    @property
    def source_rows(self) -> int:
        return next(f.reaches[self.source].rows for f in self.forms if self.source in f.reaches)

    def rows_of(self, tensor: Tensor) -> int:
        """Rows of the source, or of a tensor that a layer makes."""
        if tensor is self.source:
            return self.source_rows
        return self.forms[self.makers()[tensor]].rows

    def makers(self) -> dict[Tensor, int]:
        """The layer that makes each tensor of the stretch."""
        return {form.call.node.output: k for k, form in enumerate(self.forms)}

    def readers(self) -> dict[Tensor, list[tuple[int, Reach]]]:
        """The layers that read each tensor by rows."""
        readers: dict[Tensor, list[tuple[int, Reach]]] = {}
        for k, form in enumerate(self.forms):
            for tensor, reach in form.reaches.items():
                readers.setdefault(tensor, []).append((k, reach))
        return readers

    def awaited(self, layer: int) -> Iterator[tuple[int, Reach]]:
        """What a layer waits for: positions of layers, −1 for the source."""
        makers = self.makers()
        for tensor, reach in self.forms[layer].reaches.items():
            if tensor in makers:
                yield makers[tensor], reach
            elif tensor is self.source and self._is_root(layer):
                yield -1, reach

    def _is_root(self, layer: int) -> bool:
        """Whether nothing but the source holds a layer back."""
        makers = self.makers()
        return not any(tensor in makers for tensor in self.forms[layer].reaches)

    def cut(self, whole: set[Tensor]) -> Stretch:
        """The stretch with no row made that nobody reads; `whole` are read by others too."""
        limits = [0] * len(self.forms)
        makers = self.makers()
        for k in reversed(range(len(self.forms))):
            form = self.forms[k]
            if form.call.node.output in whole:
                limits[k] = form.rows
            limits[k] = min(form.rows, -(-limits[k] // form.step) * form.step)
            last_call = (limits[k] - 1) // form.step * form.step
            for tensor, reach in form.reaches.items():
                if tensor in makers:
                    limits[makers[tensor]] = max(limits[makers[tensor]], reach.end(last_call))
        return Stretch(self.source, self.forms, limits)

    def play(self) -> Iterator[tuple[Event, list[int]]]:
        """All calls in their order, each with the rows of each layer that were there before it."""
        waits = [list(self.awaited(k)) for k in range(len(self.forms))]
        behind = [[j for j, wait in enumerate(waits) if any(m == k for m, _ in wait)]
                  for k in range(-1, len(self.forms))]  # fmt: skip
        ends = [max((reach.rows for m, reach in wait if m < 0), default=0) for wait in waits]
        done, arrived = [0] * len(self.forms), 0
        total, k = max(ends), -1

        def ready(layer: int) -> bool:
            row = done[layer]
            if row >= self.limits[layer]:
                return False
            for maker, reach in waits[layer]:
                there, limit = (arrived, total) if maker < 0 else (done[maker], self.limits[maker])
                if there < min(reach.end(row), limit):
                    return False
            return True

        while True:
            if k < 0:
                if arrived == total:
                    return
                arrived += 1
                yield Event(SOURCE, arrived), list(done)
                k = max(behind[0], default=-1)
            elif ready(k):
                before = list(done)
                done[k] = min(done[k] + self.forms[k].step, self.limits[k])
                yield Event(k, done[k]), before
                k = max([k, *behind[k + 1]])
            else:
                k -= 1


@dataclass(frozen=True, slots=True)
class Footprint:
    """What playing a stretch through tells of memory.

    Attributes:
        rings: rows to keep of each tensor that a layer makes, if only the stretch reads it.
        leads: for each layer and each layer that reads the source, by how many bytes at least the
            layer's output, kept whole, must begin before the source, if it may overlap it.
        calls: how often each layer is called.
        source_rows: rows to keep of the source, if it is only there row by row.
    """

    rings: list[int]
    leads: list[dict[int, int]]
    calls: list[int]
    source_rows: int


def footprint(stretch: Stretch) -> Footprint:
    """Plays a stretch through."""
    forms, readers = stretch.forms, stretch.readers()
    outputs = [form.call.node.output for form in forms]
    rings, calls = [form.step for form in forms], [0] * len(forms)
    leads: list[dict[int, int]] = [{} for _ in forms]
    of_source = readers.get(stretch.source, [])
    source_rows = 1
    for event, before in stretch.play():
        if event.layer == SOURCE:
            first = min(reach.first(before[reader]) for reader, reach in of_source)
            source_rows = max(source_rows, event.end - first)
            continue
        k, form = event.layer, forms[event.layer]
        calls[k] += 1
        needed = [reach.first(before[reader]) for reader, reach in readers.get(outputs[k], [])]
        if needed:
            rings[k] = max(rings[k], event.end - min(needed))
        for reader, reach in of_source:
            end = event.end * form.row_bytes
            if reader == k and form.leads and stretch.source in form.leads:
                end = before[k] * form.row_bytes + form.leads[stretch.source]
            lead = end - reach.first(before[reader]) * reach.row_bytes
            leads[k][reader] = max(lead, leads[k].get(reader, 0))
    for k, form in enumerate(forms):
        whole_calls = -(-rings[k] // form.step) * form.step
        rings[k] = whole_calls if whole_calls < form.rows else form.rows
    return Footprint(rings, leads, calls, source_rows)


def stretches(
    forms: Sequence[RowForm | None], made_before: Sequence[set[Tensor]]
) -> Iterator[tuple[int, Stretch]]:
    """For each layer that can begin one the longest stretch from there on.

    Args:
        forms: of all layers, None where a layer needs its inputs whole.
        made_before: for each layer the tensors that are whole before it begins.
    """
    for begin, first in enumerate(forms):
        if first is None:
            continue
        source = next(iter(first.reaches))
        made: set[Tensor] = set()
        joined: list[RowForm] = []
        for form in forms[begin:]:
            if form is None or not _joins(form, source, made, made_before[begin]):
                break
            joined.append(form)
            made.add(form.call.node.output)
        if len(joined) > 1:
            yield begin, Stretch(source, joined)


def _joins(form: RowForm, source: Tensor, made: set[Tensor], whole: set[Tensor]) -> bool:
    """Whether all inputs of a layer are rows that arrive, rows made here, or whole tensors."""
    inputs = [*form.reaches, *form.wholes]
    if not all(tensor in whole or tensor in made for tensor in inputs):
        return False
    if any(tensor in made for tensor in form.wholes):
        return False
    return source in form.reaches or any(tensor in made for tensor in form.reaches)
