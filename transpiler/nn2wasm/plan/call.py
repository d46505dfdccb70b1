"""A node with the kernel it got: what a layer of the network is, once it is lowered."""

from __future__ import annotations

from dataclasses import dataclass

from nn2wasm.ir import Array, Node, Tensor
from nn2wasm.ops.kernel import Choice, Lowering, Window
from nn2wasm.ops.registry import KernelOp, choose
from nn2wasm.plan.tile import ALIGNMENT, make_tile
from nn2wasm.target import RESIDENT, Target


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
        backward: rows are walked from the last to the first, over an input that dies here.
    """

    index: int
    node: Node
    choice: Choice
    lowering: Lowering
    alignment: int = 4
    tiled: bool = False
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
    def constants(self) -> list[Array]:
        """Constants of the kernel, then arguments that are constant."""
        arguments = [tensor.value for tensor in self.arguments if tensor.is_constant]
        return [*self.lowering.constants.values(), *arguments]

    @property
    def tile_offset(self) -> int:
        """Where the tile of constants begins, from the scratch's begin."""
        end = self.fill_row_bytes
        if self.lowering.scratch_bytes:
            end = self.scratch_offset + self.lowering.scratch_bytes
        alignment = max(self.alignment, ALIGNMENT)
        return -(-end // alignment) * alignment

    @property
    def scratch_bytes(self) -> int:
        """The fill row, the kernel's own scratch, the tile of constants."""
        if self.tiled and self.constants:
            return self.tile_offset + len(make_tile(self.constants).data)
        if not self.lowering.scratch_bytes:
            return self.fill_row_bytes
        return self.scratch_offset + self.lowering.scratch_bytes


def make_call(index: int, node: Node, target: Target) -> Call:
    """Chooses a node's kernel and lowers it."""
    choice = choose(node, target)
    op = node.op
    assert isinstance(op, KernelOp)
    kernel = choice.kernel
    lowering = kernel.lower(node) if kernel.lower else op.lower(node, kernel)
    return Call(index, node, choice, lowering, target.alignment, target.weights != RESIDENT)
