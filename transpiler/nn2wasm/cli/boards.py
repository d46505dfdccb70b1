"""List the boards that `nn2wasm fit` knows, smallest RAM first."""

from __future__ import annotations

import argparse
import dataclasses

from nn2wasm.cli.output import print_json
from nn2wasm.cli.quantities import bytes_text
from nn2wasm.cli.table import table

HEADINGS = ("board", "chip", "target", "MHz", "RAM", "flash", "external RAM", "external flash")
MEANING = """
RAM is the chip's largest block with addresses in a row, for an arena is one array; flash is what
holds the program and is read in place. --json tells sources and what else there is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


def run(arguments: argparse.Namespace) -> int:
    from nn2wasm.tools.boards import all_boards

    boards = all_boards()
    if arguments.json:
        print_json([dataclasses.asdict(board) for board in boards])
        return 0
    rows = [
        (
            board.name,
            board.chip,
            board.target,
            f"{board.clock_hz / 1e6:g}",
            bytes_text(board.ram_bytes),
            bytes_text(board.flash_bytes),
            bytes_text(board.external_ram_bytes) if board.external_ram_bytes else "",
            bytes_text(board.external_flash_bytes) if board.external_flash_bytes else "",
        )
        for board in boards
    ]
    print(table(HEADINGS, rows, right=(3, 4, 5, 6, 7)))
    print(MEANING)
    return 0
