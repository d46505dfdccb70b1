"""Which layers run together row by row: the cheapest cut of the network that fits a budget.

A segment is a layer, or layers that stream (`plan.streaming`): only what lies between segments is
ever whole. For each stretch that could be a segment what its step needs of memory is known; the cut
is chosen by dynamic programming over the layers in their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from nn2wasm.errors import UnsupportedFeature
from nn2wasm.ir import Graph, Tensor
from nn2wasm.ops.kernel import Window
from nn2wasm.plan.call import Call
from nn2wasm.plan.lifetimes import allow_overlap, tensor_storages
from nn2wasm.plan.memory import Storage, shared_bytes
from nn2wasm.plan.parts import USUAL_OUTPUTS, PartMaker
from nn2wasm.plan.rows import row_form
from nn2wasm.plan.streaming import Footprint, Stretch, footprint, stretches
from nn2wasm.target import Target

CALL_COST = 1.0
"""What a further call of a kernel costs, in the unit of costs."""
STATE_BYTES = 4
"""Of each count of rows that is kept between calls."""
CACHED_BYTES = 300
"""Bytes that are worth a call where they stay in cache instead of leaving it."""
WHOLE, BY_PARTS, BY_ROWS = "whole", "by parts", "by rows"
"""How a layer alone is computed: all at once, part after part, or all parts of each row."""
PAGE_BYTES = 65536
"""Of a module's memory: less is seldom worth anything unless it is asked for."""
PARTS_COST = 0.5
"""What constants that come part by part cost, in calls."""


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
    """Layers `begin` to `end` as a segment: bytes that live while it runs, and what it costs.

    Attributes:
        begin: its first layer.
        end: its last.
        bytes: that live while it runs, with as little scratch as it can do with.
        cost: in calls.
        scratch: the share of scratch in these bytes.
        streams: several layers, row by row.
        turns: whether and how parts of one layer take turns.
    """

    begin: int
    end: int
    bytes: int
    cost: float
    scratch: int
    streams: bool = False
    turns: str = WHOLE


class SegmentChooser:
    """All candidates of a network; the cuts that they allow."""

    def __init__(
        self,
        graph: Graph,
        calls: Sequence[Call],
        target: Target,
        least_outputs: int = USUAL_OUTPUTS,
    ) -> None:
        self._calls, self._target, self._graph = calls, target, graph
        self._holders = tensor_storages(graph, calls, range(len(calls)), target.alignment)
        for call in calls:
            allow_overlap(call, self._holders)
        self._storages = list(dict.fromkeys(self._holders.values()))
        self._maker = PartMaker(target, least_outputs)
        self._forms = [row_form(call, target) for call in calls]
        self._scratch = [self._maker.least_bytes(form.call) if form else 0 for form in self._forms]
        self._stretches = dict(stretches(self._forms, self._whole_before()))
        self._candidates: list[list[Candidate]] = [[] for _ in calls]
        for begin in range(len(calls)):
            beginning = self._beginning_at(begin)
            if target.feeds_rows and begin == 0:
                beginning = self._fed()
            for candidate in beginning:
                self._candidates[candidate.end].append(candidate)

    @property
    def has_choice(self) -> bool:
        """Whether there is any cut but into single layers, each of them whole."""
        return self._target.feeds_rows or any(len(ending) > 1 for ending in self._candidates)

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

    def usual_peak(self) -> int | None:
        """Bytes that steps of the cheapest cut may take where nobody asks for little memory: what
        tensors need, a page at least; None where no layer has a tile of constants.
        """
        if not any(call.has_tile for call in self._calls):
            return None
        least = [
            min(other.bytes for other in self._candidates[c.end] if _runs_like(other, c))
            for c in self._chosen(math.inf) or []
        ]
        return max([PAGE_BYTES, *least])

    def cheapest(self, budget: float = math.inf, room: float | None = None) -> list[Segment] | None:
        """The cheapest cut whose segments all fit a budget of bytes; None where there is none.

        Args:
            budget: what segments may take with the least scratch that they can do with.
            room: what tiles of constants may make of that, the budget where left out.
        """
        tiles = budget if room is None else room
        chosen = self._chosen(budget)
        return None if chosen is None else [self._segment(c, tiles) for c in chosen]

    def _chosen(self, budget: float) -> list[Candidate] | None:
        """The candidates of the cheapest cut."""
        best: list[tuple[float, Candidate | None]] = [(0.0, None)]
        for ending in self._candidates:
            fitting = [c for c in ending if c.bytes <= budget]
            choices = [(best[c.begin][0] + c.cost, c) for c in fitting]
            best.append(min(choices, key=lambda choice: choice[0], default=(math.inf, None)))
        cut: list[Candidate] = []
        end = len(self._calls)
        while end:
            chosen = best[end][1]
            if chosen is None or best[end][0] == math.inf:
                return None
            cut.append(chosen)
            end = chosen.begin
        return cut[::-1]

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
        beside = living + sum(s.bytes for s in outputs)
        candidates = self._alone(call, beside, outputs)
        if begin in self._stretches:
            stretch = self._stretches[begin]
            played = footprint(stretch)
            scratch = [*accumulate(self._scratch[begin : begin + len(stretch.forms)], max)]
            candidates += [
                self._candidate(begin, end, living, stretch, played, scratch[end - begin])
                for end in range(begin + 1, begin + len(stretch.forms))
            ]
        return candidates

    def _alone(self, call: Call, beside: int, outputs: set[Storage]) -> list[Candidate]:
        """A layer alone: whole, part by part, and all parts row by row.

        Args:
            call: the layer.
            beside: bytes that live beside its scratch.
            outputs: what it writes.
        """
        index, scratch = call.index, call.scratch_bytes
        saved = [shared_bytes(o, dying) for o in outputs for dying in o.leads]
        alone = beside + scratch - max(saved, default=0)
        candidates = [Candidate(index, index, alone, 0.0, scratch)]
        if (parts := self._maker.least(call)) is not None:
            least = parts.scratch_bytes
            of_parts = Candidate(index, index, beside + least, PARTS_COST, least, turns=BY_PARTS)
            candidates.append(of_parts)
        if saved and (rows := self._maker.least(call, by_rows=True)) is not None:
            least = rows.scratch_bytes
            lead, trail = rows.lowering.lead[0], rows.lowering.trail.get(0)
            saved = [shared_bytes(o, dying, lead, trail) for o in outputs for dying in o.leads]
            total, cost = beside + least - max(saved), CALL_COST * _row_count(rows)
            candidates.append(Candidate(index, index, total, cost, least, turns=BY_ROWS))
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
            if candidate.streams and source.end <= candidate.end
        ]

    def _candidate(
        self,
        begin: int,
        end: int,
        living: int,
        stretch: Stretch,
        played: Footprint,
        scratch: int,
    ) -> Candidate:
        total, cost = living, 0.0
        source = self._holders[stretch.source]
        saved = [0]
        for k, form in enumerate(stretch.forms[: end - begin + 1]):
            output = self._holders[form.call.node.output]
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
        return Candidate(begin, end, total + scratch - max(saved), cost, scratch, streams=True)

    def _dies(self, source: Storage, stretch: Stretch, begin: int, end: int) -> bool:
        """Whether the source is read by rows alone, and not needed behind the segment."""
        if source.begin >= begin or source.end > end:
            return False
        return all(
            self._holders[tensor] is not source or tensor is stretch.source
            for form in stretch.forms[: end - begin + 1]
            for tensor in (*form.reaches, *form.wholes)
        ) and all(stretch.source not in form.wholes for form in stretch.forms)

    def _segment(self, chosen: Candidate, budget: float) -> Segment:
        begin, end = chosen.begin, chosen.end
        room = budget - chosen.bytes + chosen.scratch
        if not chosen.streams:
            call = self._calls[begin]
            if chosen.turns != WHOLE:
                call = self._maker.fit(call, room, by_rows=chosen.turns == BY_ROWS)
            return Segment((call,))
        forms = [
            form
            if form.call.scratch_bytes <= room
            else replace(form, call=self._maker.fit(form.call, room))
            for form in self._stretches[begin].forms[: end - begin + 1]
        ]
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


def _row_count(call: Call) -> int:
    """How often a call's kernel, or those of its parts, run over its rows."""
    walk = call.lowering.walk
    if isinstance(walk, Window):
        return walk.last_call // walk.call_rows + 1
    return walk.count if walk is not None else 1


def _runs_like(other: Candidate, candidate: Candidate) -> bool:
    """Whether a candidate runs the layers of another as fast, or nearly."""
    same_layers = other.begin == candidate.begin and other.streams == candidate.streams
    return same_layers and other.turns != BY_ROWS


def _is_ring(output: Storage, end: int) -> bool:
    """Whether nobody but the layers up to `end` reads a tensor, and nobody by another name."""
    return output.end <= end and len(output.tensors) == 1


def _lead(leads: dict[int, int], last: int) -> int | None:
    """How far an output must begin before the source, for the readers up to the layer `last`."""
    return max((lead for reader, lead in leads.items() if reader <= last), default=None)
