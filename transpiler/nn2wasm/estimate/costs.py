"""A network's code, stack and instructions on a core, from figures measured kernel by kernel.

``costs.json`` beside this file is written by ``benchmarks/mcu/costs.py``, which compiles networks
for each target, runs them on emulated cores and fits, for each kernel:

- the bytes of its function, and for each kind of walk those that a layer has around its call;
- instructions = a·MACs + b·outputs + c·inputs + d·rows + e, where rows are the inner loops of
  windows, as many as outputs times window rows;
- the bytes of stack below the run, and the functions that it needs of the compiler's library.

The errors in it are the largest on networks that the fit has not seen.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.errors import TargetError
from nn2wasm.ops.kernel import Rows, Window
from nn2wasm.plan import Call, Plan
from nn2wasm.target import Target

STRIDED, NARROW = VARIANTS = (" strided", " narrow")
"""Behind a kernel's name: windows more than a row apart; one product in each row of a window."""
OTHER = "other"
"""The entry for kernels that are like none that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a network takes of a core.

    Attributes:
        weight_bytes: weights, biases and scales as packed: exact.
        table_bytes: constants of layers without products: exact.
        code_bytes: kernels, layers and the three functions of the interface.
        library_bytes: what they call of the compiler's library.
        stack_bytes: below the caller of the run.
        instructions: of one run.
        layers: the same for each layer.
        flash_error: largest error of code and constants together seen on networks, a share of 1.
        instruction_error: the same of instructions.
        measured_as: the core that the figures are from, as people call it.
        unmeasured: kernels without figures of their own; those of similar kernels were taken.
    """

    weight_bytes: int
    table_bytes: int
    code_bytes: int
    library_bytes: int
    stack_bytes: int
    instructions: int
    layers: tuple[int, ...]
    flash_error: float
    instruction_error: float
    measured_as: str
    unmeasured: tuple[str, ...]

    @property
    def flash_bytes(self) -> int:
        return self.weight_bytes + self.table_bytes + self.code_bytes + self.library_bytes


def work_of(call: Call) -> dict[str, int]:
    """What the instructions of a layer are a sum of, each with a factor of its kernel's."""
    walk = call.lowering.walk
    outputs = sum(tensor.element_count for tensor in call.node.outputs)
    inputs = sum(tensor.element_count for tensor in call.arguments if not tensor.is_constant)
    return {
        "macs": call.node.op.macs(call.node),
        "outputs": outputs,
        "inputs": inputs,
        "rows": outputs * (walk.kernel if isinstance(walk, Window) else 1),
        "calls": 1,
    }


def kind_of(call: Call) -> str:
    """The entry of a layer's kernel: its name, and which of `VARIANTS` its windows are. Compilers
    unroll loops over columns or not, according to how padding moves their bounds.
    """
    walk, symbol, work = call.lowering.walk, call.choice.kernel.symbol, work_of(call)
    if not isinstance(walk, Window):
        return symbol
    if work["macs"] == work["rows"]:
        return f"{symbol}{NARROW}"
    return f"{symbol}{STRIDED}" if walk.stride > 1 else symbol


def symbol_of(kind: str) -> str:
    """The kernel's name in an entry's."""
    return kind.partition(" ")[0]


def walk_of(call: Call) -> str:
    """What a layer's function does around its kernel."""
    walk = call.lowering.walk
    return "window" if isinstance(walk, Window) else "rows" if isinstance(walk, Rows) else "call"


def estimated_targets() -> tuple[str, ...]:
    """Names of the targets that there are figures for."""
    return tuple(_table()["targets"])


def estimate(plan: Plan, table: Mapping[str, Any] | None = None) -> Estimate:
    """What a network takes of the core that it was planned for.

    Args:
        plan: for a target that there are figures for.
        table: figures; those of the package where left out.

    Raises:
        TargetError: there are no figures for its target.
    """
    figures = _figures(plan.target, _table() if table is None else table)
    kernels = figures["kernels"]
    costs = [_cost(kernels, kind_of(call)) for call in plan.calls]
    library = {name for cost in costs for name in cost["library"]}
    instructions = [
        sum(cost["instructions"].get(key, 0.0) * value for key, value in work_of(call).items())
        for call, cost in zip(plan.calls, costs, strict=True)
    ]
    weight_bytes, table_bytes = _constant_bytes(plan)
    symbols = dict.fromkeys(call.choice.kernel.symbol for call in plan.calls)
    known = {symbol_of(kind) for kind in kernels}
    return Estimate(
        weight_bytes=weight_bytes,
        table_bytes=table_bytes,
        code_bytes=round(_code_bytes(plan, figures)),
        library_bytes=sum(figures["library"].get(name, 0) for name in library),
        stack_bytes=figures["run_stack"] + max((cost["stack"] for cost in costs), default=0),
        instructions=round(sum(instructions)),
        layers=tuple(round(count) for count in instructions),
        flash_error=figures["flash_error"],
        instruction_error=figures["instruction_error"],
        measured_as=figures["measured_as"],
        unmeasured=tuple(symbol for symbol in symbols if symbol not in known),
    )


def _code_bytes(plan: Plan, figures: Mapping[str, Any]) -> float:
    """Each kernel's function once, and what every layer has around its call."""
    functions = KernelSet(plan.calls)
    kinds = {functions.name_of(call): kind_of(call) for call in reversed(plan.calls)}
    code = sum(_cost(figures["kernels"], kind)["code"] for kind in kinds.values())
    around = sum(figures["around"][walk_of(call)] for call in plan.calls)
    calls = figures["network"]["layer"] * len(plan.calls)
    return float(code + around + calls + figures["network"]["code"])


def _constant_bytes(plan: Plan) -> tuple[int, int]:
    """Distinct constants of layers that multiply, and of all others."""
    weights: dict[tuple[str, bytes], bool] = {}
    for call in plan.calls:
        multiplies = call.node.op.macs(call.node) > 0
        for key in call.stored:
            weights[key] = weights.get(key, False) or multiplies
    total = sum(len(data) for _, data in weights)
    of_weights = sum(len(key[1]) for key, multiplies in weights.items() if multiplies)
    return of_weights, total - of_weights


def _cost(kernels: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The figures of a kernel, or of the one most like it: same op and type, same op, any."""
    symbol = symbol_of(kind)
    exact = (kind, symbol, *(symbol + variant for variant in VARIANTS))
    found = next((known for known in exact if known in kernels), None)
    words = symbol.partition("__")[0].split("_")
    for length in (3, 2):
        if found is None:
            similar = (
                k for k in kernels if k.partition("__")[0].split("_")[:length] == words[:length]
            )
            found = next(similar, None)
    cost: Mapping[str, Any] = kernels[found or OTHER]
    return cost


def _figures(target: Target, table: Mapping[str, Any]) -> Mapping[str, Any]:
    targets = table["targets"]
    if target.name not in targets:
        raise TargetError(
            f"there are no figures to estimate target {target.name} with",
            facts=[("known", ", ".join(targets))],
        )
    of_target = targets[target.name]
    if isinstance(of_target, str):  # the target whose figures stand for its own
        of_target = targets[of_target]
    chosen: Mapping[str, Any] = of_target.get(target.optimize) or next(iter(of_target.values()))
    return chosen


@functools.cache
def _table() -> dict[str, Any]:
    path = Path(__file__).with_name("costs.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table
