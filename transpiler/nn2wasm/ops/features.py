"""Features put together and picked: ai.onnx.ml ArrayFeatureExtractor-1, FeatureVectorizer-1, and
ZipMap-1, whose keys become names of the tensor that it is given.
"""

from __future__ import annotations

import math

import numpy as np

from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.class_scores import class_labels
from nn2wasm.ops.gathering import Gather
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.lookup import look_up
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.scaling import NUMBERS
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice


class ArrayFeatureExtractor(ImportOp):
    """Elements of the last axis at indices. Those that are computed end at the axis' ends."""

    onnx_types = ("ai.onnx.ml.ArrayFeatureExtractor",)
    reads_strings = True
    reads_doubles = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, index = node.input(0), node.input(1)
        if not x.shape or index.dtype not in (DType.S64, DType.S32) or index.holds_strings:
            raise node.invalid("its inputs are not a tensor and indices")
        count = index.element_count
        if index.is_constant:
            flat = [int(value) for value in index.value.reshape(-1)]
            if not flat or not all(0 <= value < x.shape[-1] for value in flat):
                raise node.invalid(f"an index outside the last axis of {list(x.shape)}")
            y = node.add(Gather(len(x.shape) - 1, tuple(flat), (count,)), [x], suffix="picked")
        else:
            if index.dtype is not DType.S64:
                index = node.add(Cast(DType.S64), [index], suffix="wide")
            y = look_up(node, node.add(Reshape((count,)), [index], suffix="flat"), x, "picked")
        shape = (1, count) if len(x.shape) == 1 else y.shape
        node.alias(y if y.shape == shape else node.add(Reshape(shape), [y], suffix="line"))


class FeatureVectorizer(ImportOp):
    """Inputs beside each other as float32, each cut or filled with 0 to its given width."""

    onnx_types = ("ai.onnx.ml.FeatureVectorizer",)
    reads_doubles = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        tensors = [tensor for tensor in node.inputs if tensor is not None]
        widths = node.attr_ints("inputdimensions") or ()
        if not tensors or len(widths) != len(tensors) or min(widths) < 1:
            raise node.invalid(f"{len(widths)} inputdimensions for {len(tensors)} inputs")
        parts = [_part(node, x, width) for x, width in zip(tensors, widths, strict=True)]
        if len({part.shape[0] for part in parts}) > 1:
            raise node.invalid("its inputs differ in length")
        node.alias(node.add(Concat(1), parts) if len(parts) > 1 else parts[0])


def _part(node: OnnxNode, x: Tensor, width: int) -> Tensor:
    if not x.shape or x.dtype not in NUMBERS:
        raise node.unsupported(f"an input {x.dtype.value} {list(x.shape)}")
    if x.dtype is not DType.F32:
        x = node.add(Cast(DType.F32), [x], suffix="float")
    found = math.prod(x.shape[1:])
    x = node.add(Reshape((x.shape[0], found)), [x], suffix="line")
    if found > width:
        return node.add(Slice((0, 0), (x.shape[0], width), (1, 1)), [x], suffix="cut")
    if found < width:
        zeros = node.value(np.zeros((x.shape[0], width - found), np.float32), "zeros")
        return node.add(Concat(1), [x, zeros], suffix="filled")
    return x


class ZipMap(ImportOp):
    """Dropped: a map's values are the tensor, its keys the tensor's names."""

    onnx_types = ("ai.onnx.ml.ZipMap",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        classes = class_labels(node, "classlabels_int64s")
        if not x.shape or x.shape[-1] != len(classes):
            raise node.invalid(f"{len(classes)} keys for {list(x.shape)} values")
        x.labels = classes.shown
        node.alias(x)
