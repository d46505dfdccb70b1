"""What a run found, as plain values, and the comparisons that are drawn from it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Facts:
    """A network and its multiply-accumulates: all, and what nn2wasm leaves of the int8 one."""

    name: str
    macs: list[int]


@dataclass
class Results:
    """Figures by key: host/contender/network/precision.

    Attributes:
        machine: processor, cores, the core that was used.
        versions: of nn2wasm, of the hosts and peers.
        rounds: medians are over so many.
        spread: interquartile range of a cell's rounds, as a part of their median; median cell.
        disturbed: the part of the core's time that other programs had.
        networks: in the page's order.
        latency: milliseconds.
        difference: largest distance to onnxruntime's answer, as a part of its range.
        notes: what a contender says about itself.
        remarks: what there is to say about the run.
        failures: why a cell or a contender is missing.
        cold: milliseconds to the first result in a fresh context.
        memory: bytes of linear memory in that context.
        shipped: downloads in bytes, raw and brotli, by contender (its runtime), and by
            contender/network/precision (the model).
        compile_seconds: of nn2wasm by target/network/precision, warm.
        ceiling: giga-MAC a second of nothing but dot products, by host/target.
    """

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    spread: float = 0.0
    disturbed: float = 0.0
    networks: list[Facts] = field(default_factory=list)
    latency: dict[str, float] = field(default_factory=dict)
    difference: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    cold: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    shipped: dict[str, list[int]] = field(default_factory=dict)
    compile_seconds: dict[str, float] = field(default_factory=dict)
    ceiling: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @staticmethod
    def read(path: Path) -> Results:
        values: dict[str, Any] = json.loads(path.read_text())
        values["networks"] = [Facts(**facts) for facts in values["networks"]]
        return Results(**values)

    def best(
        self, table: dict[str, float], contender: str, network: str, form: str
    ) -> float | None:
        """The least figure; `form` is f32, int8 (any quantized file) or any."""
        start = f"{contender}/{network}/"
        found = {key.removeprefix(start): v for key, v in table.items() if key.startswith(start)}
        values = [v for variant, v in found.items() if matches(variant, form)]
        return min(values, default=None)

    def milliseconds(self, contender: str, network: str, form: str) -> float | None:
        return self.best(self.latency, contender, network, form)


def matches(variant: str, form: str) -> bool:
    """Quantized files of any kind count as int8."""
    return form == "any" or (variant if variant == "f32" else "int8") == form


@dataclass(frozen=True)
class Comparison:
    """One of ours against one peer on one host, network by network.

    Attributes:
        title: heading in the page.
        ours: contender.
        refused: ours where that one refuses the processor: what the loader takes next.
        peer: contender.
        forms: pairs of our precision and what the peer may choose its fastest from.
    """

    title: str
    ours: str
    peer: str
    forms: tuple[tuple[str, str], ...] = (("f32", "f32"), ("int8", "int8"))
    refused: str = ""

    def our_milliseconds(self, results: Results, network: str, form: str) -> float | None:
        """Of the module that the loader takes."""
        taken = results.milliseconds(self.ours, network, form)
        if taken is None and self.refused:
            return results.milliseconds(self.refused, network, form)
        return taken

    def ratio(self, results: Results, network: str, form: tuple[str, str]) -> float | None:
        """How many times longer the peer takes."""
        ours = self.our_milliseconds(results, network, form[0])
        peer = results.milliseconds(self.peer, network, form[1])
        return peer / ours if ours and peer else None


ANY = (("f32", "f32"), ("int8", "any"))
FLOAT = (("f32", "f32"), ("int8", "f32"))
COMPARISONS = (
    Comparison(
        "Chromium, relaxed SIMD: LiteRT.js",
        "chromium/wasm-relaxed",
        "chromium/litert-relaxed",
        refused="chromium/wasm-simd128",
    ),
    Comparison(
        "Chromium, no relaxed SIMD: LiteRT.js", "chromium/wasm-simd128", "chromium/litert-compat"
    ),
    Comparison("Chromium: onnxruntime-web", "chromium/wasm-simd128", "chromium/onnxruntime", ANY),
    Comparison("Node: onnxruntime-web", "node/wasm-simd128", "node/onnxruntime", ANY),
    Comparison(
        "Chromium: TensorFlow.js wasm", "chromium/wasm-simd128", "chromium/tfjs-wasm", FLOAT
    ),
    Comparison(
        "Chromium: TensorFlow.js in plain JavaScript",
        "chromium/wasm-simd128",
        "chromium/tfjs-cpu",
        FLOAT,
    ),
    Comparison("Native: onnxruntime", "native/host", "native/onnxruntime", ANY),
)


def drawn(results: Results) -> list[Comparison]:
    """The comparisons for which both sides ran."""
    measured = {key.rsplit("/", 2)[0] for key in results.latency}
    return [c for c in COMPARISONS if {c.ours, c.peer} <= measured]


def geometric_mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value]
    return math.exp(sum(map(math.log, present)) / len(present)) if present else None
