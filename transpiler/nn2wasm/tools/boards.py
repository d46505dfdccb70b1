"""Boards that people flash, from the table boards.json beside this file.

The figures are those of data sheets, in KiB and MHz:

- ``ram_kib``: the largest block of the chip's RAM with addresses in a row, for an arena is one
  array (``ram_is`` names the blocks); ``other_ram_kib`` is what lies apart.
- ``flash_kib``: memory that holds the program and is read in place: on the chip, or the board's
  where the chip has none.
- ``external_ram_kib``, ``external_flash_kib``: of the board, slower; a fit does not count on them.
- ``cycles_per_instruction``: of a core in such loops, with usual wait states; an assumption.
"""

from __future__ import annotations

import difflib
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nn2wasm.errors import UnknownTarget

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board, or sizes that somebody stated.

    Attributes:
        name: as its vendor writes it.
        vendor: who makes it.
        chip: its microcontroller.
        target: what to compile for.
        clock_hz: the chip's highest usual clock.
        ram_bytes: the largest block of RAM.
        ram_is: what that block is made of.
        other_ram_bytes: RAM of the chip that lies apart.
        flash_bytes: memory for the program and its constants.
        external_ram_bytes: RAM of the board outside the chip.
        external_flash_bytes: flash of the board beside `flash_bytes`.
        note: what else one should know.
        source: where the figures are from.
        aliases: other names.
    """

    name: str
    vendor: str
    chip: str
    target: str
    clock_hz: int
    ram_bytes: int
    flash_bytes: int
    source: str
    ram_is: str = ""
    other_ram_bytes: int = 0
    external_ram_bytes: int = 0
    external_flash_bytes: int = 0
    note: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is found by; with and without its vendor."""
        plain = (self.name, *self.aliases)
        return (*plain, *(f"{self.vendor} {n}" for n in plain), *self._without_vendor, self.chip)

    @property
    def _without_vendor(self) -> tuple[str, ...]:
        prefix = f"{self.vendor} "
        names = (self.name, *self.aliases)
        return tuple(n.removeprefix(prefix) for n in names if n.startswith(prefix))


@functools.cache
def all_boards() -> tuple[Board, ...]:
    """The boards of the table, smallest RAM first, then smallest flash."""
    boards = [_board(entry) for entry in _table()["boards"]]
    return tuple(sorted(boards, key=lambda board: (board.ram_bytes, board.flash_bytes)))


def find_board(name: str) -> Board:
    """The board of a name, an alias or a chip; case, blanks and punctuation do not count.

    Raises:
        UnknownTarget: there is none; suggests the nearest.
    """
    wanted = _plain(name)
    boards = all_boards()
    by_name = {_plain(known): board for board in reversed(boards) for known in board.names}
    if wanted in by_name:
        return by_name[wanted]
    inside = {board.name for known, board in by_name.items() if wanted and wanted in known}
    near = difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.6)
    suggested = sorted(inside) or list(dict.fromkeys(by_name[known].name for known in near))
    listed = ", ".join(repr(known) for known in suggested[:4])
    raise UnknownTarget(
        f"unknown board {name!r}",
        facts=[("known", f"{len(boards)} boards, see `nn2wasm boards`")],
        hint=f"did you mean {listed}?" if listed else "state --flash, --ram and --target instead",
    )


def cycles_per_instruction(target: str) -> float:
    """What the time of an inference is estimated with; 1 where nothing is known of the core."""
    return float(_table()["cycles_per_instruction"].get(target, 1.0))


@functools.cache
def _table() -> dict[str, Any]:
    path = Path(__file__).with_name("boards.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def _board(entry: dict[str, Any]) -> Board:
    read = dict(entry)
    sizes = {
        f"{key.removesuffix('_kib')}_bytes": read.pop(key) * KIB
        for key in entry
        if key.endswith("_kib")
    }
    aliases = tuple(read.pop("aliases", ()))
    return Board(clock_hz=read.pop("clock_mhz") * 10**6, aliases=aliases, **sizes, **read)


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
