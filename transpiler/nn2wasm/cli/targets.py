"""List what models can be compiled for."""

from __future__ import annotations

import argparse

from nn2wasm.cli.output import print_json
from nn2wasm.cli.table import table
from nn2wasm.target import TARGETS

EXACTNESS = """
int8 networks give the same bytes on all of them. float32 networks give the same bits on all but
wasm-relaxed, which fuses multiply-adds: within 1e-5 of the largest value."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


def run(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json([_facts(index) for index in range(len(TARGETS))])
        return 0
    rows = [(t.name, t.kind.value, t.optimized_for, t.summary) for t in TARGETS]
    print(table(("target", "makes", "optimized for", "runs on"), rows))
    print(EXACTNESS)
    return 0


def _facts(index: int) -> dict[str, object]:
    target = TARGETS[index]
    return {
        "name": target.name,
        "kind": target.kind.value,
        "summary": target.summary,
        "features": sorted(target.features),
        "traits": sorted(target.traits),
        "zig_triple": target.zig_triple,
        "zig_flags": list(target.zig_flags),
        "optimize": target.optimized_for,
        "speed_flags": list(target.speed_flags),
        "size_flags": list(target.size_flags),
    }
