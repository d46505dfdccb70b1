"""What every operation must be able to say about itself; the families are in `nn2wasm.ops`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nn2wasm.ir.dtype import DType
from nn2wasm.ir.tensor import Array, Shape

if TYPE_CHECKING:
    from nn2wasm.ir.encoding import Encoding
    from nn2wasm.ir.graph import Node
    from nn2wasm.ir.tensor import Tensor


class TensorType(NamedTuple):
    """Element type and shape of an output."""

    dtype: DType
    shape: Shape


class Op:
    """An operation with normalised attributes; subclasses are frozen dataclasses.

    Class attributes:
        eager: may be evaluated at once where all inputs are constant. False for operations
            whose constant inputs mean more than their values (DequantizeLinear of weights).
        moves: only moves elements or selects among them: its integer form is the same
            operation on integers of one scale.
        elementwise: output element i depends on element i of each (broadcast) input alone.
        clamps: has fields lo and hi, real bounds of its result.
        quantizable: on tensors of integers with a meaning it stands for DequantizeLinear, itself,
            QuantizeLinear.
    """

    eager: ClassVar[bool] = True
    moves: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
    clamps: ClassVar[bool] = False
    quantizable: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """The operation's name in reports and comments."""
        return type(self).__name__

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        """Types of the outputs; raises InvalidModel or UnsupportedFeature where there are none."""
        raise NotImplementedError

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        """The outputs for constant inputs, None where this operation is not folded."""
        return None

    def encoding(self, inputs: Sequence[Tensor | None]) -> Encoding | None:
        """How its first output, where that is a constant of floats, may be kept."""
        return None

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of one inference."""
        return 0

    def signed(self, node: Node) -> Op | None:
        """The operation where its u8 tensors become s8, 128 lower, and its u16 tensors s16; None
        where it reads plain integers. `node` still has the unsigned ones.
        """
        return self if self.moves or self.quantizable else None

    def computes(self, dtype: DType) -> bool:
        """Whether it runs on integers of that type, with their meaning or without."""
        return True

    def without(self, unread: frozenset[int]) -> Op | None:
        """The operation that does not compute the outputs at these positions, None where there is
        none.
        """
        return None

    def stacked(self, node: Node, count: int) -> Op | None:
        """The operation for `count` of its inputs, stacked along a new first axis, where some may
        be the same for all and have no such axis; None where there is none.

        The outputs are stacked alike. Inputs are broadcast as far as those of `node` were.
        """
        return self if self.elementwise else None

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        """The operation for inputs whose axes were permuted by `perm`, None where there is none.

        The outputs' axes are permuted alike.
        """
        return None
