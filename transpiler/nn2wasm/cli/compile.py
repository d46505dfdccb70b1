"""Compile an ONNX model: x.wasm, x.c (with x.h), x.so, or a folder for a C package."""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import TYPE_CHECKING

from nn2wasm.cli import model_options
from nn2wasm.cli.output import Progress, print_json
from nn2wasm.cli.quantities import byte_count, decimal_count
from nn2wasm.cli.table import count, harmless

if TYPE_CHECKING:
    from nn2wasm.api import Artifact

PAGE_BYTES = 65536


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="model.onnx")
    parser.add_argument("-o", "--output", required=True, metavar="PATH", help="what to write")
    parser.add_argument(
        "--package",
        metavar="KIND",
        help="what a folder is for: cmake (default), make, arduino, esp-idf or zephyr",
    )
    parser.add_argument(
        "--depfile",
        metavar="FILE",
        help="write which files the output depends on, for Make and Ninja",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    model_options.add_arguments(parser, target="by default what the output's ending suggests")
    group = parser.add_argument_group("budgets", "write nothing where one is exceeded; docs/fit.md")
    ram = "linear memory of a module; for C arena and stack"
    group.add_argument("--max-ram", metavar="BYTES", type=byte_count, help=f"64K, 1.5M; {ram}")
    flash = "the module; for C constants and code"
    group.add_argument("--max-flash", metavar="BYTES", type=byte_count, help=f"the same; {flash}")
    group.add_argument(
        "--max-macs", metavar="N", type=decimal_count, help="multiply-accumulates of a run: 7.5M"
    )


def run(arguments: argparse.Namespace) -> int:
    from nn2wasm.api import compile_model
    from nn2wasm.estimate import Budget

    budget = Budget(
        ram_bytes=arguments.max_ram, flash_bytes=arguments.max_flash, macs=arguments.max_macs
    )
    options = dataclasses.replace(model_options.read(arguments), budget=budget)
    with Progress(f"compiling {os.path.basename(arguments.model)}", shown=not arguments.quiet):
        artifact = compile_model(
            arguments.model,
            arguments.output,
            target=arguments.target,
            options=options,
            package=arguments.package,
            depfile=arguments.depfile,
        )
    if arguments.json:
        print_json(_facts(artifact))
    elif not arguments.quiet:
        print(_text(artifact))
    return 0


def _text(artifact: Artifact) -> str:
    plan = artifact.compiled.plan
    name = harmless(artifact.compiled.name)
    made_for = f"{plan.target.name}, optimized for {plan.target.optimized_for}"
    work = f"{len(plan.calls)} layers, {count(plan.macs)} MAC"
    weights, runtime = artifact.weight_bytes, artifact.runtime_bytes
    lines = [f"{_place(artifact)}: {name} for {made_for}, {work}"]
    if artifact.kind.value == "c":
        lines.append(f"{weights:,} bytes of weights; {', '.join(artifact.files)}")
        lines.append(f"RAM {artifact.arena_bytes:,} arena, from the caller")
        return "\n".join(lines)
    lines.append(f"{artifact.total_bytes:,} bytes: {weights:,} weights + {runtime:,} runtime")
    memory = ""
    if artifact.kind.value == "wasm":
        pages, rest = divmod(artifact.memory_bytes, PAGE_BYTES)
        shown = "" if rest else f" ({pages} page{'' if pages == 1 else 's'})"
        memory = f", {artifact.memory_bytes:,} linear memory{shown}"
    lines.append(f"RAM {artifact.arena_bytes:,} arena{memory}")
    return "\n".join(lines)


def _place(artifact: Artifact) -> str:
    return f"{artifact.path}{os.sep}" if artifact.path.is_dir() else str(artifact.path)


def _facts(artifact: Artifact) -> dict[str, object]:
    plan = artifact.compiled.plan
    return {
        "path": str(artifact.path),
        "files": list(artifact.files),
        "kind": artifact.kind.value,
        "model": artifact.compiled.name,
        "model_sha256": artifact.compiled.sha256,
        "target": plan.target.name,
        "optimize": plan.target.optimized_for,
        "layers": len(plan.calls),
        "macs": plan.macs,
        "total_bytes": artifact.total_bytes,
        "weight_bytes": artifact.weight_bytes,
        "runtime_bytes": artifact.runtime_bytes,
        "arena_bytes": artifact.arena_bytes,
        "memory_bytes": artifact.memory_bytes,
    }
