"""Operators whose results have as many rows as their inputs' values say: ONNX Compress-9..,
NonZero-9.., Unique-11.., NonMaxSuppression-10..

Shapes are fixed here, so what decides the count must be known at compile time: for Compress its
condition (then it is a Gather), for the others all that they read.
"""

from __future__ import annotations

from math import prod

import numpy as np

from nn2wasm.ir import Array
from nn2wasm.ops.gathering import Gather
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import Reshape

MOST_COMPARISONS = 2**28
"""Of boxes with each other, while compiling."""


class Compress(ImportOp):
    """The slices of an axis whose condition is true; without an axis, elements."""

    onnx_types = ("Compress",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, condition = node.input(0), node.constant(1, "condition")
        if condition.dtype != np.bool_ or condition.ndim != 1:
            raise node.invalid("its condition is not a list of truth values")
        axis = 0
        if node.has("axis"):
            axis = node.axis(node.attr_int("axis", 0), len(x.shape))
        else:
            x = node.add(Reshape((prod(x.shape),)), [x], suffix="flat")
        if not x.shape or len(condition) > x.shape[axis]:
            raise node.invalid(f"{len(condition)} conditions for {list(x.shape)}, axis {axis}")
        chosen = tuple(int(i) for i in np.flatnonzero(condition))
        node.emit(Gather(axis, chosen, (len(chosen),)), [x])


class NonZero(ImportOp):
    """The indices of all elements that are not 0, [rank, count]."""

    onnx_types = ("NonZero",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.constant(0, "input, whose values decide the result's shape,")
        indices = np.nonzero(x.reshape(-1) if x.ndim == 0 else x)
        node.alias(node.value(np.asarray(indices, np.int64), "indices"))


class Unique(ImportOp):
    """Distinct elements or slices, where each is first, which each is, and how often."""

    onnx_types = ("Unique",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.constant(0, "input, whose values decide the result's shape,")
        axis = node.axis(node.attr_int("axis", 0), x.ndim) if node.has("axis") else None
        y, first, which, count = np.unique(
            x, return_index=True, return_inverse=True, return_counts=True, axis=axis
        )
        which = which.reshape(-1)
        if not node.attr_int("sorted", 1):
            order = np.argsort(first)
            y = np.take(y, order, axis or 0)
            first, count = first[order], count[order]
            which = np.argsort(order)[which]
        others = (array.astype(np.int64) for array in (first, which, count))
        results = zip(("y", "indices", "inverse", "counts"), (y, *others), strict=True)
        node.alias(*(node.value(array, suffix) for suffix, array in results))


class NonMaxSuppression(ImportOp):
    """The best boxes of each class without those that overlap a better one, [count, 3]."""

    onnx_types = ("NonMaxSuppression",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        boxes = node.constant(0, "boxes, whose values decide the result's shape,")
        scores = node.constant(1, "scores, whose values decide the result's shape,")
        if boxes.ndim != 3 or boxes.shape[2] != 4 or scores.ndim != 3:
            raise node.invalid("its boxes or scores are not [batch, …]")
        if (scores.shape[0], scores.shape[2]) != boxes.shape[:2]:
            raise node.invalid("its boxes and scores differ in number")
        if boxes.dtype != np.float32 or scores.dtype != np.float32:
            raise node.invalid("its boxes or scores are not f32")
        most, iou, least = (
            None if node.optional(i) is None else node.constant(i, what).reshape(-1)
            for i, what in ((2, "number of boxes"), (3, "iou_threshold"), (4, "score_threshold"))
        )
        limit = 0 if most is None or not most.size else max(0, int(most[0]))
        if scores.size * min(limit, boxes.shape[1]) > MOST_COMPARISONS:
            raise node.unsupported(f"more than {MOST_COMPARISONS:,} comparisons of boxes")
        corners = _corners(boxes.astype(np.float32), node.attr_int("center_point_box", 0))
        chosen = []
        for batch, of_classes in enumerate(scores):
            for each, values in enumerate(of_classes):
                candidates = np.argsort(-values, kind="stable")
                if least is not None and least.size:
                    candidates = candidates[values[candidates] > least[0]]
                threshold = np.float32(0 if iou is None or not iou.size else iou[0])
                kept = _suppress(corners[batch], candidates, limit, threshold)
                chosen += [(batch, each, box) for box in kept]
        node.alias(node.value(np.asarray(chosen, np.int64).reshape(-1, 3), "selected"))


def _corners(boxes: Array, centered: int) -> Array:
    """Boxes as two corners, the lower one first."""
    if centered:
        half = boxes[..., 2:] / np.float32(2)
        a, b = boxes[..., :2] - half, boxes[..., :2] + half
    else:
        a, b = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], -1)


def _suppress(corners: Array, candidates: Array, limit: int, threshold: np.float32) -> list[int]:
    """Of boxes in order those that do not overlap one before them by more than the threshold."""
    kept: list[int] = []
    areas = (corners[:, 2:] - corners[:, :2]).prod(-1)
    for box in candidates:
        if len(kept) >= limit:
            break
        low = np.maximum(corners[kept, :2], corners[box, :2])
        high = np.minimum(corners[kept, 2:], corners[box, 2:])
        common = np.clip(high - low, 0, None).prod(-1)
        union = areas[kept] + areas[box] - common
        overlap = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
        if not (overlap > threshold).any():
            kept.append(int(box))
    return kept
