"""What would make a network fit that does not: changes, each with what it would take then.

Options are tried: the model is planned again with each. What no option can do (quantizing, another
input, memory outside the chip, another board) is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isqrt

from nn2wasm.api import Compiled, ModelSource, Options, plan_model
from nn2wasm.errors import OverBudget, QuantizationError
from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.kernel import Window
from nn2wasm.plan import find_peak
from nn2wasm.target import OPTIMIZE, find_target
from nn2wasm.tools.boards import all_boards
from nn2wasm.tools.fit import FitReport, Room, report

SIDE_STEP = 8
"""Sides of smaller images are multiples of this: networks halve them several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A change, and what the network takes with it.

    Attributes:
        change: what to do.
        options: the words of the command that do it; empty where none do.
        flash_bytes: in all, afterwards.
        ram_bytes: in all, afterwards.
        fits: it is enough.
        planned: the model was planned again with it; otherwise the figures are computed.
    """

    change: str
    options: str
    flash_bytes: int
    ram_bytes: int
    fits: bool
    planned: bool


def find_remedies(
    model: ModelSource, compiled: Compiled, room: Room, options: Options | None = None
) -> tuple[Remedy, ...]:
    """Changes that bring a network that does not fit nearer to it, those that suffice first.

    Args:
        model: as it was planned.
        compiled: its plan.
        room: what it does not fit into.
        options: what it was planned with.
    """
    now = report(compiled, room)
    if now.fits:
        return ()
    tried = list(_other_options(model, now, room, options or Options()))
    computed = [
        *_quantized(compiled, now),
        *_smaller_input(compiled, now),
        *_outside_the_chip(now, room),
        *_other_boards(now, room),
    ]
    return tuple(sorted([*tried, *computed], key=lambda remedy: not remedy.fits))


def _other_options(
    model: ModelSource, now: FitReport, room: Room, options: Options
) -> Iterator[Remedy]:
    """Every option that helps alone; where none suffices, two of them together."""
    aims = [each for each in OPTIMIZE if each != now.optimize]
    alone = [(f"--optimize {aim}", replace(options, optimize=aim)) for aim in aims]
    if "RAM" in now.lacking and room.ram_bytes is not None and room.ram_bytes > now.ram.stack:
        arena = room.ram_bytes - now.ram.stack  # the fastest plan within it
        alone.insert(0, (f"--ram {arena}", replace(options, ram=arena)))
    together = []
    if not options.io_integers:
        integers = "--io int8"
        together = [(f"{w} {integers}", replace(o, io_integers=True)) for w, o in alone]
        alone.append((integers, replace(options, io_integers=True)))
    for alternatives in (alone, together):
        tried = (_planned(model, now, room, words, changed) for words, changed in alternatives)
        helping = [remedy for remedy in tried if remedy is not None]
        yield from helping
        if any(remedy.fits for remedy in helping):
            return


def _planned(
    model: ModelSource, now: FitReport, room: Room, words: str, options: Options
) -> Remedy | None:
    """The model planned with other options, None where that is no help."""
    try:
        then = report(plan_model(model, find_target(room.target), options), room)
    except (QuantizationError, OverBudget):  # no quantizers at the border; no plan so small
        return None
    if not _is_nearer(now, then.flash.total, then.ram.total):
        return None
    return _remedy(
        now, f"compile with {words}", then.flash.total, then.ram.total, options=words, planned=True
    )


def _quantized(compiled: Compiled, now: FitReport) -> Iterator[Remedy]:
    """A float network as int8: a byte for each weight and each activation."""
    calls = [call for call in compiled.plan.calls if call.node.op.macs(call.node)]
    floats = [call for call in calls if call.arguments[0].dtype is DType.F32]
    if not floats or len(floats) * 2 < len(calls):
        return
    peak = find_peak(compiled.plan)
    held = [tensor for storage in peak.storages for tensor in storage.tensors] if peak else []
    arena = now.ram.arena
    if all(tensor.dtype is DType.F32 for tensor in held):
        arena = -(-arena // DType.F32.bytes)
    weights = -(-now.flash.weights // DType.F32.bytes)
    flash = now.flash.total - now.flash.weights + weights
    change = "quantize it to int8 and compile with --io int8"
    yield _remedy(now, change, flash, arena + now.ram.stack)


def _smaller_input(compiled: Compiled, now: FitReport) -> Iterator[Remedy]:
    """The largest image whose arena fits: tensors of windowed layers grow with its area."""
    if "RAM" not in now.lacking or now.ram.limit is None:
        return
    windows = [c for c in compiled.plan.calls if isinstance(c.lowering.walk, Window)]
    image = next((t for t in compiled.plan.graph.inputs if len(t.shape) == 4), None)
    room_for_arena = now.ram.limit - now.ram.stack
    if not windows or image is None or room_for_arena <= 0:
        return
    height, width = _sides(image)
    scale = 1024  # of a side, so that all stays in integers
    share = isqrt(room_for_arena * scale * scale // now.ram.arena)
    low, wide = (side * share // scale // SIDE_STEP * SIDE_STEP for side in (height, width))
    if 2 * low < height or 2 * wide < width:  # another network, not a smaller image
        return
    arena = -(-now.ram.arena * low * wide // (height * width))
    change = f"train it for an input of {low}x{wide} instead of {height}x{width}"
    yield _remedy(now, change, now.flash.total, arena + now.ram.stack)


def _sides(image: Tensor) -> tuple[int, int]:
    """Height and width: the input is NCHW as the model has it, or NHWC after the passes."""
    _, first, second, last = image.shape
    return (second, last) if first <= last else (first, second)


def _outside_the_chip(now: FitReport, room: Room) -> Iterator[Remedy]:
    """Constants and arena are where the firmware puts them."""
    board = room.board
    if board is None:
        return
    constants = now.flash.weights + now.flash.tables
    if "flash" in now.lacking and board.external_flash_bytes >= constants:
        change = f"define NN_WEIGHTS as a section in external flash ({constants:,} bytes of "
        change += f"{board.external_flash_bytes:,}); slower"
        yield _remedy(now, change, now.flash.total - constants, now.ram.total)
    if "RAM" in now.lacking and board.external_ram_bytes >= now.ram.arena:
        change = f"put the arena into external RAM ({now.ram.arena:,} bytes of "
        change += f"{board.external_ram_bytes:,}); slower"
        yield _remedy(now, change, now.flash.total, now.ram.stack)


def _other_boards(now: FitReport, room: Room) -> Iterator[Remedy]:
    """The smallest board that takes the network as it was planned: of its target, or any if it
    is none of a board's.
    """
    boards = [board for board in all_boards() if board.target == room.target] or all_boards()
    for board in boards:
        enough_flash = now.flash.total <= board.flash_bytes
        if enough_flash and now.ram.total <= board.ram_bytes:
            change = f"take {board.name} ({board.ram_bytes:,} RAM, {board.flash_bytes:,} flash)"
            enough = _remedy(now, change, now.flash.total, now.ram.total)
            yield replace(enough, fits=True)
            return


def _is_nearer(now: FitReport, flash_bytes: int, ram_bytes: int) -> bool:
    less_flash = "flash" in now.lacking and flash_bytes < now.flash.total
    return less_flash or ("RAM" in now.lacking and ram_bytes < now.ram.total)


def _remedy(
    now: FitReport,
    change: str,
    flash_bytes: int,
    ram_bytes: int,
    *,
    options: str = "",
    planned: bool = False,
) -> Remedy:
    flash_fits = now.flash.limit is None or flash_bytes <= now.flash.limit
    return Remedy(
        change=change,
        options=options,
        flash_bytes=flash_bytes,
        ram_bytes=ram_bytes,
        fits=flash_fits and (now.ram.limit is None or ram_bytes <= now.ram.limit),
        planned=planned,
    )
