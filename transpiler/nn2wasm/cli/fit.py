"""Say whether a model fits a board as C, before anything is compiled or flashed.

Name a board (`nn2wasm boards` lists them) or state sizes; with neither, all boards are compared.
Constants and arena are exact; code, stack, instructions and time are estimates from measured
figures. Exit code 0: it fits (one board at least); 22: it does not.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import TYPE_CHECKING

from nn2wasm.cli import model_options
from nn2wasm.cli.output import Progress, print_json
from nn2wasm.cli.quantities import byte_count, bytes_text, decimal_count, time_text
from nn2wasm.cli.table import count, fields, harmless, table
from nn2wasm.errors import OverBudget, TargetError

if TYPE_CHECKING:
    from nn2wasm.api import Options
    from nn2wasm.tools.fit import FitReport, LayerShare, Room
    from nn2wasm.tools.remedies import Remedy

SHOWN_TENSORS = 3
USUAL_TARGET = "c"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="model.onnx")
    group = parser.add_argument_group("what to fit into")
    group.add_argument("--board", metavar="NAME", help="see `nn2wasm boards`")
    group.add_argument("--flash", metavar="BYTES", type=byte_count, help="512K, 1.5M")
    group.add_argument("--clock", metavar="HZ", type=decimal_count, help="of the core: 64M")
    model_options.add_arguments(parser, target="the board's, or c for stated sizes")


def run(arguments: argparse.Namespace) -> int:
    sizes = (arguments.flash, arguments.ram, arguments.clock)
    stated = any(size is not None for size in sizes)
    if arguments.board is not None and stated:
        raise TargetError(
            "a board has its own flash, RAM and clock",
            hint="name --board, or state --flash, --ram, --clock and --target",
        )
    options = dataclasses.replace(model_options.read(arguments), ram=None)
    with Progress(f"planning {os.path.basename(arguments.model)}", shown=not arguments.json):
        if arguments.board is None and not stated and arguments.target is None:
            return _compare_boards(arguments, options)
        return _compare_one(arguments, _room(arguments), options)


def _room(arguments: argparse.Namespace) -> Room:
    from nn2wasm.tools.boards import find_board
    from nn2wasm.tools.fit import Room

    if arguments.board is not None:
        return Room.of(find_board(arguments.board), arguments.target)
    return Room(
        target=arguments.target or USUAL_TARGET,
        flash_bytes=arguments.flash,
        ram_bytes=arguments.ram,
        clock_hz=arguments.clock,
    )


def _compare_one(arguments: argparse.Namespace, room: Room, options: Options) -> int:
    from nn2wasm.api import plan_model
    from nn2wasm.target import find_target
    from nn2wasm.tools.fit import report
    from nn2wasm.tools.remedies import find_remedies

    compiled = plan_model(arguments.model, find_target(room.target), options)
    found = report(compiled, room)
    remedies = find_remedies(arguments.model, compiled, room, options)
    if arguments.json:
        told = [dataclasses.asdict(remedy) for remedy in remedies]
        print_json(dataclasses.asdict(found) | {"lacking": found.lacking, "remedies": told})
    else:
        print(_text(found, remedies))
    return 0 if found.fits else OverBudget.exit_code


def _compare_boards(arguments: argparse.Namespace, options: Options) -> int:
    from nn2wasm.tools.fit import fit_boards

    reports = fit_boards(arguments.model, options)
    if arguments.json:
        print_json([dataclasses.asdict(found) for found in reports])
    else:
        print(_boards_text(reports))
    return 0 if any(found.fits for found in reports) else OverBudget.exit_code


def _text(found: FitReport, remedies: tuple[Remedy, ...]) -> str:
    flash, ram = found.flash, found.ram
    made_for = f"{found.target}, optimized for {found.optimize}"
    where = f"{found.board} ({found.chip}), {made_for}" if found.board else made_for
    rows = [
        ("model", f"{harmless(found.model)} for {where}"),
        ("flash", f"{_of(flash.total, flash.limit)}: {flash.weights:,} weights + "
                  f"{flash.tables:,} tables + {flash.code:,} code + {flash.library:,} library"),
        ("RAM", f"{_of(ram.total, ram.limit)}: {ram.arena:,} arena ({ram.inputs:,} inputs and "
                f"{ram.outputs:,} outputs inside) + {ram.stack:,} stack"),
        ("work", _work(found)),
    ]  # fmt: skip
    rows += _layers(found)
    rows.append(("estimated", _estimates(found)))
    rows.append(("fits", _verdict(found)))
    rows += [("", f"{_sufficient(remedy)}: {_change(remedy)}") for remedy in remedies]
    return fields(rows)


def _of(total: int, limit: int | None) -> str:
    return f"{total:,} bytes" if limit is None else f"{total:,} of {limit:,} bytes"


def _work(found: FitReport) -> str:
    text = f"{count(found.macs)} MAC, about {count(found.instructions)} instructions"
    if found.seconds is None or found.clock_hz is None:
        return text
    clock = f"{count(found.clock_hz)}Hz"
    return f"{text}, about {time_text(found.seconds)} at {clock}"


def _layers(found: FitReport) -> list[tuple[str, str]]:
    """The layers that take most of each."""
    rows = []
    if found.fullest is not None:
        held = [
            f"{size:,} {harmless(name) if name else 'scratch'}"
            for name, size in found.fullest.tensors[:SHOWN_TENSORS]
        ]
        rows.append(("fullest", f"{_layer(found.fullest, 'bytes')}: {', '.join(held)}"))
    if found.heaviest is not None and found.heaviest.amount:
        rows.append(("heaviest", f"{_layer(found.heaviest, 'bytes')} of constants"))
    if found.slowest is not None:
        rows.append(("slowest", _layer(found.slowest, "instructions")))
    return rows


def _layer(share: LayerShare, unit: str) -> str:
    amount = f"{share.amount:,}" if unit == "bytes" else count(share.amount)
    return f"layer {share.index}, {share.op} {harmless(share.node)}, {amount} {unit}"


def _estimates(found: FitReport) -> str:
    text = (
        f"code and stack (flash within {found.flash_error:.0%}), instructions (within "
        f"{found.instruction_error:.0%}), both measured on {found.measured_as}"
    )
    if found.seconds is not None:
        text += f"; time at {found.cycles_per_instruction:g} cycles an instruction"
    if found.unmeasured:
        text += f"; not measured: {', '.join(found.unmeasured)}"
    return text


def _verdict(found: FitReport) -> str:
    close = ", but flash is within the error of the estimate" if found.close else ""
    if not found.fits:
        over = [
            f"{use.total - use.limit:,} bytes of {name} too much"
            for name, use in (("flash", found.flash), ("RAM", found.ram))
            if use.limit is not None and use.total > use.limit
        ]
        return f"no: {', '.join(over)}{close}"
    left = [
        f"{use.limit - use.total:,} {name}"
        for name, use in (("flash", found.flash), ("RAM", found.ram))
        if use.limit is not None
    ]
    rest = f": leaves {' and '.join(left)} for the rest of the program" if left else ""
    return f"yes{rest}{close}"


def _sufficient(remedy: Remedy) -> str:
    return "fits then" if remedy.fits else "helps, not enough alone"


def _change(remedy: Remedy) -> str:
    about = "" if remedy.planned else "about "
    takes = f"{about}{remedy.flash_bytes:,} flash, {remedy.ram_bytes:,} RAM"
    return f"{remedy.change} ({takes})"


def _boards_text(reports: list[FitReport]) -> str:
    first = reports[0]
    rows = [
        (
            found.board,
            found.target,
            f"{bytes_text(found.flash.total)} of {bytes_text(found.flash.limit or 0)}",
            f"{bytes_text(found.ram.total)} of {bytes_text(found.ram.limit or 0)}",
            time_text(found.seconds) if found.seconds is not None else "",
            "yes" if found.fits else f"no: {' and '.join(found.lacking)}",
        )
        for found in reports
    ]
    fitting = sum(found.fits for found in reports)
    headings = ("board", "target", "flash", "RAM", "time", "fits")
    return (
        f"{harmless(first.model)}, {count(first.macs)} MAC\n\n"
        f"{table(headings, rows, right=(2, 3, 4))}\n\n"
        f"fits {fitting} of {len(reports)} boards; code, stack and time are estimates, "
        "`--board NAME` tells their errors"
    )
