"""From measured layers to a few figures for each kernel, and how wrong they are elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

import numpy as np

from nn2wasm.estimate.costs import VARIANTS, symbol_of

TERMS = ("macs", "outputs", "inputs", "rows", "calls")
LEAST_VARIETY = 3
"""Different layers from which on a variant of windows has figures of its own."""
SLACK = 2000
"""Instructions by which small layers may be wrong without counting for much."""


@dataclass(frozen=True, slots=True)
class LayerMeasured:
    """A layer of a network, compiled and run.

    Attributes:
        kind: its kernel, as `nn2wasm.estimate.costs.kind_of` says.
        walk: what its function does around the kernel.
        work: what `nn2wasm.estimate.costs.work_of` says of it.
        instructions: of one run.
        around_bytes: of the layer's function, the kernel inside it left out; None where the
            compiler put the kernel inside.
        stack_bytes: frames of the layer's function and of its kernel.
        library: functions that both call of the compiler's library.
    """

    kind: str
    walk: str
    work: Mapping[str, int]
    instructions: int
    around_bytes: int | None
    stack_bytes: int
    library: frozenset[str]


@dataclass(frozen=True, slots=True)
class FunctionMeasured:
    """A kernel's function: bytes, with the layer's around it where there is one function."""

    kind: str
    code_bytes: int
    with_layer: str = ""


@dataclass(slots=True)
class NetworkMeasured:
    """All of a network.

    Attributes:
        name: of the model.
        layers: in order.
        functions: kernels.
        interface_bytes: functions for inputs and outputs.
        run_bytes: the function that calls the layers.
        run_stack: what of the stack is not a layer's or a kernel's.
        flash_bytes: code, constants and library as linked.
        code_bytes: the same without constants.
        instructions: of one run.
        stack_bytes: as measured.
    """

    name: str
    layers: list[LayerMeasured] = field(default_factory=list)
    functions: list[FunctionMeasured] = field(default_factory=list)
    interface_bytes: int = 0
    run_bytes: int = 0
    run_stack: int = 0
    flash_bytes: int = 0
    code_bytes: int = 0
    instructions: int = 0
    stack_bytes: int = 0


def figures_of(
    networks: Sequence[NetworkMeasured], library: Mapping[str, int], measured_as: str
) -> dict[str, Any]:
    """The figures of a target made for one thing, as costs.json holds them, without errors."""
    layers = [layer for network in networks for layer in network.layers]
    around = _around(layers)
    code: dict[str, list[float]] = defaultdict(list)
    for function in (f for network in networks for f in network.functions):
        inside = around[function.with_layer] if function.with_layer else 0
        code[function.kind].append(max(0.0, function.code_bytes - inside))
    of_kind: dict[str, list[LayerMeasured]] = defaultdict(list)
    for layer in layers:
        of_kind[layer.kind].append(layer)
    for kind in [kind for kind in of_kind if kind.endswith(VARIANTS)]:
        plain = symbol_of(kind)
        if min(_variety(of_kind[kind]), _variety(of_kind.get(plain, []))) < LEAST_VARIETY:
            of_kind.setdefault(plain, []).extend(of_kind.pop(kind))
            code[plain] += code.pop(kind, [])
    kernels = {kind: _kernel(of_kind[kind], code[kind]) for kind in sorted(of_kind)}
    kernels["other"] = _kernel(layers, [median(median(each) for each in code.values())])
    kernels["other"]["library"] = []
    calls = [(len(network.layers), network.run_bytes) for network in networks]
    per_layer = sum(c * b for c, b in calls) / sum(c * c for c, _ in calls)
    return {
        "measured_as": measured_as,
        "kernels": kernels,
        "around": {walk: round(size) for walk, size in around.items()},
        "network": {
            "code": round(mean(network.interface_bytes for network in networks)),
            "layer": round(per_layer, 1),
        },
        "library": dict(sorted(library.items())),
        "run_stack": max(network.run_stack for network in networks),
    }


def _variety(layers: Sequence[LayerMeasured]) -> int:
    """How many layers differ in what they do."""
    return len({tuple(layer.work.values()) for layer in layers})


def _around(layers: Sequence[LayerMeasured]) -> dict[str, float]:
    sizes: dict[str, list[int]] = defaultdict(list)
    for layer in layers:
        if layer.around_bytes is not None:
            sizes[layer.walk].append(layer.around_bytes)
    overall = mean(size for each in sizes.values() for size in each)
    return {w: mean(sizes[w]) if sizes[w] else overall for w in ("window", "rows", "call")}


def _kernel(layers: Sequence[LayerMeasured], code: Sequence[float]) -> dict[str, Any]:
    factors = fit_instructions(layers)
    return {
        "code": round(mean(code)),
        "instructions": {term: float(f"{f:.4g}") for term, f in factors.items() if f > 0},
        "stack": max(layer.stack_bytes for layer in layers),
        "library": sorted(frozenset().union(*(layer.library for layer in layers))),
        "layers": len(layers),
    }


def fit_instructions(layers: Sequence[LayerMeasured]) -> dict[str, float]:
    """Factors of zero or more, by which the relative error is least.

    Few layers get few factors: what multiplies is told by its products first, what does not by
    what it reads and writes.
    """
    multiplies = any(layer.work["macs"] for layer in layers)
    order = ["macs", "outputs", "calls"] if multiplies else ["outputs", "inputs", "calls"]
    if any(layer.work["rows"] > layer.work["outputs"] for layer in layers):
        order.append("rows")
    terms = order[: max(1, _variety(layers) // 2)]
    wanted = np.array([layer.instructions for layer in layers], np.float64)
    weights = 1.0 / (wanted + SLACK)
    amounts = np.array([[layer.work[term] for term in terms] for layer in layers], np.float64)
    factors = _least_squares(amounts * weights[:, None], wanted * weights)
    return dict(zip(terms, factors, strict=True))


def _least_squares(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> list[float]:
    """x ≥ 0 that makes |a·x − b| least, one coordinate after the other."""
    scales = np.maximum(np.linalg.norm(a, axis=0), 1e-30)
    scaled = a / scales
    gram, right = scaled.T @ scaled, scaled.T @ b
    x = np.zeros(len(scales))
    for _ in range(20_000):
        before = x.copy()
        for i in range(len(x)):
            x[i] = max(0.0, x[i] + right[i] - gram[i] @ x)
        if np.abs(x - before).max() < 1e-12:
            break
    return [float(value) for value in x / scales]
