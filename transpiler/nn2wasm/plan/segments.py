"""Which layers run together row by row: the cheapest cut of the network that fits a budget.

A segment is a layer, or layers that stream (`plan.streaming`): only what lies between segments is
ever whole. For each stretch that could be a segment what its step needs of memory is known; the cut
is chosen by dynamic programming over the layers in their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nn2wasm.errors import UnsupportedFeature
from nn2wasm.ir import Graph, Tensor
from nn2wasm.plan.call import Call
from nn2wasm.plan.lifetimes import allow_overlap, tensor_storages
from nn2wasm.plan.memory import Storage, shared_bytes
from nn2wasm.plan.rows import row_form
from nn2wasm.plan.streaming import Footprint, Stretch, footprint, stretches
from nn2wasm.target import Target

CALL_COST = 1.0
"""What a further call of a kernel costs, in the unit of costs."""
STATE_BYTES = 4
"""Of each count of rows that is kept between calls."""
CACHED_BYTES = 300
"""Bytes that are worth a call where they stay in cache instead of leaving it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Layers executed together.

    Attributes:
        calls: in execution order; with the kernels of rows where there are several.
        stretch: how they stream, None for a layer alone.
        rings: rows kept of each tensor that never is whole.
        leads: how far the output of a layer, kept whole, must begin before the stretch's source.
    """

    calls: tuple[Call, ...]
    stretch: Stretch | None = None
    rings: dict[Tensor, int] | None = None
    leads: dict[Tensor, int] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Layers `begin` to `end` as a segment: bytes that live while it runs, and what it costs."""

    begin: int
    end: int
    bytes: int
    cost: float


class SegmentChooser:
    """All candidates of a network; the cuts that they allow."""

    def __init__(self, graph: Graph, calls: Sequence[Call], target: Target) -> None:
        self._calls, self._target, self._graph = calls, target, graph
        self._holders = tensor_storages(graph, calls, range(len(calls)), target.alignment)
        for call in calls:
            allow_overlap(call, self._holders)
        self._storages = list(dict.fromkeys(self._holders.values()))
        self._forms = [row_form(call, target) for call in calls]
        self._stretches = dict(stretches(self._forms, self._whole_before()))
        self._candidates: list[list[Candidate]] = [[] for _ in calls]
        for begin in range(len(calls)):
            beginning = self._beginning_at(begin)
            if target.feeds_rows and begin == 0:
                beginning = self._fed()
            for candidate in beginning:
                self._candidates[candidate.end].append(candidate)

    def least_peak(self) -> int:
        """Bytes that no cut can go below.

        Raises:
            UnsupportedFeature: the input cannot be fed row by row.
        """
        best: list[float] = [0]
        for ending in self._candidates:
            best.append(min((max(best[c.begin], c.bytes) for c in ending), default=math.inf))
        if best[-1] == math.inf:
            first = self._calls[0].node if self._calls else None
            raise UnsupportedFeature(
                "this network cannot be fed row by row",
                facts=[("needs it whole", first.describe())] if first else [],
                hint="compile it with --feed whole",
            )
        return int(best[-1])

    def cheapest(self, budget: float = math.inf) -> list[Segment] | None:
        """The cheapest cut whose segments all fit a budget of bytes; None where there is none."""
        best: list[tuple[float, Candidate | None]] = [(0.0, None)]
        for ending in self._candidates:
            fitting = [c for c in ending if c.bytes <= budget]
            choices = [(best[c.begin][0] + c.cost, c) for c in fitting]
            best.append(min(choices, key=lambda choice: choice[0], default=(math.inf, None)))
        segments: list[Segment] = []
        end = len(self._calls)
        while end:
            chosen = best[end][1]
            if chosen is None or best[end][0] == math.inf:
                return None
            segments.append(self._segment(chosen))
            end = chosen.begin
        return segments[::-1]

    # -- candidates ----------------------------------------------------------------------------

    def _whole_before(self) -> list[set[Tensor]]:
        """For each layer the tensors that were made before it."""
        makers = {tensor: call.index for call in self._calls for tensor in call.node.outputs}
        made = {
            tensor: makers.get(tensor, storage.begin) for tensor, storage in self._holders.items()
        }
        return [
            {tensor for tensor, maker in made.items() if maker < index}
            for index in range(len(self._calls))
        ]

    def _beginning_at(self, begin: int) -> list[Candidate]:
        living = sum(s.bytes for s in self._storages if s.begin < begin <= s.end)
        call = self._calls[begin]
        outputs = {self._holders[tensor] for tensor in call.node.outputs}
        outputs = {storage for storage in outputs if storage.begin == begin}
        alone = living + sum(s.bytes for s in outputs) + call.scratch_bytes
        saved = [shared_bytes(o, dying) for o in outputs for dying in o.leads]
        candidates = [Candidate(begin, begin, alone - max(saved, default=0), 0.0)]
        if begin in self._stretches:
            stretch = self._stretches[begin]
            played = footprint(stretch)
            candidates += [
                self._candidate(begin, end, living, stretch, played)
                for end in range(begin + 1, begin + len(stretch.forms))
            ]
        return candidates

    def _fed(self) -> list[Candidate]:
        """Candidates for the first segment where the input comes row by row and never is whole."""
        source = self._holders[self._graph.inputs[0]]
        stretch = self._stretches.get(0)
        if stretch is None or stretch.source is not self._graph.inputs[0]:
            return []
        rows = footprint(stretch).source_rows
        ring = rows * (stretch.source.bytes // stretch.source_rows)
        state = STATE_BYTES * (len(stretch.forms) + 1)
        return [
            replace(candidate, bytes=candidate.bytes - source.bytes + ring + state)
            for candidate in self._beginning_at(0)
            if candidate.end > 0 and source.end <= candidate.end
        ]

    def _candidate(
        self, begin: int, end: int, living: int, stretch: Stretch, played: Footprint
    ) -> Candidate:
        total, scratch, cost = living, 0, 0.0
        source = self._holders[stretch.source]
        saved = [0]
        for k, form in enumerate(stretch.forms[: end - begin + 1]):
            output = self._holders[form.call.node.output]
            scratch = max(scratch, form.call.scratch_bytes)
            cost += CALL_COST * played.calls[k]
            if _is_ring(output, end):
                total += played.rings[k] * form.row_bytes
                if self._target.cache_bytes and output.bytes > self._target.cache_bytes:
                    cost -= output.bytes / CACHED_BYTES
                continue
            total += output.bytes
            lead = _lead(played.leads[k], end - begin)
            fed = self._target.feeds_rows and begin == 0
            if lead is not None and not fed and self._dies(source, stretch, begin, end):
                saved.append(shared_bytes(output, source, lead))
        return Candidate(begin, end, total + scratch - max(saved), cost)

    def _dies(self, source: Storage, stretch: Stretch, begin: int, end: int) -> bool:
        """Whether the source is read by rows alone, and not needed behind the segment."""
        if source.begin >= begin or source.end > end:
            return False
        return all(
            self._holders[tensor] is not source or tensor is stretch.source
            for form in stretch.forms[: end - begin + 1]
            for tensor in (*form.reaches, *form.wholes)
        ) and all(stretch.source not in form.wholes for form in stretch.forms)

    def _segment(self, chosen: Candidate) -> Segment:
        begin, end = chosen.begin, chosen.end
        if begin == end:
            return Segment((self._calls[begin],))
        forms = self._stretches[begin].forms[: end - begin + 1]
        outputs = [form.call.node.output for form in forms]
        whole = {tensor for tensor in outputs if not _is_ring(self._holders[tensor], end)}
        stretch = Stretch(self._stretches[begin].source, forms).cut(whole)
        played = footprint(stretch)
        rings = {tensor: played.rings[k] for k, tensor in enumerate(outputs) if tensor not in whole}
        leads: dict[Tensor, int] = {}
        fed = self._target.feeds_rows and begin == 0
        if fed:
            rings[stretch.source] = played.source_rows
        if not fed and self._dies(self._holders[stretch.source], stretch, begin, end):
            every = {t: _lead(played.leads[outputs.index(t)], end - begin) for t in whole}
            leads = {tensor: lead for tensor, lead in every.items() if lead is not None}
        return Segment(tuple(form.call for form in forms), stretch, rings, leads)


def _is_ring(output: Storage, end: int) -> bool:
    """Whether nobody but the layers up to `end` reads a tensor, and nobody by another name."""
    return output.end <= end and len(output.tensors) == 1


def _lead(leads: dict[int, int], last: int) -> int | None:
    """How far an output must begin before the source, for the readers up to the layer `last`."""
    return max((lead for reader, lead in leads.items() if reader <= last), default=None)
