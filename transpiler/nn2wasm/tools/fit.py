"""Whether a model fits a board, what it would take there, and what would make it fit.

Nothing is compiled: the plan says what constants and tensors take, exactly; code, stack and
instructions are estimates (`nn2wasm.estimate`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nn2wasm.api import Compiled, ModelSource, Options, plan_model
from nn2wasm.estimate import Estimate, estimate
from nn2wasm.estimate.budget import heaviest
from nn2wasm.plan import Call, find_peak
from nn2wasm.target import find_target
from nn2wasm.tools.boards import Board, all_boards, cycles_per_instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a network is to fit into.

    Attributes:
        target: what it is compiled for.
        flash_bytes: for constants and code; None: as much as it takes.
        ram_bytes: for arena and stack, in one block.
        clock_hz: of the core.
        board: the board that this is.
    """

    target: str
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    clock_hz: int | None = None
    board: Board | None = None

    @staticmethod
    def of(board: Board, target: str | None = None) -> Room:
        """All of a board's flash and its largest block of RAM."""
        return Room(
            target=target or board.target,
            flash_bytes=board.flash_bytes,
            ram_bytes=board.ram_bytes,
            clock_hz=board.clock_hz,
            board=board,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashUse:
    """Bytes of flash: constants are exact, code and library are estimates."""

    weights: int
    tables: int
    code: int
    library: int
    total: int
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RamUse:
    """Bytes of RAM: the arena is exact, inputs and outputs lie in it; the stack is an estimate."""

    arena: int
    inputs: int
    outputs: int
    stack: int
    total: int
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShare:
    """A layer that takes most of something.

    Attributes:
        index: position in the schedule.
        op: the operation.
        node: the first ONNX node that it stands for.
        amount: bytes or instructions.
        tensors: name and bytes of what it keeps in the arena, largest first.
    """

    index: int
    op: str
    node: str
    amount: int
    tensors: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """What a network takes of a core, and whether that is there.

    Attributes:
        model: name.
        sha256: of the model's file.
        board: name of the board, empty where sizes were stated.
        chip: of the board.
        target: what was planned for.
        optimize: what it is made for.
        macs: multiply-accumulates of a run.
        flash: where its flash goes.
        flash_error: the largest error of such estimates on networks, a share of 1.
        ram: where its RAM goes.
        instructions: estimate for one run.
        instruction_error: as `flash_error`.
        measured_as: the core that estimates are from.
        clock_hz: of the core.
        cycles_per_instruction: what the time assumes.
        seconds: estimate for one run; None where no clock is known.
        fits: it does.
        close: flash is nearer to its limit than the error of the estimate.
        fullest: the layer at which the arena is fullest.
        heaviest: the layer with most constants.
        slowest: the layer with most instructions.
        unmeasured: kernels whose costs were taken from similar ones.
    """

    model: str
    sha256: str
    board: str
    chip: str
    target: str
    optimize: str
    macs: int
    flash: FlashUse
    flash_error: float
    ram: RamUse
    instructions: int
    instruction_error: float
    measured_as: str
    clock_hz: int | None
    cycles_per_instruction: float
    seconds: float | None
    fits: bool
    close: bool
    fullest: LayerShare | None
    heaviest: LayerShare | None
    slowest: LayerShare | None
    unmeasured: tuple[str, ...]

    @property
    def lacking(self) -> tuple[str, ...]:
        """What there is too little of: "flash", "RAM"."""
        return tuple(
            name
            for name, use in (("flash", self.flash), ("RAM", self.ram))
            if use.limit is not None and use.total > use.limit
        )


def fit_model(model: ModelSource, room: Board | Room, options: Options | None = None) -> FitReport:
    """Plans the model for a board; no compiler is needed.

    Raises:
        TargetError: there are no figures for the target.
        Nn2wasmError: the model cannot be compiled; the subclass says why.
    """
    room = Room.of(room) if isinstance(room, Board) else room
    return report(plan_model(model, find_target(room.target), options), room)


def fit_boards(model: ModelSource, options: Options | None = None) -> list[FitReport]:
    """The same for all boards, in the order of the table; planned once for each target."""
    plans: dict[str, tuple[Compiled, Estimate]] = {}
    for target in dict.fromkeys(board.target for board in all_boards()):
        compiled = plan_model(model, find_target(target), options)
        plans[target] = (compiled, estimate(compiled.plan))
    return [
        report(plans[board.target][0], Room.of(board), plans[board.target][1])
        for board in all_boards()
    ]


def report(compiled: Compiled, room: Room, costs: Estimate | None = None) -> FitReport:
    """What a plan takes of the room.

    Args:
        compiled: the plan.
        room: what it is to fit into.
        costs: the plan's estimate, where it is known already.
    """
    plan = compiled.plan
    costs = costs or estimate(plan)
    flash, ram = _flash(costs, room), _ram(compiled, costs, room)
    cycles = cycles_per_instruction(room.board.target if room.board else room.target)
    seconds = costs.instructions * cycles / room.clock_hz if room.clock_hz else None
    code_error = round(costs.flash_error * flash.total)
    result = FitReport(
        model=compiled.name,
        sha256=compiled.sha256,
        board=room.board.name if room.board else "",
        chip=room.board.chip if room.board else "",
        target=plan.target.name,
        optimize=plan.target.optimized_for,
        macs=plan.macs,
        flash=flash,
        flash_error=costs.flash_error,
        ram=ram,
        instructions=costs.instructions,
        instruction_error=costs.instruction_error,
        measured_as=costs.measured_as,
        clock_hz=room.clock_hz,
        cycles_per_instruction=cycles,
        seconds=seconds,
        fits=True,
        close=flash.limit is not None and abs(flash.limit - flash.total) <= code_error,
        fullest=_fullest(compiled),
        heaviest=_heaviest(compiled),
        slowest=_slowest(compiled, costs),
        unmeasured=costs.unmeasured,
    )
    return replace(result, fits=not result.lacking)


def _flash(costs: Estimate, room: Room) -> FlashUse:
    return FlashUse(
        weights=costs.weight_bytes,
        tables=costs.table_bytes,
        code=costs.code_bytes,
        library=costs.library_bytes,
        total=costs.flash_bytes,
        limit=room.flash_bytes,
    )


def _ram(compiled: Compiled, costs: Estimate, room: Room) -> RamUse:
    plan = compiled.plan
    return RamUse(
        arena=plan.memory.arena_bytes,
        inputs=sum(tensor.bytes for tensor in plan.graph.inputs),
        outputs=sum(tensor.bytes for tensor in plan.graph.outputs),
        stack=costs.stack_bytes,
        total=plan.memory.arena_bytes + costs.stack_bytes,
        limit=room.ram_bytes,
    )


def _share(call: Call, amount: int, tensors: tuple[tuple[str, int], ...] = ()) -> LayerShare:
    node = call.node
    name = node.origin[0] if node.origin else node.name
    return LayerShare(index=call.index, op=node.op.kind, node=name, amount=amount, tensors=tensors)


def _fullest(compiled: Compiled) -> LayerShare | None:
    peak = find_peak(compiled.plan)
    if peak is None:
        return None
    held = tuple(
        (storage.tensors[0].name if storage.tensors else "", storage.bytes)
        for storage in peak.storages
    )
    return _share(peak.call, peak.bytes, held)


def _heaviest(compiled: Compiled) -> LayerShare | None:
    if not compiled.plan.calls:
        return None
    call = heaviest(compiled.plan)
    return _share(call, call.constant_bytes)


def _slowest(compiled: Compiled, costs: Estimate) -> LayerShare | None:
    pairs = zip(compiled.plan.calls, costs.layers, strict=True)
    slowest = max(pairs, key=lambda pair: (pair[1], -pair[0].index), default=None)
    return None if slowest is None else _share(*slowest)
