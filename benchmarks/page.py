"""docs/benchmarks.md from a run's results."""

from __future__ import annotations

from collections.abc import Callable

from bench_networks import PRECISIONS
from ceiling import instruction_set
from contenders import ALL, Contender
from measure import COMPILED
from results import Results, drawn, geometric_mean
from tables import comparison_table, ms, table, times

FAR = 0.15  # of the range: more than quantized kernels may differ by
CALM = 0.05  # what other programs may have of the core
HOSTS = {
    "chromium": "Chromium",
    "node": "Node",
    "wasmtime": "wasmtime",
    "native": "Native, for orientation",
}
INTRO = """# Benchmarks

Written by `make bench`; do not edit. More: [benchmarks/](../benchmarks).
**Figures of a shared machine: trust the ratios of one page, not milliseconds across pages.**

{processor}, {cores}; {rounds} rounds, {minutes} minutes. {versions}.
"""
HOW = """## How this is measured

Every contender gets the same network, the same real input in float32, and gives float32; peers
that take no ONNX run files written from nn2wasm's own graph, in ONNX's layout. Each answer is
compared with onnxruntime's before anything is timed. A run is: copy the input in, compute, copy
the output out; peers are given their input tensors once and copy of them what they like. A cell
is a network by a contender. Each is warmed until it gets no faster, then all are visited in turn,
round by round, each for 50 ms. A figure is the median over the rounds of the lower quartile within
a cell. One thread, one core, for all.

`int8` of onnxruntime is its fastest quantized file (QDQ or QOperator, signed or unsigned); `its
best` is its fastest file of all, float32 included. Peers have a process of their own for each
network: engines compile a runtime by what it has seen, and LiteRT.js gets slower next to other
networks. Figures of wasmtime and of native code contain a call from Python, some microseconds.
"""


def page(results: Results) -> str:
    sections = (
        introduction,
        summary,
        *(lambda r, h=host: latency(r, h) for host in HOSTS),
        ratios,
        ceilings,
        cold,
        shipped,
        memory,
        networks,
        absent,
    )
    parts = [section(results) for section in sections]
    return "\n".join([*(part for part in parts if part), HOW])


def introduction(results: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    text = INTRO.format(**results.machine, rounds=results.rounds, versions=versions)
    remarks = list(results.remarks)
    if results.spread:
        remarks.append(
            f"Other programs had {results.disturbed:.0%} of the core. "
            f"Rounds of a cell differ by {results.spread:.1%} (interquartile range; median cell)"
        )
    if results.disturbed > CALM:
        remarks.append("**That is too much: measure again when the machine is calm**")
    return text + "".join(f"\n{remark}.\n" for remark in remarks)


def summary(results: Results) -> str:
    """Geometric means over the networks of how many times longer a peer takes."""
    rows = []
    for comparison in drawn(results):
        means = []
        for form in comparison.forms:
            values = (comparison.ratio(results, facts.name, form) for facts in results.networks)
            means.append(times(geometric_mean(values)))
        rows.append([comparison.title, comparison.ours.split("/")[1], *means])
    for host, name in HOSTS.items():
        peer = f"{host}/onnxruntime"
        colds = [cold_ratio(results, host, peer, facts.name) for facts in results.networks]
        if any(colds):
            mean = times(geometric_mean(colds))
            rows.append([f"{name}, cold start: onnxruntime-web", "wasm-simd128", "–", mean])
    heads = ["how many times longer the peer takes", "ours", "f32", "int8"]
    return f"## In short\n\nGeometric means over all networks.\n\n{table(heads, rows)}"


def latency(results: Results, host: str) -> str:
    """Milliseconds of every contender on a host."""
    present = {key.rsplit("/", 2)[0] for key in results.latency}
    columns = [c for c in ALL if c.host == host and c.key in present]
    if not columns:
        return ""
    rows = []
    for form in PRECISIONS:
        for facts in results.networks:
            figures = [ms(results.milliseconds(c.key, facts.name, form)) for c in columns]
            rows.append([f"{facts.name} {form}", *figures])
    heads = ["ms", *(c.title for c in columns)]
    return f"## {HOSTS[host]}\n\n{table(heads, rows)}"


def ratios(results: Results) -> str:
    parts = [f"### {c.title}\n\n{comparison_table(results, c)}" for c in drawn(results)]
    return "## Ratios, network by network\n\n" + "\n".join(parts)


def ceilings(results: Results) -> str:
    """How near int8 MobileNetV2 comes to dot products alone."""
    rows = []
    network = next((f for f in results.networks if f.name == "mobilenet_v2"), results.networks[-1])
    for contender in ALL:
        top = results.ceiling.get(f"{contender.host}/{instruction_set(contender.flavour)}")
        milliseconds = results.milliseconds(contender.key, network.name, "int8")
        if contender.is_ours and top and milliseconds:
            speed = network.macs[1] / milliseconds / 1e6
            figures = [f"{speed:.1f}", f"{top:.1f}", f"{speed / top:.0%}"]
            rows.append([HOSTS[contender.host], contender.flavour, *figures])
    heads = ["engine", "target", f"{network.name} int8, GMAC/s", "ceiling, GMAC/s", "part"]
    return f"""## The ceiling

The ceiling is [a loop](../benchmarks/ceiling.c) of nothing but dot products and additions into
eight accumulators, operands in the first-level cache, measured in the same run on the same
engine: `i32x4.dot_i16x8_s`, or the relaxed dot product of bytes where the target has it.

{table(heads, rows)}"""


def cold(results: Results) -> str:
    body = by_contender(results, results.cold, ms)
    return f"""## Cold start

Milliseconds from nothing to the first result in a fresh browser context or process: runtime and
model read over 127.0.0.1 or from disk, compiled, run once; median of five. int8 networks, float32
for TensorFlow.js.

{body}"""


def memory(results: Results) -> str:
    body = by_contender(results, {k: float(v) for k, v in results.memory.items()}, kilobytes)
    return f"## Memory\n\nKB of linear memory after that first result.\n\n{body}"


def by_contender(
    results: Results, figures: dict[str, float], text: Callable[[float | None], str]
) -> str:
    """A row for each network, a column for each contender that has a figure."""
    present = {key.rsplit("/", 2)[0] for key in figures}
    columns = [c for c in ALL if c.key in present]
    heads = ["network", *(f"{HOSTS[c.host]}: {c.title}" for c in columns)]
    rows = [
        [facts.name, *(text(results.best(figures, c.key, facts.name, "any")) for c in columns)]
        for facts in results.networks
    ]
    return table(heads, rows)


def shipped(results: Results) -> str:
    """Runtime and model together, as a browser downloads them."""
    columns = [c for c in ALL if c.host == "chromium" and c.name in results.shipped]
    heads = ["KB raw / brotli", *(c.title for c in columns)]
    rows = [["runtime alone", *(pair(results.shipped[c.name]) for c in columns)]]
    for form in PRECISIONS:
        for facts in results.networks:
            totals = [total(results, c, facts.name, form) for c in columns]
            rows.append([f"{facts.name} {form}", *totals])
    return f"""## Bytes shipped

Runtime and model together, brotli at quality 9. The runtime of nn2wasm is its JavaScript loader.

{table(heads, rows)}"""


def total(results: Results, contender: Contender, network: str, form: str) -> str:
    model = results.shipped.get(f"{contender.name}/{network}/{form}")
    if model is None:
        return "–"
    runtime = results.shipped[contender.name]
    return pair([a + b for a, b in zip(runtime, model, strict=True)])


def networks(results: Results) -> str:
    rows = []
    for facts in results.networks:
        keys = [f"{COMPILED}/{facts.name}/{precision}" for precision in PRECISIONS]
        seconds = [results.compile_seconds.get(key) for key in keys]
        counts = [f"{count:,}" for count in facts.macs]
        rows.append([facts.name, *counts, *(times(value) for value in seconds)])
    heads = ["network", "MAC", "MAC left in int8", "f32, s", "int8, s"]
    return f"""## Networks, and compiling them

Seconds from the ONNX file to the {COMPILED} module, the toolchain's cache filled. What is left
are the multiply-accumulates of channels that nn2wasm does not prove constant: our int8 figures
above profit from that, peers run the whole network.

{table(heads, rows)}"""


def absent(results: Results) -> str:
    """Who could not run, and why; whose answers are far from onnxruntime's; what peers remark."""
    lines = [
        f"- {who}{where}: {reason}"
        for (who, reason), cells in grouped(results.failures).items()
        for where in [about(cells, results)]
    ]
    for key, value in results.difference.items():
        if not value <= FAR:
            lines.append(f"- {key}: its answer is {value:.0%} of the range off onnxruntime's")
    for (who, note), cells in grouped(results.notes).items():
        lines.append(f"- {who}{about(cells, results)}: {note}")
    return "## What did not run, or not as it should\n\n" + ("\n".join(lines) or "Nothing.") + "\n"


def about(cells: list[str], results: Results) -> str:
    """Which cells, unless it is all of a contender's."""
    named = [cell for cell in cells if cell]
    if not named or len({cell.split()[0] for cell in named}) == len(results.networks) > 1:
        return ""
    return f" ({', '.join(named)})"


def grouped(texts: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    """Contender and text to the cells that it is about."""
    groups: dict[tuple[str, str], list[str]] = {}
    for key, text in texts.items():
        parts = key.split("/")
        groups.setdefault(("/".join(parts[:2]), text), []).append(" ".join(parts[2:]))
    return groups


def cold_ratio(results: Results, host: str, peer: str, network: str) -> float | None:
    ours = results.best(results.cold, f"{host}/wasm-simd128", network, "int8")
    theirs = results.best(results.cold, peer, network, "int8")
    return theirs / ours if ours and theirs else None


def kilobytes(value: float | None) -> str:
    return "–" if value is None else f"{value / 1000:,.0f}"


def pair(sizes: list[int]) -> str:
    return " / ".join(kilobytes(size) for size in sizes)
