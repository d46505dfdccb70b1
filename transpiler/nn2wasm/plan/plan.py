"""Graph → plan: kernels chosen, constants packed, memory laid out. All that codegen sees."""

from __future__ import annotations

from dataclasses import dataclass, field

from nn2wasm.errors import OverBudget
from nn2wasm.ir import Graph, Node, Tensor
from nn2wasm.ops.kernel import Choice, Lowering, Window
from nn2wasm.ops.registry import KernelOp, choose
from nn2wasm.ops.shape import is_alias
from nn2wasm.plan.memory import MemoryPlan, Storage, plan_offsets
from nn2wasm.target import Target

LARGEST_ARENA = 2**29


@dataclass(slots=True)
class Call:
    """A node with the kernel it got.

    Attributes:
        index: position in the schedule, from 0.
        node: what is computed.
        choice: the kernel, and those refused before it.
        lowering: what the kernel's template and the planner need.
        alignment: of its scratch, in bytes.
        backward: rows are walked from the last to the first, over an input that dies here.
    """

    index: int
    node: Node
    choice: Choice
    lowering: Lowering
    alignment: int = 4
    backward: bool = False

    @property
    def arguments(self) -> list[Tensor]:
        """Tensors that are parameters of the kernel, in their order."""
        return [self.node.input(index) for index in self.lowering.arguments]

    @property
    def fill_row_bytes(self) -> int:
        """Size of the row that stands in for rows outside the image, 0 where none does."""
        walk = self.lowering.walk
        if not isinstance(walk, Window) or not walk.is_padded:
            return 0
        return walk.in_row_elements * self.arguments[0].dtype.bytes

    @property
    def scratch_offset(self) -> int:
        """Where the kernel's own scratch begins behind the fill row, from the scratch's begin."""
        return -(-self.fill_row_bytes // self.alignment) * self.alignment

    @property
    def scratch_bytes(self) -> int:
        """The fill row and the kernel's own scratch."""
        if not self.lowering.scratch_bytes:
            return self.fill_row_bytes
        return self.scratch_offset + self.lowering.scratch_bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Layers executed together. One layer each: whole tensors between them."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is needed to write the C.

    Attributes:
        graph: the lowered graph.
        target: what it is built for.
        segments: in execution order.
        memory: offsets in the arena.
    """

    graph: Graph
    target: Target
    segments: tuple[Segment, ...]
    memory: MemoryPlan = field(repr=False)

    @property
    def calls(self) -> list[Call]:
        return [call for segment in self.segments for call in segment.calls]

    @property
    def macs(self) -> int:
        return sum(call.node.op.macs(call.node) for call in self.calls)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants as packed for the kernels, each counted once."""
        distinct = {
            (array.dtype.str, array.tobytes())
            for call in self.calls
            for array in call.lowering.constants.values()
        } | {
            (tensor.value.dtype.str, tensor.value.tobytes())
            for call in self.calls
            for tensor in call.arguments
            if tensor.is_constant
        }
        return sum(len(data) for _, data in distinct)


def make_plan(graph: Graph, target: Target) -> Plan:
    """Chooses kernels and lays out memory for a lowered graph.

    Raises:
        OverBudget: the arena would not fit any machine that this is for.
    """
    nodes = [node for node in graph.nodes if not is_alias(node)]
    calls = []
    for index, node in enumerate(nodes):
        choice = choose(node, target)
        op = node.op
        assert isinstance(op, KernelOp)
        lowering = op.lower(node, choice.kernel)
        calls.append(Call(index, node, choice, lowering, target.alignment))
    memory = _plan_memory(graph, calls, target.alignment)
    return Plan(graph, target, tuple(Segment((call,)) for call in calls), memory)


def _plan_memory(graph: Graph, calls: list[Call], alignment: int) -> MemoryPlan:
    holders = _storages(graph, calls, alignment)
    storages = list(dict.fromkeys(holders.values()))
    scratch: dict[int, Storage] = {}
    for call in calls:
        if call.scratch_bytes:
            scratch[call.index] = Storage(call.scratch_bytes, call.index, call.index, alignment)
    everything = [*storages, *scratch.values()]
    arena_bytes, floor_bytes = plan_offsets(everything, len(calls)) if everything else (0, 0)
    if arena_bytes > LARGEST_ARENA:
        raise OverBudget(
            f"the network's tensors need an arena of {arena_bytes} bytes",
            facts=[("limit", f"{LARGEST_ARENA} bytes")],
        )
    for call in calls:
        call.backward = _walks_backward(holders[call.node.output])
    offsets = {tensor: storage.offset for tensor, storage in holders.items()}
    places = {index: storage.offset for index, storage in scratch.items()}
    return MemoryPlan(offsets, places, arena_bytes, floor_bytes, tuple(everything))


def _storages(graph: Graph, calls: list[Call], alignment: int) -> dict[Tensor, Storage]:
    """The storage of each tensor that is not constant; views share one."""
    holders: dict[Tensor, Storage] = {}
    end = len(calls)
    for tensor in graph.inputs:
        holders[tensor] = _storage(tensor, -1, alignment)
    step = -1
    for node in graph.nodes:
        if is_alias(node):
            holders[node.output] = holders[node.input(0)]
            holders[node.output].tensors.append(node.output)
            continue
        step += 1
        for tensor in node.activations:
            holders[tensor].end = step
        for tensor in node.outputs:
            holders[tensor] = _storage(tensor, step, alignment)
    for tensor in graph.outputs:
        holders[tensor].end = end
    for call in calls:
        _allow_overlap(call, holders)
    return holders


def _walks_backward(output: Storage) -> bool:
    """Whether the output lies over an input in the way that a backward walk bears, and no other."""
    return any(
        dying.offset <= output.offset + output.bytes - 1
        and output.offset <= dying.offset + dying.bytes - 1
        and output.offset + output.leads[dying] > dying.offset
        for dying in output.trails
    )


def _storage(tensor: Tensor, step: int, alignment: int) -> Storage:
    alignment = max(alignment, tensor.dtype.bytes)
    return Storage(max(tensor.bytes, 1), step, step, alignment, [tensor])


def _allow_overlap(call: Call, holders: dict[Tensor, Storage]) -> None:
    """Lets the call's output overlap arguments that die here, where the kernel can bear it."""
    output = holders[call.node.output]
    for argument in dict.fromkeys(call.arguments):
        if argument.is_constant:
            continue
        storage = holders[argument]
        indices = [
            index
            for index in call.lowering.arguments
            if call.node.input(index).data is None and holders[call.node.input(index)] is storage
        ]
        leads = [call.lowering.lead.get(index) for index in indices]
        if storage.end == call.index and storage.begin < call.index and None not in leads:
            output.leads[storage] = max(lead for lead in leads if lead is not None)
            trails = [call.lowering.trail.get(index) for index in indices]
            if None not in trails:
                output.trails[storage] = max(trail for trail in trails if trail is not None)
