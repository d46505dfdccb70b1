"""The loop that runs layers together row by row: the rule of `plan.streaming`, as C."""

from __future__ import annotations

from collections.abc import Sequence

from nn2wasm.codegen.layout import wrapped_list
from nn2wasm.ops.spatial import steps_text
from nn2wasm.plan import Segment
from nn2wasm.plan.rows import Reach
from nn2wasm.plan.streaming import Stretch


def driver_context(
    name: str, segment: Segment, layers: Sequence[dict[str, object]], state_offset: int | None
) -> dict[str, object]:
    """What the template of a driver needs.

    Args:
        name: of the model.
        segment: of several layers.
        layers: contexts of their functions.
        state_offset: where counts of rows are kept between calls, None where they are not.
    """
    stretch, calls = segment.stretch, segment.calls
    assert stretch is not None
    first, last = calls[0].index, calls[-1].index
    counters = [f"r{call.index:02d}" for call in calls]
    fed = "fed"
    if state_offset is not None:  # kept between calls
        counters = [f"r[{k}]" for k in range(len(calls))]
        fed = f"r[{len(calls)}]"
    turns = [
        {
            "opening": "if" if k == len(calls) - 1 else "} else if",
            "condition": _condition(stretch, k, counters, fed),
            "function": layers[k]["function"],
            "counter": counters[k],
            "step": form.step,
        }
        for k, form in enumerate(stretch.forms)
    ]
    return {
        "function": f"{name}_{first:02d}_to_{last:02d}",
        "comment": f"Layers {first:02d} to {last:02d}, row by row: the last that can runs.",
        "counters": wrapped_list([f"{c} = 0" for c in counters], indent=6, first="  int "),
        "turns": turns[::-1],
        "source_rows": stretch.source_rows,
        "kept": state_offset is not None,
        "state": state_offset,
        "fed": fed,
    }


def _condition(stretch: Stretch, layer: int, counters: Sequence[str], fed: str) -> str:
    """When a layer can make its next row: it is not done, and what it reads is there."""
    own, form = counters[layer], stretch.forms[layer]
    parts = [f"{own} < {stretch.limits[layer]}"]
    for maker, reach in stretch.awaited(layer):
        there = fed if maker < 0 else counters[maker]
        limit = stretch.source_rows if maker < 0 else stretch.limits[maker]
        parts.append(_there(own, there, limit, reach, form.rows, form.step))
    return " && ".join(parts)


def _there(own: str, there: str, limit: int, reach: Reach, rows: int, step: int) -> str:
    """Whether the rows under the next call are there: all of them near the image's end."""
    last = (rows - 1) // step * step
    ahead = reach.extent - reach.pad
    text = f"{there} >= {steps_text(own, reach.stride, ahead)}"
    if ahead == 1 and reach.stride == 1:
        text = f"{there} > {own}"
    beyond = last * reach.stride + ahead > limit
    return f"({text} || {there} >= {limit})" if beyond else text
