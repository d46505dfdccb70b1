"""Measures nn2wasm against the peers that people use today, interleaved in one run on one core.

Each round visits every cell (a network in one precision, by one contender on one host) in turn;
reported is the median over the rounds. A run of everything becomes docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

import onnxruntime
import programs
from bench_networks import prepare, usual_networks
from contenders import contenders, missing_targets
from lowered import whole_and_lean_macs
from measure import Run, say
from page import CALM, HOSTS, latency, page
from results import Facts, Results, drawn
from shipped import shipped
from tables import comparison_table

import nn2wasm

PAGE = programs.HERE.parent / "docs" / "benchmarks.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="networks, by name, with commas")
    parser.add_argument("--contenders", default="", help="parts of names, such as chromium/wasm")
    parser.add_argument("--quick", action="store_true", help="few rounds, latency alone, no page")
    parser.add_argument("--rounds", type=int, help="12, or 5 for --quick")
    parser.add_argument("--core", type=int, help="the core to run on")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--render", type=Path, help="only write the page anew, from such a file")
    parser.add_argument("--page", type=Path, default=PAGE, help="docs/benchmarks.md by default")
    arguments = parser.parse_args()
    if arguments.render:
        write_page(Results.read(arguments.render), arguments.page)
        return
    results = measure(arguments)
    if arguments.json:
        arguments.json.write_text(results.to_json())
    for host in HOSTS:
        print(latency(results, host))
    for comparison in drawn(results):
        print(f"{comparison.title}\n\n{comparison_table(results, comparison)}")
    if results.disturbed > CALM:
        say(f"other programs had {results.disturbed:.0%} of the core: these figures are not calm")
    if not (arguments.quick or arguments.only or arguments.contenders):
        write_page(results, arguments.page)


def measure(arguments: argparse.Namespace) -> Results:
    """All that the options ask for."""
    start = time.monotonic()
    core = programs.pin(arguments.core)
    networks, remark = usual_networks()
    if remark:
        say(remark)
    if arguments.only:
        names = arguments.only.split(",")
        if unknown := set(names) - {network.name for network in networks}:
            known = ", ".join(network.name for network in networks)
            raise SystemExit(f"no network {', '.join(unknown)}; there are {known}")
        networks = [network for network in networks if network.name in names]
    results = Results(machine(core), versions(), remarks=[remark] if remark else [])
    results.failures |= missing_targets()
    run = Run(contenders(arguments.contenders), results)
    run.attempt("npm packages", programs.install_peers)
    for network in networks:
        say(network.name)
        prepared = prepare(network)
        results.networks.append(Facts(network.name, whole_and_lean_macs(prepared.onnx["int8"])))
        run.open(prepared)
        if not arguments.quick:
            run.time_compilations(prepared)
    run.open_ceilings()
    run.go_round(max(2, arguments.rounds or (5 if arguments.quick else 12)))
    if not arguments.quick:
        run.start_cold()
        results.shipped = shipped(run)
    run.close()
    results.machine["minutes"] = f"{(time.monotonic() - start) / 60:.0f}"
    return results


def machine(core: int | None) -> dict[str, str]:
    cores = f"{os.cpu_count()} cores" + ("" if core is None else f", all on core {core}")
    return {"processor": programs.processor(), "cores": cores}


def versions() -> dict[str, str]:
    """Of everything that takes part, but Chromium, which tells its own."""
    packages: dict[str, str] = json.loads((programs.HERE / "package.json").read_text())[
        "dependencies"
    ]
    peers = {name: version for name, version in packages.items() if name != "playwright-core"}
    return {
        "nn2wasm": nn2wasm.__version__,
        "Node": programs.node_version(),
        "wasmtime": version("wasmtime"),
        "onnxruntime": onnxruntime.__version__,
        **peers,
    }


def write_page(results: Results, path: Path) -> None:
    path.write_text(page(results))
    say(f"wrote {path}")


if __name__ == "__main__":
    main()
