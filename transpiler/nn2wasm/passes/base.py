"""What a pass is: a function that rewrites a graph and says what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nn2wasm.ir import Graph
from nn2wasm.ir.check import check


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOptions:
    """What a user may ask of the passes.

    Attributes:
        fold_elements: largest constant that folding may make.
        io_integers: strip float quantizers at the network's inputs and outputs.
        feed_rows: the host hands the input over row by row.
        states: outputs and the inputs that get them in the next run, by name.
        channel_multiple: constant channels are removed in a way that leaves multiples of it.
        disabled: names of passes to leave out; results do not change, only cost.
    """

    fold_elements: int = 2**24
    io_integers: bool = False
    feed_rows: bool = False
    states: Mapping[str, str] = field(default_factory=dict)
    channel_multiple: int = 1
    disabled: frozenset[str] = frozenset()


Pass = Callable[[Graph, PassOptions], int]


@dataclass(slots=True)
class PassLog:
    """Names of the passes that ran and how many rewrites each made."""

    entries: list[tuple[str, int]] = field(default_factory=list)


def run_passes(graph: Graph, passes: Sequence[Pass], options: PassOptions) -> PassLog:
    """Runs the passes in order and verifies the graph after each that changed it."""
    log = PassLog()
    for rewrite in passes:
        if rewrite.__name__ in options.disabled:
            continue
        count = rewrite(graph, options)
        if count:
            check(graph, rewrite.__name__)
        log.entries.append((rewrite.__name__, count))
    return log
