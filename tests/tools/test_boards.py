"""The table of boards: figures that chips can have, names that find them."""

from __future__ import annotations

import pytest

from nn2wasm.errors import UnknownTarget
from nn2wasm.target import ArtifactKind, find_target
from nn2wasm.tools.boards import all_boards, cycles_per_instruction, find_board

BOARDS = all_boards()
LARGEST_RAM = 8 * 2**20
SMALLEST_RAM = 8 * 2**10


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_figures_are_those_of_a_microcontroller(board):
    assert find_target(board.target).kind is ArtifactKind.C
    assert 16e6 <= board.clock_hz <= 1e9
    assert SMALLEST_RAM <= board.ram_bytes <= LARGEST_RAM
    assert 32 * 2**10 <= board.flash_bytes <= 128 * 2**20
    sizes = (board.other_ram_bytes, board.external_ram_bytes, board.external_flash_bytes)
    assert all(size >= 0 and size % 1024 == 0 for size in sizes)
    assert board.external_ram_bytes == 0 or board.external_ram_bytes > board.ram_bytes
    assert board.source
    assert board.vendor
    assert 0.5 <= cycles_per_instruction(board.target) <= 2


def test_all_sizes_of_boards_are_there():
    assert len(BOARDS) >= 40
    assert {board.target for board in BOARDS} >= {
        f"cortex-m{core}" for core in (0, 3, 4, 7, 33, 55, 85)
    } | {"rv32imc", "esp32"}
    order = [(board.ram_bytes, board.flash_bytes) for board in BOARDS]
    assert order == sorted(order)


def test_boards_with_the_same_chip_agree():
    chips = {}
    for board in BOARDS:
        chips.setdefault(board.chip, []).append(board)
    for boards in chips.values():
        assert len({(b.target, b.clock_hz, b.ram_bytes) for b in boards}) == 1, boards


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_name_finds_its_board(board):
    assert find_board(board.name) is board
    assert find_board(board.name.lower().replace(" ", "-")).name == board.name
    assert find_board(f"{board.vendor} {board.name}").name == board.name
    for alias in board.aliases:
        assert find_board(alias).name == board.name
    assert find_board(board.chip).chip == board.chip


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("nucleo_f446re", "NUCLEO-F446RE"),
        ("nano 33 ble", "Arduino Nano 33 BLE Sense"),
        ("Nano33BLE-Sense", "Arduino Nano 33 BLE Sense"),
        ("portenta_h7", "Arduino Portenta H7"),
        ("PICO2", "Raspberry Pi Pico 2"),
        ("rp2040", "Raspberry Pi Pico"),
        ("micro:bit v2", "BBC micro:bit v2"),
        ("stm32f407vg", "STM32F4DISCOVERY"),
    ],
)
def test_names_are_forgiven_much(typed, name):
    assert find_board(typed).name == name


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("nucleo-f446er", "NUCLEO-F446RE"),
        ("pic0", "Raspberry Pi Pico"),
        ("portenta", "Arduino Portenta H7"),
        ("nrf52480", "nRF52840 DK"),
    ],
)
def test_the_nearest_is_suggested(typed, suggested):
    with pytest.raises(UnknownTarget, match=f"unknown board '{typed}'") as caught:
        find_board(typed)
    assert suggested in caught.value.hint


@pytest.mark.parametrize("typed", ["", "--", "a toaster with forty buttons"])
def test_what_is_like_nothing(typed):
    with pytest.raises(UnknownTarget) as caught:
        find_board(typed)
    assert "--flash" in caught.value.hint
