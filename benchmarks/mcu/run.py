"""Measures networks on emulated microcontrollers: instructions, code, constants, RAM, stack.

Counts are exact and the same on every machine: an emulated instruction is a nanosecond, and the
core's own clock reads it. A run of everything becomes docs/benchmarks-mcu.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cells import REPOSITORY, Cell, Measured, from_json, measure_all, to_json, usual_networks
from emulated_boards import ALL, Board
from mcu_page import layer_table, page, results

from nn2wasm.target import OPTIMIZE

PAGE = REPOSITORY / "docs" / "benchmarks-mcu.md"
USUAL_CORES = "Cortex-M3,Cortex-M4,Cortex-M7,Cortex-M55,RV32IMC"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="networks, by parts of names, with commas")
    parser.add_argument("--cores", default=USUAL_CORES, help="with commas: %(default)s")
    parser.add_argument("--model", type=Path, help="another network, with an .npz of its inputs")
    parser.add_argument("--optimize", choices=OPTIMIZE, help="one instead of both")
    parser.add_argument("--layers", action="store_true", help="a table of layers, and no page")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--render", type=Path, help="only write the page anew, from such a file")
    arguments = parser.parse_args()
    if arguments.render:
        PAGE.write_text(page(*from_json(arguments.render.read_text())))
        return
    networks, remark = usual_networks()
    if arguments.model:
        networks, remark = [arguments.model.resolve()], ""
    parts = arguments.only.split(",")
    networks = [path for path in networks if any(part in path.stem for part in parts)]
    ways = [arguments.optimize] if arguments.optimize else list(OPTIMIZE)
    boards = present_boards(arguments.cores.split(","))
    cells = [Cell(path, board, way) for path in networks for board in boards for way in ways]
    measured = measure_all(cells, layers=arguments.layers, on_done=say)
    figures = [each.figures for each in measured]
    if arguments.layers:
        print("\n".join(layer_table(each) for each in measured))
    else:
        print(results(figures))
    if arguments.json:
        arguments.json.write_text(to_json(figures, remark))
    everything = not (arguments.only or arguments.model or arguments.optimize or arguments.layers)
    if everything and arguments.cores == USUAL_CORES:
        PAGE.write_text(page(figures, remark))
        print(f"wrote {PAGE.relative_to(REPOSITORY)}")


def present_boards(cores: list[str]) -> list[Board]:
    """The boards of these cores; M4 is understood as Cortex-M4.

    Raises:
        SystemExit: there is no such core, or no emulator.
    """
    boards = {board.core.upper().removeprefix("CORTEX-"): board for board in ALL}
    chosen = []
    for core in cores:
        board = boards.get(core.upper().removeprefix("CORTEX-"))
        if board is None:
            raise SystemExit(f"no core {core!r}; there are {', '.join(boards)}")
        if not board.is_present:
            raise SystemExit(f"{board.emulator} is missing: sh tests/install_qemu.sh")
        chosen.append(board)
    return chosen


def say(done: Measured) -> None:
    """One line for each cell that is through."""
    about = done.figures
    line = f"{about.network} on {about.core} for {about.optimize}: {about.instructions:,}"
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
