"""Steps that do not depend on each other, computed at once: one more axis in front, the steps."""

from __future__ import annotations

from collections.abc import Sequence

from nn2wasm.errors import DynamicShape, UnsupportedFeature
from nn2wasm.ir import Node, Tensor
from nn2wasm.ops.movement import Expand, Transpose
from nn2wasm.ops.onnx_node import OnnxNode, Value
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice

LARGEST = 2**22
"""Elements of a tensor of all steps; beyond them steps are computed one by one."""


def stack_steps(
    node: OnnxNode, states: Sequence[Value], inputs: Sequence[Tensor], outputs: int
) -> list[Tensor] | None:
    """What the body gives for all slices of its inputs, if it leaves its states as they are.

    Args:
        node: with a graph in its attribute "body".
        states: inputs of the body in each step.
        inputs: the steps are their first axes.
        outputs: of each step.

    Returns:
        The outputs, steps first; None where steps must follow each other, or an operation of the
        body has no form for all of them. Then nothing is added to the graph.
    """
    count = inputs[0].shape[0]
    begin = len(node.graph.nodes)
    steps = [
        Tensor(node.graph.fresh(f"{node.name}.step"), x.dtype, x.shape[1:], x.quant) for x in inputs
    ]
    try:
        results = node.call("body", [*states, *steps], "steps")
    except (DynamicShape, UnsupportedFeature):
        results = []
    body = node.graph.nodes[begin:]
    del node.graph.nodes[begin:]
    after, values = results[: len(states)], results[len(states) :]
    apart = all(now is before for now, before in zip(after, states, strict=False))
    if not apart or len(values) != outputs or not all(isinstance(v, Tensor) for v in values):
        return None
    stacks = dict(zip(steps, inputs, strict=True))
    for each in body:
        if not any(tensor in stacks for tensor in each.present_inputs):
            node.graph.nodes.append(each)
        elif not _stack(node, each, stacks, count):
            del node.graph.nodes[begin:]
            return None
    tensors = [value for value in values if isinstance(value, Tensor)]
    return [stacks[t] if t in stacks else _repeated(node, t, count) for t in tensors]


def _stack(node: OnnxNode, each: Node, stacks: dict[Tensor, Tensor], count: int) -> bool:
    """Adds the node for all steps; false where there is none."""
    op = each.op.stacked(each, count)
    tensors = [*each.present_inputs, *each.outputs]
    if op is None or len(each.outputs) > 1 or any(tensor.quant for tensor in tensors):
        return False
    if count * each.output.element_count > LARGEST:
        return False
    rank = len(each.output.shape)
    operands = [
        _aligned(node, stacks[tensor], rank) if tensor in stacks else tensor
        for tensor in each.inputs
    ]
    stacks[each.output] = node.add(op, operands, suffix=each.name.rpartition("/")[2])
    return True


def _aligned(node: OnnxNode, stack: Tensor, rank: int) -> Tensor:
    """With axes of one element behind the steps: what a step has broadcasts as before."""
    missing = rank - (len(stack.shape) - 1)
    if missing <= 0:
        return stack
    shape = (stack.shape[0], *(1,) * missing, *stack.shape[1:])
    return node.add(Reshape(shape), [stack], suffix="aligned")


def _repeated(node: OnnxNode, tensor: Tensor, count: int) -> Tensor:
    """The same in every step."""
    one = node.add(Reshape((1, *tensor.shape)), [tensor], suffix="step")
    return node.add(Expand((count, *tensor.shape)), [one], suffix="steps")


def to_front(node: OnnxNode, x: Tensor, axis: int, *, backward: bool) -> Tensor:
    """With that axis first, read from its end where steps go backward."""
    x = reverse(node, x, axis) if backward else x
    if axis == 0:
        return x
    rest = [i for i in range(len(x.shape)) if i != axis]
    return node.add(Transpose((axis, *rest)), [x], suffix="steps")


def from_front(node: OnnxNode, x: Tensor, axis: int, *, backward: bool) -> Tensor:
    """With the first axis there, the last step first where steps are given backward."""
    axis = node.axis(axis, len(x.shape))
    perm = list(range(1, len(x.shape)))
    perm.insert(axis, 0)
    moved = node.add(Transpose(tuple(perm)), [x], suffix="placed") if axis else x
    return reverse(node, moved, axis) if backward else moved


def reverse(node: OnnxNode, x: Tensor, axis: int) -> Tensor:
    starts = tuple(size - 1 if i == axis else 0 for i, size in enumerate(x.shape))
    steps = tuple(-1 if i == axis else 1 for i in range(len(x.shape)))
    return node.add(Slice(starts, x.shape, steps), [x], suffix="backward")
