"""fit, boards, and budgets on the command line."""

from __future__ import annotations

import pytest

from nn2wasm.cli.quantities import byte_count, bytes_text, decimal_count, time_text
from nn2wasm.tools.boards import all_boards


def test_a_board_that_is_enough(nn2wasm, digits):
    outcome = nn2wasm("fit", digits, "--board", "nucleo-f446re")
    assert outcome.code == 0
    assert outcome.err == ""
    labels = [line.split()[0] for line in outcome.out.splitlines()]
    assert labels == "model flash RAM work fullest heaviest slowest estimated fits".split()
    assert "digits_int8 for NUCLEO-F446RE (STM32F446RE), cortex-m4" in outcome.out
    assert "60.5 k MAC, about " in outcome.out
    assert "at 180 MHz" in outcome.out
    assert "fits       yes: leaves " in outcome.out


def test_a_board_that_is_not(nn2wasm, digits):
    outcome = nn2wasm("fit", digits, "--flash", "8K", "--ram", "0.5K", "--target", "cortex-m0")
    assert outcome.code == 22
    assert "fits       no: " in outcome.out
    assert "bytes of flash too much" in outcome.out
    assert "bytes of RAM too much" in outcome.out
    assert "fits then: take " in outcome.out


def test_sizes_alone(nn2wasm, digits):
    found = nn2wasm("fit", digits, "--ram", "64K", "--json").json
    assert (found["board"], found["target"], found["fits"]) == ("", "c", True)
    assert found["ram"]["limit"] == 65536
    assert found["flash"]["limit"] is None
    assert found["seconds"] is None
    assert found["remedies"] == []


def test_facts_as_json(nn2wasm, digits):
    outcome = nn2wasm("fit", digits, "--flash", "8K", "--clock", "64M", "--json")
    found = outcome.json
    assert outcome.code == 22
    assert found["fits"] is False
    assert found["lacking"] == ["flash"]
    assert found["seconds"] > 0
    assert any(r["fits"] and r["change"].startswith("take ") for r in found["remedies"])


def test_all_boards(nn2wasm, digits):
    outcome = nn2wasm("fit", digits)
    assert outcome.code == 0
    assert all(board.name in outcome.out for board in all_boards())
    assert f"fits {len(all_boards())} of {len(all_boards())} boards" in outcome.out
    entries = nn2wasm("fit", digits, "--json").json
    assert [entry["board"] for entry in entries] == [board.name for board in all_boards()]


def test_no_board_is_large_enough(nn2wasm, digits):
    outcome = nn2wasm("fit", digits, "--shape", "image=60000,1,8,8")
    assert outcome.code == 22
    assert "fits 0 of " in outcome.out


def test_the_list_of_boards(nn2wasm):
    outcome = nn2wasm("boards")
    assert outcome.code == 0
    assert all(board.name in outcome.out for board in all_boards())
    entries = nn2wasm("boards", "--json").json
    assert [entry["name"] for entry in entries] == [board.name for board in all_boards()]
    assert all(entry["source"] for entry in entries)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--board", "nucleo-f446er"], 21, "did you mean 'NUCLEO-F446RE'"),
        (["--board", "pico", "--ram", "64K"], 20, "a board has its own flash, RAM and clock"),
        (["--board", "pico", "--target", "wasm"], 20, "no figures to estimate target wasm"),
        (["--ram", "64K", "--target", "cortex-m5"], 21, "did you mean 'cortex-m"),
        (["--ram", "none"], 2, "'none' is not a size"),
        (["--flash", "0"], 2, "'0' is not a size"),
        (["--clock", "64MB"], 2, "'64MB' is not a number"),
    ],
)
def test_errors(nn2wasm, digits, words, code, said):
    outcome = nn2wasm("fit", digits, *words)
    assert outcome.code == code
    assert said in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-macs", "50k"], "most MAC"),
        (["--max-flash", "8K"], "most weights"),
        (["--max-ram", "32K"], "fullest at"),
    ],
)
def test_budgets(nn2wasm, digits, tmp_path, words, said):
    outcome = nn2wasm(digits, "-o", tmp_path / "m.wasm", *words)
    assert outcome.code == 22
    assert said in outcome.err
    assert list(tmp_path.iterdir()) == []
    told = nn2wasm(digits, "-o", tmp_path / "m.wasm", *words, "--json").json["error"]
    assert told["class"] == "OverBudget"


def test_within_all_budgets(nn2wasm, digits, tmp_path):
    words = ("--max-macs", "61k", "--max-flash", "64K", "--max-ram", "64K")
    assert nn2wasm(digits, "-o", tmp_path / "m.wasm", *words).code == 0
    assert nn2wasm(digits, "-o", tmp_path / "m.c", *words).code == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [("1000", 1000), ("64K", 65536), ("64k", 65536), ("64KiB", 65536), ("1.5M", 1572864),
     ("2 KB".replace(" ", ""), 2048), ("1G", 2**30), (".5K", 512)],
)  # fmt: skip
def test_sizes(text, value):
    assert byte_count(text) == value


def test_counts():
    assert decimal_count("7.5M") == 7_500_000
    assert decimal_count("64k") == 64_000


def test_sizes_and_times_for_people():
    texts = [bytes_text(value) for value in (940, 98304, 1572864, 128 * 2**20)]
    assert texts == ["940", "96 K", "1.5 M", "128 M"]
    times = [time_text(value) for value in (0.0, 4.2e-7, 3.5e-4, 0.0123, 2.04)]
    assert times == ["0 µs", "0.42 µs", "350 µs", "12 ms", "2 s"]
