"""TensorFlow Lite's layers with weights, its poolings and resizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from nn2wasm.frontends.tflite_file import TfliteOp, TfliteTensor
from nn2wasm.frontends.tflite_graph import TfliteGraph

Translator = Callable[[TfliteGraph, TfliteOp], None]
SAME = 0


def three(
    graph: TfliteGraph, op: TfliteOp
) -> tuple[TfliteTensor, TfliteTensor, TfliteTensor | None]:
    """Input, weights and bias."""
    inputs = (*op.inputs, None, None, None)[:3]
    if inputs[0] is None or inputs[1] is None:
        raise graph.invalid("an operand is missing")
    return inputs[0], inputs[1], inputs[2]


def image(graph: TfliteGraph, tensor: TfliteTensor) -> tuple[int, int, int, int]:
    if len(tensor.shape) != 4:
        raise graph.unsupported(f"an image of shape {list(tensor.shape)}; four axes are compiled")
    n, h, w, c = tensor.shape
    return n, h, w, c


def window(op: TfliteOp) -> dict[str, Any]:
    """Strides and padding of a windowed operation."""
    return {
        "strides": [op.option("StrideH", 1), op.option("StrideW", 1)],
        "auto_pad": "SAME_UPPER" if op.option("Padding") == SAME else "VALID",
    }


def dilations(op: TfliteOp) -> list[int]:
    return [op.option("DilationHFactor", 1) or 1, op.option("DilationWFactor", 1) or 1]


def conv_2d(graph: TfliteGraph, op: TfliteOp) -> None:
    x, w, bias = three(graph, op)
    channels = image(graph, x)[3]
    outputs, height, width, depth = image(graph, w)
    if not depth or channels % depth:
        raise graph.invalid(f"weights of {depth} channels for {channels}")
    weights = graph.weights(w, (0, 3, 1, 2), (outputs, depth, height, width))
    operands = [graph.first(x), weights, *graph.bias(bias, x, w)]
    y = graph.node("Conv", operands, group=channels // depth, dilations=dilations(op), **window(op))
    finish(graph, op, y, first=True)


def depthwise_conv_2d(graph: TfliteGraph, op: TfliteOp) -> None:
    x, w, bias = three(graph, op)
    channels = image(graph, x)[3]
    one, height, width, outputs = image(graph, w)
    if one != 1 or not channels or outputs % channels:
        raise graph.invalid(f"weights of shape {list(w.shape)} for {channels} channels")
    weights = graph.weights(w, (3, 0, 1, 2), (outputs, 1, height, width))
    operands = [graph.first(x), weights, *graph.bias(bias, x, w)]
    y = graph.node("Conv", operands, group=channels, dilations=dilations(op), **window(op))
    finish(graph, op, y, first=True)


def transpose_conv(graph: TfliteGraph, op: TfliteOp) -> None:
    if len(op.inputs) < 3 or op.inputs[1] is None or op.inputs[2] is None:
        raise graph.invalid("an operand is missing")
    w, x = op.inputs[1], op.inputs[2]
    bias = op.inputs[3] if len(op.inputs) > 3 else None
    outputs, height, width, depth = image(graph, w)
    sizes = [int(size) for size in graph.known(op.inputs[0], "output shape")]
    strides = [op.option("StrideH", 1), op.option("StrideW", 1)]
    begin, end, more = [], [], []
    for size, out, kernel, stride in zip(
        image(graph, x)[1:3], sizes[1:3], (height, width), strides, strict=True
    ):
        total = (size - 1) * stride + kernel - out
        begin.append(max(total, 0) // 2)
        end.append(max(total, 0) - begin[-1])
        more.append(max(-total, 0))
    weights = graph.weights(w, (3, 0, 1, 2), (depth, outputs, height, width))
    operands = [graph.first(x), weights, *graph.bias(bias, x, w)]
    y = graph.node("ConvTranspose", operands, strides=strides, pads=[*begin, *end],
                   output_padding=more)  # fmt: skip
    finish(graph, op, y, first=True)


def fully_connected(graph: TfliteGraph, op: TfliteOp) -> None:
    x, w, bias = three(graph, op)
    if len(w.shape) != 2 or not w.shape[1] or prod(x.shape) % w.shape[1]:
        raise graph.invalid(f"weights of shape {list(w.shape)} for {list(x.shape)}")
    if op.option("WeightsFormat"):
        raise graph.unsupported("shuffled weights")
    lines = graph.reshaped(graph.real(x), (prod(x.shape) // w.shape[1], w.shape[1]))
    operands = [lines, graph.weights(w, (0, 1), w.shape), *graph.bias(bias, x, w)]
    y = graph.node("Gemm", operands, transB=1)
    finish(graph, op, graph.reshaped(y, op.outputs[0].shape))


def pool(kind: str) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        (x,) = tensors(graph, op, 1)
        image(graph, x)
        size = [op.option("FilterHeight", 1), op.option("FilterWidth", 1)]
        y = graph.node(kind, [graph.first(x)], kernel_shape=size, **window(op))
        finish(graph, op, y, first=True)

    return translate


def resize(mode: str) -> Translator:
    def translate(graph: TfliteGraph, op: TfliteOp) -> None:
        x = tensors(graph, op, 1)[0]
        height, width = (int(v) for v in graph.known(op.inputs[1], "size"))
        n, _, _, c = image(graph, x)
        aligned, centred = op.option("AlignCorners", False), op.option("HalfPixelCenters", False)
        positions = "align_corners" if aligned else "half_pixel" if centred else "asymmetric"
        rounding = "floor"
        if mode == "nearest" and aligned:
            rounding = "round_prefer_ceil"
        elif mode == "nearest" and centred:
            positions = "tf_half_pixel_for_nn"
        sizes = graph.constant(np.asarray([n, height, width, c], np.int64), "sizes")
        y = graph.node("Resize", [graph.real(x), "", "", sizes], mode=mode, nearest_mode=rounding,
                       coordinate_transformation_mode=positions)  # fmt: skip
        finish(graph, op, y)

    return translate


def batch_matmul(graph: TfliteGraph, op: TfliteOp) -> None:
    a, b = tensors(graph, op, 2)
    operands = []
    for tensor, turned in ((a, op.option("AdjX", False)), (b, op.option("AdjY", False))):
        name, rank = graph.real(tensor), len(tensor.shape)
        if turned:
            perm = [*range(rank - 2), rank - 1, rank - 2]
            name = graph.node("Transpose", [name], perm=perm)
        operands.append(name)
    finish(graph, op, graph.node("MatMul", operands))


def tensors(graph: TfliteGraph, op: TfliteOp, count: int) -> list[TfliteTensor]:
    """The first inputs, all of which must be there."""
    found = [tensor for tensor in op.inputs[:count] if tensor is not None]
    if len(found) < count or not op.outputs:
        raise graph.invalid(f"{len(op.inputs)} inputs, {len(op.outputs)} outputs")
    return found


def finish(graph: TfliteGraph, op: TfliteOp, name: str, *, first: bool = False) -> None:
    """The fused activation, and the result is that; `first`: with channels first."""
    if not op.outputs:
        raise graph.invalid("it has no output")
    y = graph.activated(name, op.option("FusedActivationFunction"))
    if first:
        graph.give_first(op.outputs[0], y)
    else:
        graph.give(op.outputs[0], y)


LAYERS: dict[str, Translator] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "TRANSPOSE_CONV": transpose_conv,
    "FULLY_CONNECTED": fully_connected,
    "AVERAGE_POOL_2D": pool("AveragePool"),
    "MAX_POOL_2D": pool("MaxPool"),
    "RESIZE_BILINEAR": resize("linear"),
    "RESIZE_NEAREST_NEIGHBOR": resize("nearest"),
    "BATCH_MATMUL": batch_matmul,
}


def same_meaning(tensors: Sequence[TfliteTensor]) -> bool:
    """Whether the integers of all stand for the same numbers."""
    first = tensors[0]
    return all(
        t.dtype == first.dtype
        and _equal(t.scale, first.scale)
        and _equal(t.zero_point, first.zero_point)
        for t in tensors
    )


def _equal(a: Any, b: Any) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
