"""TensorFlow Lite's elementwise functions, reductions, and operations that move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from nn2wasm.frontends.tflite_file import TfliteOp, TfliteTensor
from nn2wasm.frontends.tflite_graph import TO_FIRST, TO_LAST, TfliteGraph
from nn2wasm.frontends.tflite_layers import (
    LAYERS,
    Translator,
    finish,
    same_meaning,
    tensors,
)


def unary(kind: str, **attributes: Any) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        (x,) = tensors(graph, op, 1)
        finish(graph, op, graph.node(kind, [graph.real(x)], **attributes))

    return translate


def binary(kind: str) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        a, b = tensors(graph, op, 2)
        finish(graph, op, graph.node(kind, [graph.real(a), graph.real(b)]))

    return translate


def activation(number: int) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        (x,) = tensors(graph, op, 1)
        graph.give(op.outputs[0], graph.activated(graph.real(x), number))

    return translate


def reduction(kind: str) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        x = tensors(graph, op, 1)[0]
        axes = np.atleast_1d(graph.known(op.inputs[1], "axes")).astype(np.int64)
        name, keep = graph.real(x), int(bool(op.option("KeepDims", False)))
        if len(x.shape) == 4 and sorted(axes % 4) == [1, 2]:  # a pooling, channels first
            axes_first = graph.constant(np.asarray([2, 3], np.int64), "axes")
            y = graph.node(kind, [graph.first(x), axes_first], keepdims=1)
            n, _, _, c = x.shape  # of height and width 1: channels are last, too
            finish(graph, op, graph.reshaped(y, (n, 1, 1, c) if keep else (n, c)))
            return
        operands = [name, graph.constant(axes, "axes")]
        finish(graph, op, graph.node(kind, operands, keepdims=keep))

    return translate


def moving(
    graph: TfliteGraph, op: TfliteOp, inputs: Sequence[TfliteTensor]
) -> tuple[list[str], bool]:
    """The inputs as they are stored where all and the output mean the same, else real numbers."""
    alike = same_meaning([*inputs, op.outputs[0]])
    names = [graph.stored(t) if alike else graph.real(t) for t in inputs]
    return names, alike


def moved(graph: TfliteGraph, tensor: TfliteTensor, name: str, alike: bool) -> None:
    if alike:
        graph.give_stored(tensor, name)
    else:
        graph.give(tensor, name)


def reshape(graph: TfliteGraph, op: TfliteOp) -> None:
    x = tensors(graph, op, 1)[0]
    (name,), alike = moving(graph, op, [x])
    moved(graph, op.outputs[0], graph.reshaped(name, op.outputs[0].shape), alike)


def transpose(graph: TfliteGraph, op: TfliteOp) -> None:
    x = tensors(graph, op, 1)[0]
    perm = [int(axis) for axis in graph.known(op.inputs[1], "permutation")]
    (name,), alike = moving(graph, op, [x])
    moved(graph, op.outputs[0], graph.node("Transpose", [name], perm=perm), alike)


def concatenation(graph: TfliteGraph, op: TfliteOp) -> None:
    inputs = tensors(graph, op, len(op.inputs))
    names, alike = moving(graph, op, inputs)
    alike = alike and not op.option("FusedActivationFunction")
    names = names if alike else [graph.real(tensor) for tensor in inputs]
    y = graph.node("Concat", names, axis=op.option("Axis"))
    if alike:
        graph.give_stored(op.outputs[0], y)
    else:
        finish(graph, op, y)


def pad(graph: TfliteGraph, op: TfliteOp) -> None:
    x = tensors(graph, op, 1)[0]
    pads = graph.known(op.inputs[1], "padding").astype(np.int64)
    operands = [graph.real(x), graph.constant(pads.T.reshape(-1), "pads")]
    if len(op.inputs) > 2 and op.inputs[2] is not None:
        operands.append(graph.reshaped(graph.real(op.inputs[2]), ()))
    mode = "constant"
    if op.kind == "MIRROR_PAD":
        if op.option("Mode"):
            raise graph.unsupported("symmetric mirroring; reflection is compiled")
        mode = "reflect"
    finish(graph, op, graph.node("Pad", operands, mode=mode))


def strided_slice(graph: TfliteGraph, op: TfliteOp) -> None:
    x = tensors(graph, op, 1)[0]
    if op.option("EllipsisMask") or op.option("NewAxisMask"):
        raise graph.unsupported("an ellipsis or a new axis")
    begins, ends, steps = (
        [int(v) for v in graph.known(op.inputs[index], "range")] for index in (1, 2, 3)
    )
    if not len(begins) == len(ends) == len(steps) <= len(x.shape):
        raise graph.invalid("begins, ends and strides differ in length")
    if 0 in steps:
        raise graph.invalid("a stride of 0")
    starts, stops = [], []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        forward = step > 0
        if op.option("BeginMask") >> axis & 1:
            begin = 0 if forward else x.shape[axis] - 1
        if op.option("EndMask") >> axis & 1:
            end = x.shape[axis] if forward else -x.shape[axis] - 1
        if op.option("ShrinkAxisMask") >> axis & 1:
            end, steps[axis] = (begin + 1 if begin != -1 else x.shape[axis]), 1
        starts.append(begin)
        stops.append(end)
    axes = list(range(len(starts)))
    lists = [graph.constant(np.asarray(v, np.int64), "range") for v in (starts, stops, axes, steps)]
    (name,), alike = moving(graph, op, [x])
    y = graph.reshaped(graph.node("Slice", [name, *lists]), op.outputs[0].shape)
    moved(graph, op.outputs[0], y, alike)


def slice_(graph: TfliteGraph, op: TfliteOp) -> None:
    x = tensors(graph, op, 1)[0]
    begins = graph.known(op.inputs[1], "begin").astype(np.int64)
    sizes = graph.known(op.inputs[2], "size").astype(np.int64)
    if not len(begins) == len(sizes) == len(x.shape):
        raise graph.invalid("begins and sizes differ in length")
    ends = np.where(sizes < 0, np.asarray(x.shape, np.int64), begins + sizes)
    lists = [graph.constant(v, "range") for v in (begins, ends)]
    (name,), alike = moving(graph, op, [x])
    moved(graph, op.outputs[0], graph.node("Slice", [name, *lists]), alike)


def split(graph: TfliteGraph, op: TfliteOp) -> None:
    given = op.kind == "SPLIT_V"
    x, axes = (op.inputs[0], op.inputs[2]) if given else (op.inputs[1], op.inputs[0])
    if x is None:
        raise graph.invalid("its input is missing")
    axis = int(graph.known(axes, "axis").reshape(-1)[0])
    if not -len(x.shape) <= axis < len(x.shape):
        raise graph.invalid(f"axis {axis}")
    sizes = np.asarray([output.shape[axis] for output in op.outputs], np.int64)
    (name,), alike = moving(graph, op, [x])
    operands = [name, graph.constant(sizes, "sizes")]
    parts = graph.nodes("Split", operands, len(op.outputs), axis=axis)
    for output, part in zip(op.outputs, parts, strict=True):
        moved(graph, output, part, alike)


def pack(graph: TfliteGraph, op: TfliteOp) -> None:
    names, alike = moving(graph, op, tensors(graph, op, len(op.inputs)))
    axis = op.option("Axis") % max(1, len(op.outputs[0].shape))
    shape = [1 if i == axis else size for i, size in enumerate(op.outputs[0].shape)]
    parts = [graph.reshaped(name, shape) for name in names]
    moved(graph, op.outputs[0], graph.node("Concat", parts, axis=axis), alike)


def unpack(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    (name,), alike = moving(graph, op, [x])
    axis = op.option("Axis") % max(1, len(x.shape))
    parts = graph.nodes("Split", [name], len(op.outputs), axis=axis, num_outputs=len(op.outputs))
    for output, part in zip(op.outputs, parts, strict=True):
        moved(graph, output, graph.reshaped(part, output.shape), alike)


def gather(graph: TfliteGraph, op: TfliteOp) -> None:
    x, indices = tensors(graph, op, 2)
    if op.option("BatchDims"):
        raise graph.unsupported("batch dimensions")
    (name,), alike = moving(graph, op, [x])
    y = graph.node("Gather", [name, graph.stored(indices)], axis=op.option("Axis"))
    moved(graph, op.outputs[0], y, alike)


def tile(graph: TfliteGraph, op: TfliteOp) -> None:
    x = tensors(graph, op, 1)[0]
    times = graph.constant(graph.known(op.inputs[1], "repeats").astype(np.int64), "repeats")
    (name,), alike = moving(graph, op, [x])
    moved(graph, op.outputs[0], graph.node("Tile", [name, times]), alike)


def broadcast(graph: TfliteGraph, op: TfliteOp) -> None:
    x = tensors(graph, op, 1)[0]
    shape = graph.constant(np.asarray(op.outputs[0].shape, np.int64), "shape")
    (name,), alike = moving(graph, op, [x])
    moved(graph, op.outputs[0], graph.node("Expand", [name, shape]), alike)


def blocks(kind: str) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        (x,) = tensors(graph, op, 1)
        (name,), alike = moving(graph, op, [x])
        first = graph.node("Transpose", [name], perm=TO_FIRST)
        y = graph.node(kind, [first], blocksize=op.option("BlockSize", 1))
        moved(graph, op.outputs[0], graph.node("Transpose", [y], perm=TO_LAST), alike)

    return translate


def softmax(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    name, beta = graph.real(x), op.option("Beta", 1.0)
    if beta != 1.0:
        name = graph.node("Mul", [name, graph.constant(np.float32(beta), "beta")])
    finish(graph, op, graph.node("Softmax", [name], axis=-1))


def leaky_relu(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    finish(graph, op, graph.node("LeakyRelu", [graph.real(x)], alpha=op.option("Alpha", 0.0)))


def gelu(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    approximate = "tanh" if op.option("Approximate", False) else "none"
    finish(graph, op, graph.node("Gelu", [graph.real(x)], approximate=approximate))


def rsqrt(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    finish(graph, op, graph.node("Reciprocal", [graph.node("Sqrt", [graph.real(x)])]))


def squared(graph: TfliteGraph, op: TfliteOp) -> None:
    if op.kind == "SQUARE":
        name = graph.real(tensors(graph, op, 1)[0])
    else:
        a, b = tensors(graph, op, 2)
        name = graph.node("Sub", [graph.real(a), graph.real(b)])
    finish(graph, op, graph.node("Mul", [name, name]))


def extreme_index(kind: str) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        x = tensors(graph, op, 1)[0]
        axis = int(graph.known(op.inputs[1], "axis").reshape(-1)[0])
        y = graph.node(kind, [graph.stored(x)], axis=axis, keepdims=0)
        code = onnx.helper.np_dtype_to_tensor_dtype(op.outputs[0].dtype)
        graph.give_stored(op.outputs[0], graph.node("Cast", [y], to=code))

    return translate


def cast(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    code = onnx.helper.np_dtype_to_tensor_dtype(op.outputs[0].dtype)
    graph.give_stored(op.outputs[0], graph.node("Cast", [graph.stored(x)], to=code))


def copy(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    graph.give(op.outputs[0], graph.real(x))


def select(graph: TfliteGraph, op: TfliteOp) -> None:
    condition, a, b = tensors(graph, op, 3)
    names = [graph.stored(condition), graph.real(a), graph.real(b)]
    graph.give(op.outputs[0], graph.node("Where", names))


def shape(graph: TfliteGraph, op: TfliteOp) -> None:
    (x,) = tensors(graph, op, 1)
    sizes = np.asarray(x.shape, op.outputs[0].dtype)
    graph.give_stored(op.outputs[0], graph.constant(sizes, "shape"))


TRANSLATORS: dict[str, Translator] = {
    **LAYERS,
    **{name: binary(kind) for name, kind in {
        "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min",
        "POW": "Pow", "PRELU": "PRelu", "EQUAL": "Equal", "GREATER": "Greater", "LESS": "Less",
        "GREATER_EQUAL": "GreaterOrEqual", "LESS_EQUAL": "LessOrEqual", "LOGICAL_AND": "And",
        "LOGICAL_OR": "Or",
    }.items()},
    **{name: unary(kind) for name, kind in {
        "LOGISTIC": "Sigmoid", "TANH": "Tanh", "ELU": "Elu", "HARD_SWISH": "HardSwish",
        "EXP": "Exp", "LOG": "Log", "SQRT": "Sqrt", "ABS": "Abs", "NEG": "Neg", "SIN": "Sin",
        "COS": "Cos", "FLOOR": "Floor", "CEIL": "Ceil", "ROUND": "Round", "LOGICAL_NOT": "Not",
        "SIGN": "Sign",
    }.items()},
    **{name: reduction(kind) for name, kind in {
        "MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_MAX": "ReduceMax",
        "REDUCE_MIN": "ReduceMin", "REDUCE_PROD": "ReduceProd",
    }.items()},
    **{name: activation(number) for number, name in enumerate(
        ("RELU", "RELU_N1_TO_1", "RELU6"), 1)},
    "LOG_SOFTMAX": unary("LogSoftmax", axis=-1),
    "L2_NORMALIZATION": unary("LpNormalization", axis=-1, p=2),
    "SOFTMAX": softmax, "LEAKY_RELU": leaky_relu, "GELU": gelu, "RSQRT": rsqrt, "SQUARE": squared,
    "SQUARED_DIFFERENCE": squared, "RESHAPE": reshape, "SQUEEZE": reshape, "EXPAND_DIMS": reshape,
    "TRANSPOSE": transpose, "CONCATENATION": concatenation, "PAD": pad, "PADV2": pad,
    "MIRROR_PAD": pad, "STRIDED_SLICE": strided_slice, "SLICE": slice_, "SPLIT": split,
    "SPLIT_V": split, "PACK": pack, "UNPACK": unpack, "GATHER": gather, "TILE": tile,
    "BROADCAST_TO": broadcast, "DEPTH_TO_SPACE": blocks("DepthToSpace"),
    "SPACE_TO_DEPTH": blocks("SpaceToDepth"), "ARG_MAX": extreme_index("ArgMax"),
    "ARG_MIN": extreme_index("ArgMin"), "CAST": cast, "QUANTIZE": copy, "DEQUANTIZE": copy,
    "SELECT": select, "SELECT_V2": select, "SHAPE": shape,
}  # fmt: skip
"""By the builtin's name in the schema."""
