"""What the compiler made of a network: bytes, frames and library calls of each function."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elf_file import read_elf
from emulated_boards import BOARDS, Board
from firmware import write_sources, zig_flags

from nn2wasm.codegen import SourceTree
from nn2wasm.target import Target
from nn2wasm.toolchain.zig import run_zig

_SECTION = struct.Struct("<10I")
_RELOCATION_SIZES = {4: 12, 9: 8}  # SHT_RELA, SHT_REL


@dataclass(frozen=True, slots=True)
class MeasuredObject:
    """An object of a network.

    Attributes:
        total_bytes: code and constants.
        sizes: of each function.
        frames: bytes of stack that each function takes.
        library: what each function calls that is not in the object.
    """

    total_bytes: int
    sizes: dict[str, int]
    frames: dict[str, int]
    library: dict[str, frozenset[str]]


def measure_object(tree: SourceTree, target: Target, folder: Path) -> MeasuredObject:
    """Compiles the network's C to ``network.o``."""
    write_sources(tree, folder)
    arguments = [
        "cc",
        *zig_flags(target),
        "-w",
        "-Xclang",
        "-stack-usage-file",
        "-Xclang",
        "network.su",
    ]
    run_zig(
        [*arguments, "-c", f"{tree.name}.c", "-o", "network.o"], folder, doing="compile the network"
    )
    content = (folder / "network.o").read_bytes()
    elf = read_elf(content)
    frames = {}
    for line in (folder / "network.su").read_text().splitlines():
        place, size, _ = line.split("\t")
        frames[place.rpartition(":")[2]] = int(size)
    return MeasuredObject(
        elf.code + elf.constants, elf.sizes, frames, _outside_calls(content, elf.undefined)
    )


def _outside_calls(content: bytes, undefined: frozenset[str]) -> dict[str, frozenset[str]]:
    """Undefined names in the relocations of each function's own section, ``.text.<name>``."""
    (at,) = struct.unpack_from("<I", content, 32)
    _, count, names_index = struct.unpack_from("<3H", content, 46)
    sections = [_SECTION.unpack_from(content, at + i * _SECTION.size) for i in range(count)]
    names = sections[names_index][4]
    found: dict[str, set[str]] = defaultdict(set)
    for section in sections:
        step = _RELOCATION_SIZES.get(section[1])
        patched = _text(content, names + sections[section[7]][0]) if step else ""
        if not step or not patched.startswith(".text."):
            continue
        symbols = sections[section[6]]
        strings = sections[symbols[6]][4]
        for place in range(section[4], section[4] + section[5], step):
            (info,) = struct.unpack_from("<I", content, place + 4)
            (name_at,) = struct.unpack_from("<I", content, symbols[4] + 16 * (info >> 8))
            name = _text(content, strings + name_at)
            found[patched.removeprefix(".text.")] |= {name} & undefined
    return defaultdict(frozenset, {name: frozenset(calls) for name, calls in found.items()})


def library_bytes(
    names: Sequence[str], target: Target, board: Board, folder: Path
) -> dict[str, int]:
    """Code of each library function with all that it calls, linked alone."""
    empty = _linked_bytes("", target, board, folder)
    return {name: _linked_bytes(name, target, board, folder) - empty for name in names}


def _linked_bytes(name: str, target: Target, board: Board, folder: Path) -> int:
    called = f"extern void {name}(void); {name}();" if name else ""
    text = f"int main(void) {{ {called} return 0; }}\n"
    (folder / "main.c").write_text(text)
    scripts = [(BOARDS / script).read_text() for script in (board.memory, "sections.ld")]
    (folder / "board.ld").write_text("".join(scripts))
    sources = [str(BOARDS / board.startup), "main.c"]
    linked = ["-nostdlib", "-T", "board.ld", "-Wl,--gc-sections"]
    flags = [*zig_flags(target), "-w", f"-I{BOARDS}", "-fno-builtin"]
    arguments = ["cc", *flags, *sources, *linked, "-lcompiler_rt", "-o", "program.elf"]
    run_zig(arguments, folder, doing=f"link {name}")
    elf = read_elf((folder / "program.elf").read_bytes())
    return elf.code + elf.constants


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode()
