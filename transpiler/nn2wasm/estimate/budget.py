"""Budgets: what a network may take at most, and which layer is at fault where it takes more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from nn2wasm.errors import OverBudget, quote
from nn2wasm.estimate.costs import estimate
from nn2wasm.plan import Call, Plan, find_peak
from nn2wasm.target import ArtifactKind

SHOWN_TENSORS = 3

Fact = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that a network may take; None: as much as it likes.

    Attributes:
        ram_bytes: linear memory of a module; the arena of a shared library; of C the arena and
            the estimated stack.
        flash_bytes: size of a module or of a shared library; of C its constants and its estimated
            code.
        macs: multiply-accumulates of one run.
    """

    ram_bytes: int | None = None
    flash_bytes: int | None = None
    macs: int | None = None


def check_plan(plan: Plan, budget: Budget) -> None:
    """Compares what is known before anything is compiled; for C, that is all.

    Raises:
        OverBudget: says by how much, and which layer takes most.
    """
    if budget.macs is not None and plan.macs > budget.macs:
        _refuse("MAC", plan.macs, budget.macs, [("most MAC", _layer(busiest(plan)))], "MAC")
    if plan.target.kind is not ArtifactKind.C:
        return
    if budget.ram_bytes is None and budget.flash_bytes is None:
        return
    costs = estimate(plan)
    arena, stack = plan.memory.arena_bytes, costs.stack_bytes
    _check_ram(plan, budget, arena + stack, f"{arena:,} arena + about {stack:,} stack")
    constants = costs.weight_bytes + costs.table_bytes
    code = costs.code_bytes + costs.library_bytes
    _check_flash(plan, budget, constants + code, f"{constants:,} constants + about {code:,} code")


def check_artifact(plan: Plan, budget: Budget, *, total_bytes: int, memory_bytes: int) -> None:
    """Compares what was compiled, before it is written.

    Raises:
        OverBudget: as `check_plan`.
    """
    arena = plan.memory.arena_bytes
    rest = memory_bytes - arena
    beside = f"{arena:,} arena + {rest:,} constants, stack and rounding" if rest > 0 else ""
    _check_ram(plan, budget, memory_bytes, beside)
    weights = plan.weight_bytes
    made_of = f"{weights:,} weights + {total_bytes - weights:,} code and description"
    _check_flash(plan, budget, total_bytes, made_of)


def busiest(plan: Plan) -> Call:
    """The layer with the most multiply-accumulates."""
    return _most(plan, lambda call: call.node.op.macs(call.node))


def heaviest(plan: Plan) -> Call:
    """The layer with the most constants."""
    return _most(plan, lambda call: call.constant_bytes)


def _most(plan: Plan, amount: Callable[[Call], int]) -> Call:
    return max(plan.calls, key=lambda call: (amount(call), -call.index))


def _check_ram(plan: Plan, budget: Budget, used: int, made_of: str) -> None:
    if budget.ram_bytes is None or used <= budget.ram_bytes:
        return
    facts: list[Fact] = [("made of", made_of)] if made_of else []
    peak = find_peak(plan)
    if peak is not None:
        facts.append(("fullest at", f"{_layer(peak.call)}: {peak.bytes:,} bytes of the arena"))
        held = [s for s in peak.storages if s.tensors][:SHOWN_TENSORS]
        facts += [("holds", f"{s.bytes:,} bytes, {quote(s.tensors[0].name)}") for s in held]
    _refuse("bytes of RAM", used, budget.ram_bytes, facts, "RAM")


def _check_flash(plan: Plan, budget: Budget, used: int, made_of: str) -> None:
    if budget.flash_bytes is None or used <= budget.flash_bytes:
        return
    facts: list[Fact] = [("made of", made_of)]
    if plan.calls:
        call = heaviest(plan)
        facts.append(("most weights", f"{_layer(call)}: {call.constant_bytes:,} bytes"))
    _refuse("bytes of flash", used, budget.flash_bytes, facts, "flash")


def _layer(call: Call) -> str:
    return f"layer {call.index}, {call.node.describe()}"


def _refuse(unit: str, used: int, limit: int, facts: Sequence[Fact], name: str) -> NoReturn:
    raise OverBudget(
        f"the network takes {used:,} {unit}, {used - limit:,} above its budget of {limit:,}",
        facts=facts,
        hint=f"`nn2wasm fit` tells where {name} goes and what would help" if name != "MAC" else "",
    )
