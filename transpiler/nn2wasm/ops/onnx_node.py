"""What an op sees of the ONNX node that it imports, and how it answers: by emitting nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np

from nn2wasm.errors import DynamicShape, InvalidModel, OverBudget, UnsupportedFeature, quote
from nn2wasm.ir import Array, Graph, Node, Op, QuantParams, Shape, Tensor
from nn2wasm.ops.folding import encoding_of, fold


@dataclass(frozen=True, slots=True)
class TensorList:
    """An ONNX sequence, whose tensors are known at compile time, by number and type."""

    items: tuple[Tensor, ...]


Value: TypeAlias = Tensor | TensorList
"""What a name of a model may stand for."""
Body: TypeAlias = Callable[[str, Sequence[Value], str], list[Value]]


class OnnxNode:
    """An ONNX node with its inputs resolved to tensors.

    Attributes:
        graph: the graph under construction.
        domain: operator domain, empty for ONNX's own.
        op_type: operator type.
        name: the node's name, never empty.
        opset: version of its domain.
        inputs: None for an optional input left out, and for a sequence.
        output_names: names that later nodes read, empty for an output left out.
        fold_elements: largest constant that may be made.
        tensor_elements: largest tensor that may be computed.
        results: set by `emit` and `alias`: a tensor, or a sequence, for each output.
    """

    def __init__(
        self,
        graph: Graph,
        domain: str,
        op_type: str,
        name: str,
        opset: int,
        attributes: Mapping[str, object],
        inputs: Sequence[Value | None],
        output_names: Sequence[str],
        fold_elements: int,
        tensor_elements: int,
        producers: dict[Tensor, Node],
        body: Body | None = None,
    ) -> None:
        self.graph = graph
        self.domain = domain
        self.op_type = op_type
        self.name = name
        self.opset = opset
        self.inputs = [value if isinstance(value, Tensor) else None for value in inputs]
        self.sequences = {i: v for i, v in enumerate(inputs) if isinstance(v, TensorList)}
        self.output_names = list(output_names)
        self.fold_elements = fold_elements
        self.tensor_elements = tensor_elements
        self._producers = producers
        self._body = body
        self.results: list[Value | None] = [None] * len(output_names)
        self._attributes = attributes

    # -- errors --------------------------------------------------------------------------------

    def refuse_sequences(self) -> None:
        """Raises InvalidModel where an input is a sequence."""
        for index in self.sequences:
            raise self.invalid(f"input {index} is a sequence of tensors")

    def describe(self) -> str:
        return f"{self.op_type} {quote(self.name)}"

    def facts(self) -> list[tuple[str, str]]:
        """A line for each input: its name, type and shape."""
        return [
            (
                f"input {index}",
                f"{quote(tensor.name)} {tensor.dtype.value} {list(tensor.shape)}",
            )
            for index, tensor in enumerate(self.inputs)
            if tensor is not None
        ]

    def invalid(self, what: str, hint: str = "") -> InvalidModel:
        return InvalidModel(f"{self.describe()}: {what}", facts=self.facts(), hint=hint)

    def unsupported(self, what: str, hint: str = "") -> UnsupportedFeature:
        return UnsupportedFeature(f"{self.describe()}: {what}", facts=self.facts(), hint=hint)

    # -- reading -------------------------------------------------------------------------------

    def optional(self, index: int) -> Tensor | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def input(self, index: int) -> Tensor:
        tensor = self.optional(index)
        if tensor is None:
            raise self.invalid(f"input {index} is missing")
        return tensor

    def sequence(self, index: int) -> TensorList:
        found = self.sequences.get(index)
        if found is None:
            raise self.invalid(f"input {index} is not a sequence")
        return found

    def is_given(self, index: int) -> bool:
        """Whether there is such an input, a tensor or a sequence."""
        return index in self.sequences or self.optional(index) is not None

    def any_input(self, index: int) -> Value:
        """A tensor or a sequence."""
        return self.sequences.get(index) or self.input(index)

    def constant(self, index: int, what: str) -> Array:
        """Values of an input that must be known at compile time."""
        tensor = self.input(index)
        if tensor.data is None:
            inputs = self._inputs_behind(tensor)
            fixing = " ".join(f"--fix {name}=…" for name in inputs[:3])
            raise DynamicShape(
                f"{self.describe()}: its {what} is computed at run time",
                facts=[(what, quote(tensor.name))],
                hint=f"give it a value, {fixing}; or export the model with constant shapes",
                inputs=inputs,
            )
        return tensor.data

    def _inputs_behind(self, tensor: Tensor) -> tuple[str, ...]:
        """Names of the network's inputs that a value is computed from."""
        seen, waiting = {tensor}, [tensor]
        while waiting:
            producer = self.producer(waiting.pop())
            fresh = set(producer.activations) - seen if producer else set()
            seen |= fresh
            waiting += fresh
        return tuple(each.name for each in self.graph.inputs if each in seen)

    def is_static(self, tensor: Tensor) -> bool:
        """A constant, or what an operation that is not folded at once makes of constants."""
        producer = self.producer(tensor)
        if producer is None:
            return tensor.is_constant
        return not producer.op.eager and all(t.is_constant for t in producer.present_inputs)

    def static(self, index: int, what: str) -> Array:
        """Values of an input that is static."""
        producer = self.producer(self.input(index))
        if producer is not None and not producer.op.eager:
            arrays = fold(producer.op, producer.inputs, self.fold_elements, what, lazy=True)
            if arrays is not None:
                return arrays[0]
        return self.constant(index, what)

    def stored(self, tensor: Tensor) -> Tensor | None:
        """The constant that DequantizeLinear makes the tensor of, with the meaning of its integers;
        None where the tensor is anything else.
        """
        producer = self.producer(tensor)
        if producer is None or producer.op.eager or len(producer.inputs) != 1:
            return None
        integers = producer.input(0)
        return integers if integers.is_constant and integers.quant is not None else None

    def producer(self, tensor: Tensor) -> Node | None:
        """The node that computes a tensor, None for constants and inputs."""
        return self._producers.get(tensor)

    def give_meaning(self, tensor: Tensor, quant: QuantParams) -> None:
        """Says what a tensor's integers mean, and those that were only moved to make it."""
        pending = [tensor]
        while pending:
            one = pending.pop()
            if one.quant is not None or one.is_constant:
                continue
            one.quant = quant
            producer = self.producer(one)
            if producer is not None and producer.op.moves:
                pending += [t for t in producer.present_inputs if t.dtype is one.dtype]

    def ints(self, index: int, what: str) -> tuple[int, ...] | None:
        """Integers of a constant input, None where it is left out."""
        if self.optional(index) is None:
            return None
        values = self.constant(index, what)
        if values.dtype.kind not in "iu" or values.ndim > 1:
            raise self.invalid(f"its {what} must be a list of integers")
        return tuple(int(v) for v in np.atleast_1d(values))

    def has(self, name: str) -> bool:
        return name in self._attributes

    def attr_int(self, name: str, default: int) -> int:
        return int(self._typed(name, default, int))

    def attr_float(self, name: str, default: float) -> float:
        return float(self._typed(name, default, (float, int)))

    def attr_str(self, name: str, default: str) -> str:
        value = self._typed(name, default, (str, bytes))
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def attr_ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        value = self._attributes.get(name)
        if value is None:
            return None if default is None else tuple(default)
        if isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
            return tuple(value)
        raise self.invalid(f"attribute {name} must be a list of integers")

    def attr_floats(self, name: str) -> tuple[float, ...] | None:
        value = self._attributes.get(name)
        if value is None:
            return None
        if isinstance(value, tuple | list) and all(isinstance(v, float | int) for v in value):
            return tuple(float(v) for v in value)
        raise self.invalid(f"attribute {name} must be a list of numbers")

    def attr_strings(self, name: str) -> tuple[str, ...] | None:
        value = self._attributes.get(name)
        if value is None:
            return None
        if isinstance(value, tuple | list) and all(isinstance(v, str) for v in value):
            return tuple(value)
        raise self.invalid(f"attribute {name} must be a list of strings")

    def attr_tensor(self, name: str, *, strings: bool = False) -> Array | None:
        value = self._attributes.get(name)
        if isinstance(value, np.ndarray) and value.dtype == object and not strings:
            raise self.invalid(f"attribute {name} holds strings")
        if value is None or isinstance(value, np.ndarray):
            return value
        raise self.invalid(f"attribute {name} must be a tensor")

    def _typed(self, name: str, default: Any, kinds: Any) -> Any:
        value = self._attributes.get(name, default)
        if not isinstance(value, kinds):
            raise self.invalid(f"attribute {name} has the wrong type")
        return value

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= value < max(rank, 1):
            raise self.invalid(f"axis {value} is outside a tensor of rank {rank}")
        return value % rank if rank else 0

    def axes(self, values: Sequence[int], rank: int) -> tuple[int, ...]:
        axes = tuple(self.axis(value, rank) for value in values)
        if len(set(axes)) != len(axes):
            raise self.invalid(f"axes {list(values)} name an axis twice")
        return axes

    # -- answering -----------------------------------------------------------------------------

    def add(
        self,
        op: Op,
        inputs: Sequence[Tensor | None],
        *,
        suffix: str = "",
        quant: QuantParams | None = None,
    ) -> Tensor:
        """A node on the way to the result, folded if its inputs are constant; its first output."""
        return self._make(op, inputs, [quant], suffix)[0]

    def add_all(self, op: Op, inputs: Sequence[Tensor | None], *, suffix: str = "") -> list[Tensor]:
        """The same, all its outputs."""
        return self._make(op, inputs, [], suffix)

    def emit(
        self, op: Op, inputs: Sequence[Tensor | None], *, quant: QuantParams | None = None
    ) -> None:
        """The node that gives this ONNX node's outputs."""
        self.alias(*self._make(op, inputs, [quant], ""))

    def forget(self) -> None:
        """Takes back the answer."""
        self.results = [None] * len(self.output_names)

    def alias(self, *tensors: Value) -> None:
        """These tensors, or sequences, are the outputs."""
        for index, tensor in enumerate(tensors[: len(self.results)]):
            self.results[index] = tensor

    def value(self, data: Array, suffix: str = "value") -> Tensor:
        """A constant of this node's own making."""
        return self.graph.constant(f"{self.name}.{suffix}", data)

    def call(self, body: str, inputs: Sequence[Value], step: str = "") -> list[Value]:
        """The outputs of the graph in an attribute for these inputs; its nodes are added.

        Args:
            body: the attribute.
            inputs: one for each of the graph's.
            step: which of several runs of that graph this is.
        """
        if self._body is None:
            raise self.unsupported("a graph inside a node")
        return self._body(body, inputs, step)

    def _make(
        self,
        op: Op,
        inputs: Sequence[Tensor | None],
        quants: Sequence[QuantParams | None],
        suffix: str,
    ) -> list[Tensor]:
        stem = f"{self.name}.{suffix}" if suffix else self.name
        try:
            folded = fold(op, inputs, self.fold_elements, self.describe())
            kinds = op.infer(inputs) if folded is None else []
        except ValueError as error:  # numpy's: shapes that do not broadcast, or have other elements
            raise self.invalid(f"its operands do not fit each other ({op.kind})") from error
        labels = self._moved_labels(op, inputs)
        if folded is not None:
            constants = [
                self.graph.constant(f"{stem}_folded", data, quant)
                for data, quant in zip(folded, [*quants, *[None] * len(folded)], strict=False)
            ]
            for tensor in constants:
                tensor.encoding = encoding_of(op, inputs, folded)
                tensor.labels = labels
                tensor.bits = _moved_bits(op, inputs)
            return constants
        if all(0 in kind.shape for kind in kinds):
            return [
                self.graph.constant(f"{stem}_empty", np.zeros(kind.shape, kind.dtype.numpy))
                for kind in kinds
            ]
        node = self.graph.make(op, inputs, name=stem, origin=(self.name,), quants=quants)
        if any(tensor.is_empty for tensor in (*node.present_inputs, *node.outputs)):
            raise self.unsupported("tensors without elements beside others")
        for tensor in node.outputs:
            self.check_size(tensor.shape)
            tensor.labels = labels
            tensor.bits = _moved_bits(op, inputs)
            self._producers[tensor] = node
        self.graph.nodes.append(node)
        if op.moves and len(node.outputs) >= 1 and node.inputs and node.inputs[0] is not None:
            for tensor in node.outputs:
                tensor.quant = tensor.quant or moved_quant(node)
        return node.outputs

    def check_size(self, shape: Shape) -> None:
        """Raises OverBudget where a result of that shape would have too many elements."""
        count = prod(shape)
        if count > self.tensor_elements:
            raise OverBudget(
                f"{self.describe()}: a result of {count} elements",
                facts=[("shape", str(list(shape))), ("limit", f"{self.tensor_elements} elements")],
            )

    def _moved_labels(self, op: Op, inputs: Sequence[Tensor | None]) -> tuple[str, ...]:
        """Strings that only move stay strings."""
        found = {t.labels for t in inputs if t is not None and t.holds_strings}
        if not op.moves or not found:
            return ()
        if len(found) > 1:
            raise self.unsupported("strings of different constants together")
        return found.pop()


def _moved_bits(op: Op, inputs: Sequence[Tensor | None]) -> int:
    first = inputs[0] if inputs else None
    return first.bits if op.moves and first is not None else 0


def moved_quant(node: Node) -> QuantParams | None:
    """Elements that only move keep their meaning, where all inputs share one per-tensor pair."""
    quants = [tensor.quant for tensor in node.present_inputs if tensor.dtype is node.output.dtype]
    first = quants[0] if quants else None
    if first is None or first.axis is not None or not all(first.same_as(q) for q in quants):
        return None
    return first
