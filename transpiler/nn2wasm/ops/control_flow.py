"""Branches and loops, resolved at compile time: a body becomes as many nodes as it runs.

ONNX If-1.., Loop-1.., Scan-8... Of a branch that is chosen at run time both sides are computed,
and one of the results is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.choice import Select
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.onnx_node import OnnxNode, TensorList, Value
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice
from nn2wasm.ops.stacking import from_front, stack_steps, to_front

ENDLESS = 2**63 - 1
"""The trip count of a loop without one."""


class If(ImportOp):
    onnx_types = ("If",)
    reads_all = True
    takes_sequences = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        condition = node.input(0)
        if condition.dtype is not DType.BOOL or condition.element_count != 1:
            raise node.invalid("its condition is not one truth value")
        if condition.data is not None:
            branch = "then_branch" if condition.data.any() else "else_branch"
            _answer(node, node.call(branch, []))
            return
        pairs = [node.call(branch, [], branch[:4]) for branch in ("then_branch", "else_branch")]
        if len(pairs[0]) != len(pairs[1]):
            raise node.invalid("its branches differ in the number of outputs")
        scalar = node.add(Reshape(()), [condition], suffix="condition")
        _answer(node, [_chosen(node, scalar, a, b) for a, b in zip(*pairs, strict=True)])


def _chosen(node: OnnxNode, condition: Tensor, a: Value, b: Value) -> Value:
    if a is b:
        return a
    if isinstance(a, TensorList) or isinstance(b, TensorList):
        raise node.unsupported("a condition computed at run time, and branches that give sequences")
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        raise node.unsupported(
            f"a condition computed at run time, and branches that give {a.dtype.value}"
            f"{list(a.shape)} or {b.dtype.value}{list(b.shape)}"
        )
    return node.add(Select(), [condition, a, b], suffix="chosen")


class Loop(ImportOp):
    """Runs while its condition, known at compile time, is true."""

    onnx_types = ("Loop",)
    reads_all = True
    takes_sequences = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        trips, goes_on = _trip_count(node), _condition(node)
        carried = [node.any_input(index) for index in range(2, len(node.inputs))]
        scans: list[list[Value]] = [[] for _ in range(len(node.output_names) - len(carried))]
        step = 0
        while step < trips and goes_on:
            number = node.value(np.asarray(step, np.int64), "step")
            flag = node.value(np.asarray(True), "condition")
            results = node.call("body", [number, flag, *carried], str(step))
            if len(results) < 1 + len(node.output_names):
                raise node.invalid(f"its body has {len(results)} outputs")
            condition, carried = results[0], results[1 : 1 + len(carried)]
            if isinstance(condition, TensorList) or condition.data is None:
                raise node.unsupported(
                    "a condition computed at run time",
                    hint="how often a loop runs must be known when it is compiled",
                )
            goes_on = bool(condition.data.any())
            for scan, result in zip(scans, results[1 + len(carried) :], strict=False):
                scan.append(result)
            step += 1
        joined = [_joined(node, scan, 0) for scan in scans]
        _answer(node, [*carried, *joined])


def _trip_count(node: OnnxNode) -> int:
    if node.optional(0) is None:
        return ENDLESS
    trips = node.constant(0, "trip count")
    if trips.dtype != np.int64 or trips.size != 1:
        raise node.invalid("its trip count is not one s64")
    return int(trips.reshape(()))


def _condition(node: OnnxNode) -> bool:
    if node.optional(1) is None:
        return True
    condition = node.constant(1, "condition")
    if condition.dtype != np.bool_ or condition.size != 1:
        raise node.invalid("its condition is not one truth value")
    return bool(condition.any())


class Scan(ImportOp):
    """Runs once for each slice of its scan inputs."""

    onnx_types = ("Scan",)
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.opset < 9:
            _scan_batches(node)
            return
        count = _scan_input_count(node, len(node.inputs))
        states: list[Value] = [node.input(i) for i in range(len(node.inputs) - count)]
        inputs = [node.input(index) for index in range(len(states), len(node.inputs))]
        axes = node.attr_ints("scan_input_axes", (0,) * count) or ()
        backward = _directions(node, "scan_input_directions", count)
        outputs = len(node.output_names) - len(states)
        if outputs < 0 or len(axes) != count:
            raise node.invalid("its axes, inputs and outputs do not fit each other")
        axes = tuple(node.axis(a, len(x.shape)) for a, x in zip(axes, inputs, strict=True))
        stacks = _at_once(node, states, inputs, axes, backward, outputs)
        if stacks is not None:
            _answer(node, [*states, *stacks])
            return
        last, scans = _scan(node, states, inputs, axes, backward, outputs)
        _answer(node, [*last, *_stacked(node, scans)])


def _scan_input_count(node: OnnxNode, inputs: int) -> int:
    count = node.attr_int("num_scan_inputs", 0)
    if not 1 <= count <= inputs:
        raise node.invalid(f"num_scan_inputs is {count}, of {inputs} inputs")
    return count


def _directions(node: OnnxNode, attribute: str, count: int) -> tuple[bool, ...]:
    given = node.attr_ints(attribute, (0,) * count) or (0,) * count
    if len(given) != count or any(value not in (0, 1) for value in given):
        raise node.invalid(f"{attribute} {list(given)[:8]}, {count} of 0 or 1 are expected")
    return tuple(value == 1 for value in given)


def _scan(
    node: OnnxNode,
    states: Sequence[Value],
    inputs: Sequence[Tensor],
    axes: Sequence[int],
    backward: Sequence[bool],
    outputs: int,
    batch: str = "",
) -> tuple[list[Value], list[list[Value]]]:
    """The states behind the last step, and what each step gives for each scan output."""
    lengths = {x.shape[axis] if x.shape else 0 for x, axis in zip(inputs, axes, strict=True)}
    if len(lengths) != 1 or 0 in lengths:
        raise node.invalid(f"its scan inputs have {sorted(lengths)} slices")
    (length,) = lengths
    scans: list[list[Value]] = [[] for _ in range(outputs)]
    now = list(states)
    for step in range(length):
        slices = [
            _slice(node, x, axis, length - 1 - step if turned else step)
            for x, axis, turned in zip(inputs, axes, backward, strict=True)
        ]
        results = node.call("body", [*now, *slices], f"{batch}{step}")
        if len(results) != len(now) + outputs:
            raise node.invalid(
                f"its body has {len(results)} outputs, {len(now) + outputs} are expected"
            )
        now, given = results[: len(now)], results[len(now) :]
        for scan, result in zip(scans, given, strict=True):
            scan.append(result)
    return now, scans


def _at_once(
    node: OnnxNode,
    states: Sequence[Value],
    inputs: Sequence[Tensor],
    axes: Sequence[int],
    backward: Sequence[bool],
    outputs: int,
) -> list[Tensor] | None:
    """The scan outputs, where steps need not follow each other."""
    lengths = [x.shape[axis] for x, axis in zip(inputs, axes, strict=True) if x.shape]
    if len(lengths) < len(inputs) or min(lengths) < max(2, *lengths):
        return None
    fronts = [
        to_front(node, x, axis, backward=turned)
        for x, axis, turned in zip(inputs, axes, backward, strict=True)
    ]
    stacks = stack_steps(node, states, fronts, outputs)
    if stacks is None:
        return None
    places = zip(stacks, *_output_places(node, outputs), strict=True)
    return [from_front(node, stack, axis, backward=turned) for stack, axis, turned in places]


def _output_places(node: OnnxNode, outputs: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The axes of scan outputs that steps become, and whether the last step comes first."""
    axes = node.attr_ints("scan_output_axes", (0,) * outputs) or (0,) * outputs
    backward = _directions(node, "scan_output_directions", outputs)
    if len(axes) != outputs:
        raise node.invalid(f"{len(axes)} scan_output_axes, {outputs} are expected")
    return axes, backward


def _stacked(node: OnnxNode, scans: Sequence[Sequence[Value]]) -> list[Tensor]:
    """The scan outputs along their axes, in their directions."""
    axes, backward = _output_places(node, len(scans))
    return [
        _joined(node, scan[::-1] if turned else scan, axis)
        for scan, axis, turned in zip(scans, axes, backward, strict=True)
    ]


def _scan_batches(node: OnnxNode) -> None:
    """Scan-8: sequences side by side, the batch is axis 0 of all that is not inside the body."""
    count = _scan_input_count(node, len(node.inputs) - 1)
    operands = [node.input(index) for index in range(1, len(node.inputs))]
    states, inputs = operands[:-count], operands[-count:]
    if any(not x.shape for x in operands) or any(len(x.shape) < 2 for x in inputs):
        raise node.invalid("its operands have no batch, or no sequence")
    batch, length = inputs[0].shape[:2]
    if any(x.shape[0] != batch for x in operands):
        raise node.invalid("its operands differ in their batches")
    if node.optional(0) is not None and (node.constant(0, "sequence_lens") != length).any():
        raise node.unsupported("sequences of different lengths")
    backward = _directions(node, "directions", count)
    outputs = len(node.output_names) - len(states)
    if outputs < 0:
        raise node.invalid("it has fewer outputs than states")
    rows: list[list[Value]] = []
    for index in range(batch):
        first = [_slice(node, state, 0, index) for state in states]
        lines = [_slice(node, x, 0, index) for x in inputs]
        step = f"{index}." if batch > 1 else ""
        last, scans = _scan(node, first, lines, (0,) * count, backward, outputs, step)
        rows.append([*last, *(_joined(node, scan, 0) for scan in scans)])
    _answer(node, [_joined(node, list(column), 0) for column in zip(*rows, strict=True)])


# -- tensors ---------------------------------------------------------------------------------------


def _answer(node: OnnxNode, tensors: Sequence[Value]) -> None:
    if len(tensors) < len(node.output_names):
        raise node.invalid(f"it has {len(node.output_names)} outputs, its body {len(tensors)}")
    node.alias(*tensors)


def _slice(node: OnnxNode, x: Tensor, axis: int, index: int) -> Tensor:
    """One index of an axis, which goes."""
    starts = tuple(index if i == axis else 0 for i in range(len(x.shape)))
    sizes = tuple(1 if i == axis else size for i, size in enumerate(x.shape))
    shape = tuple(size for i, size in enumerate(x.shape) if i != axis)
    part = node.add(Slice(starts, sizes, (1,) * len(x.shape)), [x], suffix="slice")
    return node.add(Reshape(shape), [part], suffix="slice")


def _joined(node: OnnxNode, values: Sequence[Value], axis: int) -> Tensor:
    """Tensors side by side along a new axis."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        raise node.unsupported("a scan output without steps: it is empty")
    first = tensors[0]
    types = {(tensor.dtype, tensor.shape) for tensor in tensors}
    if len(types) > 1 or len(tensors) < len(values):
        raise node.unsupported("a scan output whose steps differ in type or shape")
    axis = node.axis(axis, len(first.shape) + 1)
    shape = (*first.shape[:axis], 1, *first.shape[axis:])
    parts = [node.add(Reshape(shape), [t], suffix="step") for t in tensors]
    return node.add(Concat(axis), parts, suffix="steps") if len(parts) > 1 else parts[0]
