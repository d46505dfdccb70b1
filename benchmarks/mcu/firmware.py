"""Bare-metal programs around generated C: built with zig alone or with gcc, run in QEMU."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from elf_file import ElfFile, read_elf
from emulated_boards import BOARDS, Board

from nn2wasm.codegen import SourceTree
from nn2wasm.ir import DType
from nn2wasm.resources import data_folder
from nn2wasm.target import Target
from nn2wasm.toolchain.build import COMPILE_FLAGS
from nn2wasm.toolchain.zig import run_zig

Feeds = Mapping[str, np.ndarray[Any, Any]]

GCC = "arm-none-eabi-gcc"
SECONDS = 600
LAYER_CALL = re.compile(r"^  \w+_\d{2,}_\w+\(a\);$", re.MULTILINE)


class BrokenRun(AssertionError):
    """A program faulted, hung or ended with a status; the text is what it printed."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a program printed of one sample.

    Attributes:
        instructions: of a run of the network.
        layers: of each layer, where the program was built to tell.
        stack_bytes: below the frame of the network's caller.
        outputs: by name.
    """

    instructions: int
    layers: list[int] = field(default_factory=list)
    stack_bytes: int = 0
    outputs: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)


def build_program(
    tree: SourceTree,
    target: Target,
    board: Board,
    samples: Sequence[Feeds],
    folder: Path,
    *,
    layers: bool = False,
    compiler: str = "zig",
    network: Path | None = None,
) -> Path:
    """Compiles and links a program that runs the network on each sample.

    Args:
        tree: the network's C.
        target: what it was generated for; its flags compile it.
        board: where it is to run.
        samples: inputs by name.
        folder: an empty one, for the sources and the program.
        layers: tell how many instructions each layer takes.
        compiler: "zig" or "gcc".
        network: the object of `tree`, where that is compiled already.
    """
    if layers:
        tree = telling_of_layers(tree)
    write_sources(tree, folder)
    (folder / "inputs.c").write_text(_inputs_text(tree, samples))
    sources = [str(BOARDS / board.startup), str(BOARDS / "program.c"), "inputs.c"]
    sources.append(str(network or f"{tree.name}.c"))
    flags = [*_macros(tree, len(samples)), f"-I{BOARDS}"]
    scripts = [(BOARDS / name).read_text() for name in (board.memory, "sections.ld")]
    (folder / "board.ld").write_text("".join(scripts))
    linked = ["-nostdlib", "-T", "board.ld", "-Wl,--gc-sections"]
    if compiler == "gcc":
        libraries = [str(data_folder("runtime_c") / "src" / "memory.c"), "-lgcc"]
        arguments = [*flags, *gcc_flags(board, target), *sources, *linked, *libraries]
        _run_gcc([*arguments, "-o", "program.elf"], folder)
    else:
        arguments = ["cc", *zig_flags(target), *flags, *sources, *linked, "-lcompiler_rt"]
        run_zig([*arguments, "-o", "program.elf"], folder, doing="build the program")
    return folder / "program.elf"


def build_object(tree: SourceTree, target: Target, folder: Path) -> ElfFile:
    """The network's own object: what is in a firmware because of it, libraries excepted."""
    write_sources(tree, folder)
    run_zig(
        ["cc", *zig_flags(target), "-c", f"{tree.name}.c", "-o", "network.o"],
        folder,
        doing="compile the network",
    )
    return read_elf((folder / "network.o").read_bytes())


def run_program(program: Path, board: Board, tree: SourceTree) -> list[Run]:
    """Runs a program of `build_program`; what it says of each sample.

    Raises:
        BrokenRun: it did not end as it should.
    """
    command = board.command(program)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise BrokenRun(f"{board.core}: no end within {SECONDS} s") from None
    text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    if done.returncode:
        raise BrokenRun(f"{board.core}: exit status {done.returncode}\n{text[-2000:]}")
    return _read_runs(text, board, tree)


def telling_of_layers(tree: SourceTree) -> SourceTree:
    """The sources with a call behind each layer of the run."""
    path = f"{tree.name}.c"
    source = tree.files[path]
    assert isinstance(source, str)
    begin = source.index(f"int {tree.name}_run(")
    run = LAYER_CALL.sub(r"\g<0>\n  layer_ended();", source[begin:])
    told = f"extern void layer_ended(void);\n{source[:begin]}{run}"
    return replace(tree, files={**tree.files, path: told})


def write_sources(tree: SourceTree, folder: Path) -> None:
    """The files of a tree."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in tree.files.items():
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)


def zig_flags(target: Target) -> list[str]:
    """By which zig's clang compiles for a target."""
    triple = ["-target", target.zig_triple] if target.zig_triple else []
    return [*triple, *target.compiler_flags, *COMPILE_FLAGS, *_includes()]


def gcc_flags(board: Board, target: Target) -> list[str]:
    """By which gcc does."""
    level = [flag for flag in target.compiler_flags if flag.startswith("-O")]
    known = [flag for flag in COMPILE_FLAGS if flag != "-Wno-c23-extensions"]
    known = [flag for flag in known if not flag.startswith("-fno-sanitize")]
    level = ["-Os" if flag == "-Oz" else flag for flag in level]
    return [*board.gcc_flags, *level, *known, "-ffreestanding", *_includes()]


def _includes() -> list[str]:
    runtime = data_folder("runtime_c")
    return ["-I.", f"-I{runtime / 'include'}", "-isystem", str(runtime / "src" / "freestanding")]


def _run_gcc(arguments: list[str], folder: Path) -> None:
    gcc = shutil.which(GCC) or GCC
    done = subprocess.run(
        [gcc, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BrokenRun(done.stderr[:4000])


def _macros(tree: SourceTree, samples: int) -> list[str]:
    macros = {"HEADER": f'"{tree.name}.h"', "MODEL": tree.name, "MODEL_UPPER": tree.name.upper()}
    about: Mapping[str, Any] = tree.metadata
    for kind in ("input", "output"):
        sizes = ",".join(str(_port_bytes(port)) for port in about[f"{kind}s"])
        macros[f"{kind.upper()}_BYTES"] = sizes
    return [f"-DNN_{key}={value}" for key, value in macros.items()] + [f"-DNN_SAMPLES={samples}"]


def _port_bytes(port: Mapping[str, Any]) -> int:
    return prod(port["shape"]) * DType(port["dtype"]).bytes


def _inputs_text(tree: SourceTree, samples: Sequence[Feeds]) -> str:
    """All samples, each with its inputs in order, as one array."""
    about: Mapping[str, Any] = tree.metadata
    data = bytearray()
    for feeds in samples:
        for port in about["inputs"]:
            array = np.ascontiguousarray(feeds[port["name"]], DType(port["dtype"]).numpy)
            assert array.nbytes == _port_bytes(port)
            data += array.tobytes()
    rows = [", ".join(map(str, data[i : i + 32])) for i in range(0, len(data), 32)]
    body = ",\n".join(rows)
    declared = "const unsigned char sample_inputs[]"
    return f"extern {declared};\n{declared} = {{\n{body}}};\n"


def _read_runs(text: str, board: Board, tree: SourceTree) -> list[Run]:
    about: Mapping[str, Any] = tree.metadata
    runs: list[Run] = []

    def instructions(ticks: str) -> int:
        return int(int(ticks, 16) * board.instructions_per_tick)

    for line in text.splitlines():
        kind, _, value = line.partition(" ")
        if kind == "ticks":
            runs.append(Run(instructions(value)))
        elif kind == "layer":
            runs[-1].layers.append(instructions(value))
        elif kind == "stack":
            runs[-1] = replace(runs[-1], stack_bytes=int(value, 16))
        elif kind == "output":
            port = about["outputs"][len(runs[-1].outputs)]
            values = np.frombuffer(bytes.fromhex(value), DType(port["dtype"]).numpy)
            runs[-1].outputs[port["name"]] = values.reshape(port["shape"])
        else:
            raise BrokenRun(f"{board.core} said {line!r}")
    return runs
