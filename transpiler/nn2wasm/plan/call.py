"""A node with the kernel it got: what a layer of the network is, once it is lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from nn2wasm.ir import Array, Node, Tensor
from nn2wasm.ops.kernel import Choice, Kernel, Lowering, Window
from nn2wasm.ops.registry import KernelOp, choose
from nn2wasm.plan.encoded import Encoded, encode, encoded_input, marked
from nn2wasm.plan.tile import ALIGNMENT, make_tile, tile_offsets
from nn2wasm.target import RESIDENT, Target


@dataclass(frozen=True, slots=True)
class Parts:
    """A layer's outputs computed one part after the other, each with constants of its own.

    Where the size does not divide the outputs the last part begins early enough to be as large as
    the others; what it computes again are the same bytes.

    Attributes:
        calls: the kernel of each part, on the layer's whole input.
        size: outputs of a part; of each group, where there are groups.
        outputs: of the layer, or of a group.
        by_rows: all parts of a row, or of what a call makes, come before the next row, so that rows
            may overwrite rows of the input.
    """

    calls: tuple[Call, ...]
    size: int
    outputs: int
    by_rows: bool = False

    def first(self, part: int) -> int:
        """The first output of a part; of each group."""
        return min(part * self.size, self.outputs - self.size)

    @property
    def blocks(self) -> int:
        """Stretches of `size` outputs that a call of a part's kernel makes; they lie `outputs`
        apart in the layer's output.
        """
        call = self.calls[0]
        walk = call.lowering.walk
        if walk is None:
            return call.node.output.element_count // self.size
        rows = min(walk.call_rows, walk.out_rows) if isinstance(walk, Window) else 1
        return walk.out_row_elements // self.size * rows

    @property
    def scattered_bytes(self) -> int:
        """What a call makes before it is scattered; 0 where it is written where it belongs."""
        if self.blocks == 1:
            return 0
        return self.blocks * self.size * self.calls[0].node.output.dtype.bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A node with the kernel it got.

    Attributes:
        index: position in the schedule, from 0.
        node: what is computed.
        choice: the kernel, and those refused before it.
        lowering: what the kernel's template and the planner need.
        alignment: of its scratch, in bytes.
        tiled: its constants are copied into its scratch before it runs.
        encoded: constants that are decoded into its scratch before it runs, by their place among
            those that the kernel reads.
        backward: rows are walked from the last to the first, over an input that dies here.
        row_node: the node of a row that was lowered, where that is not the whole.
        part: position among the parts of a layer.
        parts: of its outputs, None where all constants are there at once.
    """

    index: int
    node: Node
    choice: Choice
    lowering: Lowering
    alignment: int = 4
    tiled: bool = False
    encoded: Mapping[int, Encoded] = field(default_factory=dict)
    backward: bool = False
    row_node: Node | None = None
    part: int = 0
    parts: Parts | None = None

    @property
    def kernels(self) -> tuple[Call, ...]:
        """The calls that run a kernel: itself, or its parts."""
        return self.parts.calls if self.parts else (self,)

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
        return self._aligned(self.fill_row_bytes)

    @property
    def _scratch_end(self) -> int:
        if not self.lowering.scratch_bytes:
            return self.fill_row_bytes
        return self.scratch_offset + self.lowering.scratch_bytes

    @property
    def scattered_offset(self) -> int:
        """Where a part's outputs wait to be scattered, from the scratch's begin."""
        return self._aligned(self._scratch_end)

    @property
    def packed(self) -> list[Array]:
        """What the kernel reads: its constants, then arguments that are constant."""
        arguments = [tensor.value for tensor in self.arguments if tensor.is_constant]
        return [*self.lowering.constants.values(), *arguments]

    @property
    def constants(self) -> list[Array]:
        """What is kept of that: floats as codes where they are encoded; those of all parts."""
        kept: list[Array] = []
        for call in self.kernels:
            for index, array in enumerate(call.packed):
                encoded = call.encoded.get(index)
                kept += encoded.arrays.values() if encoded else [array]
        return kept

    @property
    def constant_bytes(self) -> int:
        """Of all constants, as they are kept."""
        return sum(array.nbytes for array in self.constants)

    @property
    def stored(self) -> list[tuple[str, bytes]]:
        """Constants as they are kept, what is equal in several layers once: arrays with their type,
        or all tiles.
        """
        if not self.tiled:
            return [(array.dtype.str, array.tobytes()) for array in self.constants]
        tiles = b"".join(make_tile(call.packed) for call in self.kernels)
        return [("", tiles)] if tiles else []

    @property
    def has_tile(self) -> bool:
        """Whether constants are copied, or decoded, into its scratch."""
        return self.tiled or bool(self.encoded)

    @property
    def in_tile(self) -> list[Array]:
        """Constants of the kernel that are in the tile when it runs."""
        return [a for index, a in enumerate(self.packed) if self.tiled or index in self.encoded]

    @property
    def tile_bytes(self) -> int:
        """Of the tile of constants, the largest of all parts; 0 where they are resident."""
        if not self.has_tile:
            return 0
        return max(tile_offsets(call.in_tile)[-1] for call in self.kernels)

    @property
    def tile_offset(self) -> int:
        """Where the tile of constants begins, from the scratch's begin."""
        end = self._scratch_end
        if self.parts and self.parts.scattered_bytes:
            end = self.scattered_offset + self.parts.scattered_bytes
        alignment = max(self.alignment, ALIGNMENT)
        return -(-end // alignment) * alignment

    @property
    def scratch_bytes(self) -> int:
        """The fill row, the kernel's own scratch, outputs to be scattered, the tile."""
        tile = self.tile_bytes
        return self.tile_offset + tile if tile else self._scratch_end

    def _aligned(self, offset: int) -> int:
        return -(-offset // self.alignment) * self.alignment


def make_call(index: int, node: Node, target: Target) -> Call:
    """Chooses a node's kernel and lowers it."""
    choice = choose(node, target)
    lowering = _lowered(node, choice.kernel)
    call = Call(index, node, choice, lowering, target.alignment, target.weights != RESIDENT)
    return call if call.tiled else replace(call, encoded=_encoded(call))


def _lowered(node: Node, kernel: Kernel) -> Lowering:
    op = node.op
    assert isinstance(op, KernelOp)
    return kernel.lower(node) if kernel.lower else op.lower(node, kernel)


def _encoded(call: Call) -> dict[int, Encoded]:
    """Constants of a call that are kept in another form than the kernel reads."""
    index = encoded_input(call.node)
    encoding = None if index is None else call.node.input(index).encoding
    if index is None or encoding is None:
        return {}
    centred, blocks = (
        replace(call, node=node, lowering=_lowered(node, call.choice.kernel)).packed
        for node in (marked(call.node, index, blocks=of) for of in (False, True))
    )
    found = enumerate(map(partial(encode, encoding), call.packed, centred, blocks))
    return {place: encoded for place, encoded in found if encoded is not None}
