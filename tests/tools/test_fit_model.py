"""Reports of what a network takes of a board, and changes that make it fit."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from nn2wasm.api import Options, plan_model
from nn2wasm.estimate import estimate
from nn2wasm.target import find_target
from nn2wasm.tools.boards import all_boards, find_board
from nn2wasm.tools.fit import Room, fit_boards, fit_model, report
from nn2wasm.tools.remedies import Remedy, find_remedies

M4 = "cortex-m4"
INT8_SLACK = 1.25
"""What biases, scales and borders add to a quarter of the floats."""


def remedies_of(model, room: Room, options: Options | None = None) -> dict[str, Remedy]:
    compiled = plan_model(model, find_target(room.target), options)
    return {remedy.change: remedy for remedy in find_remedies(model, compiled, room, options)}


def test_a_report_adds_up(digits):
    board = find_board("nucleo-f446re")
    found = fit_model(digits, board)
    plan = plan_model(digits, find_target(M4)).plan
    assert found.fits
    assert (found.board, found.chip, found.target) == (board.name, board.chip, M4)
    flash, ram = found.flash, found.ram
    assert flash.weights + flash.tables == plan.weight_bytes
    assert flash.total == flash.weights + flash.tables + flash.code + flash.library
    assert flash.limit == board.flash_bytes
    assert ram.arena == plan.memory.arena_bytes
    assert ram.total == ram.arena + ram.stack
    assert ram.inputs == 256
    assert ram.outputs == 40
    assert found.seconds == pytest.approx(found.instructions * 1.5 / 180e6)
    assert found.fullest.amount <= ram.arena
    json.dumps(asdict(found))


def test_the_verdict_turns_at_the_last_byte(digits):
    needs = fit_model(digits, Room(target=M4))
    assert needs.fits
    assert needs.seconds is None
    flash, ram = needs.flash.total, needs.ram.total
    enough = Room(target=M4, flash_bytes=flash, ram_bytes=ram)
    found = fit_model(digits, enough)
    assert found.fits
    assert found.close
    for name, less in (("flash", {"flash_bytes": flash - 1}), ("RAM", {"ram_bytes": ram - 1})):
        found = fit_model(digits, replace(enough, **less))
        assert not found.fits
        assert found.lacking == (name,)


def test_all_boards_in_order(digits):
    reports = fit_boards(digits)
    assert [found.board for found in reports] == [board.name for board in all_boards()]
    assert all(found.fits for found in reports)
    by_target = {found.target: found.flash.total for found in reports}
    assert all(found.flash.total == by_target[found.target] for found in reports)


def test_what_fits_needs_no_remedy(digits):
    assert remedies_of(digits, Room(target=M4)) == {}


def test_made_for_size_it_fits(digits):
    speed, size = (
        fit_model(digits, Room(target=M4), Options(optimize=way)) for way in ("speed", "size")
    )
    assert size.flash.total < speed.flash.total
    room = Room(target=M4, flash_bytes=(size.flash.total + speed.flash.total) // 2)
    remedy = remedies_of(digits, room)["compile with --optimize size"]
    assert remedy.fits
    assert remedy.planned
    then = fit_model(digits, room, Options(optimize="size"))
    assert then.fits
    assert (remedy.flash_bytes, remedy.ram_bytes) == (then.flash.total, then.ram.total)


def test_with_integers_at_the_border_it_fits(shared):
    """An autoencoder of floats outside: its input and output are most of its arena."""
    model, inside = shared("ad_autoencoder_ptq_qdq_s8"), Options(io_integers=True)
    integers = fit_model(model, Room(target=M4), inside)
    room = Room(target=M4, ram_bytes=integers.ram.total)
    assert not fit_model(model, room).fits
    remedy = remedies_of(model, room)["compile with --io int8"]
    assert remedy.fits
    assert remedy.ram_bytes == integers.ram.total
    assert fit_model(model, room, inside).fits


def test_all_options_together_where_none_suffices(digits):
    usual = fit_model(digits, Room(target=M4))
    together = Options(optimize="size", io_integers=True)
    least = fit_model(digits, Room(target=M4), together)
    alone = [
        fit_model(digits, Room(target=M4), options)
        for options in (Options(optimize="size"), Options(io_integers=True))
    ]
    assert all(least.flash.total < each.flash.total < usual.flash.total for each in alone)
    room = Room(target=M4, flash_bytes=least.flash.total)
    found = remedies_of(digits, room)
    best = found["compile with --optimize size --io int8"]
    assert best.fits
    assert not found["compile with --optimize size"].fits
    assert next(iter(found)) == best.change
    assert fit_model(digits, room, together).fits


@pytest.mark.parametrize("network", ["ic_resnet8", "kws_dscnn"])
def test_quantized_it_fits(shared, network):
    """What is computed from the floats is what the quantized network takes."""
    floats, integers = shared(f"{network}_f32"), shared(f"{network}_ptq_qdq_s8")
    real = fit_model(integers, Room(target=M4), Options(io_integers=True))
    room = Room(
        target=M4,
        flash_bytes=round(real.flash.total * INT8_SLACK),
        ram_bytes=round(real.ram.total * INT8_SLACK),
    )
    assert not fit_model(floats, room).fits
    remedy = remedies_of(floats, room)["quantize it to int8 and compile with --io int8"]
    assert remedy.fits
    assert fit_model(integers, room, Options(io_integers=True)).fits
    assert real.ram.total <= remedy.ram_bytes * INT8_SLACK
    assert "quantize it to int8 and compile with --io int8" not in remedies_of(integers, Room(
        target=M4, ram_bytes=1024, flash_bytes=1024
    ))  # fmt: skip


def test_a_smaller_image_fits(digits_f32):
    import onnx

    def sized(side: int) -> onnx.ModelProto:
        """The convolutions of the bundled network alone, for an image of any size."""
        model = onnx.load(digits_f32)
        extracted = onnx.utils.Extractor(model)
        first = model.graph.node[0]
        last = next(n for n in reversed(model.graph.node) if n.op_type in ("Conv", "Relu"))
        part = extracted.extract_model([first.input[0]], [last.output[0]])
        for axis in (2, 3):
            part.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
        part.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        del part.graph.value_info[:]
        part.graph.output[0].type.tensor_type.ClearField("shape")
        return part

    large, small = sized(64), sized(40)
    limit = fit_model(small, Room(target=M4)).ram.total
    room = Room(target=M4, ram_bytes=limit)
    found = remedies_of(large, room)
    change = next(c for c in found if c.startswith("train it for an input of"))
    side = int(change.split()[6].split("x")[0])
    assert "instead of 64x64" in change
    assert 24 <= side <= 40
    assert fit_model(sized(side), room).fits


def test_memory_outside_the_chip(digits):
    board = replace(
        find_board("STM32F746G-DISCO"), name="tiny", flash_bytes=8 * 1024, ram_bytes=512
    )
    needs = fit_model(digits, Room(target=board.target))
    found = remedies_of(digits, Room.of(board))
    (weights,) = (r for c, r in found.items() if "NN_WEIGHTS" in c)
    constants = needs.flash.weights + needs.flash.tables
    assert weights.flash_bytes == needs.flash.total - constants
    (arena,) = (r for c, r in found.items() if "external RAM" in c)
    assert arena.ram_bytes == needs.ram.stack
    bare = replace(board, external_flash_bytes=0, external_ram_bytes=0)
    assert not [c for c in remedies_of(digits, Room.of(bare)) if "external" in c]


def test_the_smallest_board_that_is_enough(digits_f32):
    room = Room(target=M4, flash_bytes=8 * 1024, ram_bytes=512)
    (change,) = (c for c in remedies_of(digits_f32, room) if c.startswith("take "))
    fitting = [f for f in fit_boards(digits_f32) if f.fits and f.target == M4]
    assert change.startswith(f"take {fitting[0].board} (")


def test_a_plan_is_reported_as_it_is(digits):
    compiled = plan_model(digits, find_target("rv32imc"))
    found = report(compiled, Room(target="rv32imc", clock_hz=10**6))
    assert found.instructions == estimate(compiled.plan).instructions
    assert found.seconds > 0.001


def test_row_by_row_it_fits(shared):
    model, integers = (
        shared("vww_mbv1_025_96_ptq_qdq_s8"),
        Options(io_integers=True, optimize="speed"),
    )
    usual = fit_model(model, Room(target=M4), integers)
    room = Room(target=M4, ram_bytes=usual.ram.total * 9 // 10)
    found = remedies_of(model, room, integers)
    budget = next(remedy for change, remedy in found.items() if "--ram " in change)
    assert budget.fits
    assert found["compile with --optimize memory"].ram_bytes <= budget.ram_bytes
    limit = int(budget.options.removeprefix("--ram "))
    then = fit_model(model, room, replace(integers, ram=limit))
    assert then.fits
    assert then.ram.total == budget.ram_bytes
