"""The registry of operations: an op file declares its classes, nothing else lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from nn2wasm.errors import InternalError
from nn2wasm.ir import DType, Node, Op
from nn2wasm.ops.kernel import Choice, Kernel, Lowering
from nn2wasm.target import Target

if TYPE_CHECKING:
    from nn2wasm.ops.onnx_node import OnnxNode

_BY_ONNX_TYPE: dict[tuple[str, str], type[ImportOp]] = {}


class ImportOp(Op):
    """An op that ONNX nodes become.

    Class attributes:
        onnx_types: operator types, "com.microsoft.QGemm" where the domain is not ONNX's own.
        takes_sequences: inputs may be sequences of tensors.
        reads_strings: its inputs may be strings, which are indices into `Tensor.labels`.
        reads_doubles: it takes float64 at run time; for all others it is made float32.
        double_types: operator types of it that take float64 where nothing of that was computed in
            float32.
        reads_all: it takes elements of any type, as it does not compute with them, or knows how;
            for all others halves are made float32, and what is smaller is refused.
        reads_tiny: it takes floats of a byte and less.
        single_outputs: outputs that are float32 whatever the type of its inputs.
    """

    onnx_types: ClassVar[tuple[str, ...]] = ()
    takes_sequences: ClassVar[bool] = False
    reads_strings: ClassVar[bool] = False
    reads_doubles: ClassVar[bool] = False
    double_types: ClassVar[tuple[str, ...]] = ()
    reads_all: ClassVar[bool] = False
    reads_tiny: ClassVar[bool] = False
    single_outputs: ClassVar[tuple[int, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in cls.__dict__.get("onnx_types", ()):
            domain, _, op_type = name.rpartition(".")
            holder = _BY_ONNX_TYPE.get((domain, op_type))
            if holder is not None and holder.__qualname__ != cls.__qualname__:
                raise InternalError(f"{name} is claimed by {holder.__name__} and {cls.__name__}")
            _BY_ONNX_TYPE[domain, op_type] = cls

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        """Reads and validates an ONNX node and emits what it means.

        Raises:
            InvalidModel: the node contradicts ONNX or its own inputs.
            UnsupportedFeature: it is valid, but this attribute, type or rank is not compiled.
        """
        raise NotImplementedError


class KernelOp(ImportOp):
    """An op that runs: it has kernels.

    Class attributes:
        kernels: the table; the first row that the target offers and that fits wins. For each
            dtype that the op claims, the last row needs nothing and fits all.
    """

    kernels: ClassVar[tuple[Kernel, ...]] = ()

    def kernel_dtype(self, node: Node) -> str:
        """Element type that the kernel computes on."""
        return node.input(0).dtype.value

    def computes(self, dtype: DType) -> bool:
        return any(kernel.dtype in (dtype.value, "any") for kernel in self.kernels)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        raise NotImplementedError

    def outputs_apart(self, node: Node) -> int:
        """Outputs along the last axis that do without each other's constants, so that some of them
        are a node of their own; of each group where there are groups. 0: none do.
        """
        return 0

    def part(self, node: Node, first: int, end: int) -> Node:
        """The node of outputs `first` to `end` (of each group), which lie together in its own."""
        raise NotImplementedError


def choose(node: Node, target: Target) -> Choice:
    """The first kernel of the op's table that the target offers and that fits the node.

    Raises:
        InternalError: none does; every table ends in a row that fits all.
    """
    op = node.op
    assert isinstance(op, KernelOp)
    dtype = op.kernel_dtype(node)
    refused: list[tuple[str, str]] = []
    for kernel in op.kernels:
        if kernel.dtype != dtype:
            continue
        missing = kernel.needs - target.offers
        reason = (
            f"target {target.name} lacks {', '.join(sorted(missing))}"
            if missing
            else kernel.fits(node)
        )
        if not reason:
            return Choice(kernel, tuple(refused))
        refused.append((kernel.symbol, reason))
    raise InternalError(
        f"{node.describe()} has no kernel for {dtype} on {target.name}",
        facts=refused,
        hint="please report this model",
    )


def find_op(domain: str, op_type: str) -> type[ImportOp] | None:
    """The class that imports an ONNX operator, None where there is none."""
    return _BY_ONNX_TYPE.get((domain, op_type))


def registered() -> Iterator[tuple[str, type[ImportOp]]]:
    """ONNX operator names with their domain, sorted, and their classes."""
    for (domain, op_type), cls in sorted(_BY_ONNX_TYPE.items()):
        yield f"{domain}.{op_type}" if domain else op_type, cls
