"""The boards that QEMU emulates for the targets with a core of their own, as data."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nn2wasm.target import Target, find_target

BOARDS = Path(__file__).resolve().parent / "boards"
"""Linker scripts, startup code and the program that runs a network."""

ARM, RISCV = "qemu-system-arm", "qemu-system-riscv32"
SEMIHOSTING = ("-serial", "none", "-semihosting-config", "enable=on,target=native")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A core in QEMU.

    Attributes:
        core: as people call it.
        target_name: what networks are compiled for.
        emulator: QEMU's program.
        machine: QEMU's name of the board.
        memory: linker script.
        startup: C file with the startup code, output and the clock.
        options: of the emulator, for output.
        instructions_per_tick: of the clock, when an instruction takes a nanosecond.
        gcc_flags: by which gcc knows the core; empty where Debian has no gcc for it.
    """

    core: str
    target_name: str
    emulator: str
    machine: str
    memory: str
    startup: str = "cortex_m.c"
    options: tuple[str, ...] = SEMIHOSTING
    instructions_per_tick: Fraction = Fraction(40)
    gcc_flags: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        return find_target(self.target_name)

    @property
    def is_present(self) -> bool:
        return shutil.which(self.emulator) is not None

    def command(self, program: Path) -> list[str]:
        """Runs a program, an instruction a nanosecond."""
        quiet = ("-display", "none", "-monitor", "none", "-icount", "shift=0")
        return [self.emulator, "-M", self.machine, *quiet, *self.options, "-kernel", str(program)]


def _cortex_m(core: str, machine: str, gcc: str, *, hz: int = 25_000_000, memory: str) -> Board:
    """A board of Arm's whose SysTick runs at `hz`."""
    return Board(
        core=f"Cortex-{core}",
        target_name=f"cortex-{core.lower()}",
        emulator=ARM,
        machine=machine,
        memory=memory,
        instructions_per_tick=Fraction(10**9, hz),
        gcc_flags=("-mthumb", *gcc.split()),
    )


HARD = "-mfloat-abi=hard"
ALL = (
    # No board with an Armv6-M core has the memory; an Armv7-M core runs its code the same way.
    _cortex_m("M0", "mps2-an385", "-mcpu=cortex-m0", memory="mps2.ld"),
    _cortex_m("M3", "mps2-an385", "-mcpu=cortex-m3", memory="mps2.ld"),
    _cortex_m("M4", "mps2-an386", f"-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 {HARD}", memory="mps2.ld"),
    _cortex_m("M7", "mps2-an500", f"-mcpu=cortex-m7 -mfpu=fpv5-sp-d16 {HARD}", memory="mps2.ld"),
    _cortex_m(
        "M33", "mps2-an505", f"-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 {HARD}",
        hz=20_000_000, memory="mps2_secure.ld",
    ),
    _cortex_m("M55", "mps3-an547", f"-mcpu=cortex-m55 {HARD}", hz=32_000_000, memory="mps3.ld"),
    Board(
        core="RV32IMC",
        target_name="rv32imc",
        emulator=RISCV,
        machine="virt",
        memory="virt.ld",
        startup="rv32.c",
        options=("-bios", "none", "-serial", "stdio"),
        instructions_per_tick=Fraction(1),
    ),
)  # fmt: skip


def board_of(target_name: str) -> Board:
    """The board that stands for a target."""
    return next(board for board in ALL if board.target_name == target_name)
