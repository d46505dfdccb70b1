"""The clock of each board counts instructions: loops of known length."""

from __future__ import annotations

import pytest
from conftest import needs_emulator
from emulated_boards import ALL
from firmware import build_program, run_program
from tiny_models import tensor, tiny_model

COUNTS = (10_000, 1_000_000)
LOOPS = {
    "cortex_m.c": '".align 2\\n1: subs %0, %0, #1\\n\\tbne 1b"',
    "rv32.c": '".align 2\\n1: addi %0, %0, -1\\n\\tbnez %0, 1b"',
}
STACK = 4096


def spinning(startup: str, count: int):
    """y = x behind a loop of two instructions, over a frame of `STACK` bytes."""
    loop = LOOPS[startup]
    return tiny_model(
        "spin",
        f"unsigned char frame[{STACK}]; frame[0] = arena[0]; uint32_t left = {count};"
        f' __asm volatile({loop} : "+r"(left) : "r"(frame) : "cc", "memory");'
        " arena[16] = frame[0]; return 0;",
        [(tensor("x", "s8", 1), 0)],
        [(tensor("y", "s8", 1), 16)],
        arena_bytes=32,
    )


@pytest.mark.parametrize("board", [pytest.param(board, id=board.core) for board in ALL])
def test_loops_of_known_length(board, tmp_path):
    needs_emulator(board)
    taken = []
    for count in COUNTS:
        tree = spinning(board.startup, count)
        program = build_program(tree, board.target, board, [{"x": 5}], tmp_path / str(count))
        (run,) = run_program(program, board, tree)
        assert run.outputs["y"].tolist() == [5]
        assert STACK <= run.stack_bytes < STACK + 100
        taken.append(run.instructions)
    per_tick = float(board.instructions_per_tick)
    assert taken[1] - taken[0] == pytest.approx(2 * (COUNTS[1] - COUNTS[0]), abs=2 * per_tick)
    assert taken[0] == pytest.approx(2 * COUNTS[0], abs=2 * per_tick + 40)
