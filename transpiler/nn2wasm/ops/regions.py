"""Rectangles of images pooled to one size: ONNX RoiAlign-10.., MaxRoiPool-1..

    RoiAlign    each cell of a region is the mean, or the maximum, of samples between pixels
    MaxRoiPool  each cell is the maximum of its whole pixels

What regions say is known at run time only: an image that does not exist is the nearest that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nn2wasm.ir import DType, Node, Tensor, TensorType
from nn2wasm.ops.gathering import INDEXING, index_input
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.softmax import shape_text

LARGEST_SIDE = 2**14


@dataclass(frozen=True)
class RoiAlign(KernelOp):
    """Inputs x [n, c, h, w], regions [k, 4] (x, y of two corners), images [k].

    `samples`: rows and columns of samples in a cell; 0 means one for each pixel that it is long,
    but never more than twice as many as the image has.
    """

    onnx_types = ("RoiAlign",)
    kernels = (
        Kernel(
            symbol="nn_roi_align_f32__scalar",
            template="pool/roi_align_f32__scalar.c.j2",
            dtype="f32",
            headers=(*INDEXING, "nn2wasm/sampling.h"),
        ),
    )

    size: tuple[int, int]
    samples: int
    scale: float
    half_pixel: bool
    largest: bool

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, regions, images = node.input(0), node.input(1), index_input(node, 2)
        _check(node, x, regions, 4)
        if images.shape != regions.shape[:1]:
            raise node.invalid("it needs one image for each region")
        mode = node.attr_str("mode", "avg")
        default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
        transform = node.attr_str("coordinate_transformation_mode", default)
        if mode not in ("avg", "max") or transform not in ("half_pixel", "output_half_pixel"):
            raise node.invalid(f"mode {mode!r} or {transform!r} is not one of ONNX's")
        size = (node.attr_int("output_height", 1), node.attr_int("output_width", 1))
        samples = node.attr_int("sampling_ratio", 0)
        if min(size) < 1 or max(size) > LARGEST_SIDE or not 0 <= samples <= LARGEST_SIDE:
            raise node.invalid(f"an output of {list(size)}, {samples} samples")
        op = cls(
            size,
            samples,
            node.attr_float("spatial_scale", 1.0),
            half_pixel=transform == "half_pixel",
            largest=mode == "max",
        )
        node.emit(op, [x, regions, images])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        return _infer(self.size, inputs)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        context = _context(node, self.size, self.scale) | {
            "offset": "0.5f" if self.half_pixel else "0.0f",
            "at_least_one": not self.half_pixel,
            "given": self.samples > 0,
            "samples": self.samples,
            "largest": self.largest,
            "function": "maximum" if self.largest else "mean",
            "index_type": node.input(2).dtype.c_name,
        }
        return Lowering(context=context, arguments=(0, 1, 2))


@dataclass(frozen=True)
class MaxRoiPool(KernelOp):
    """Inputs x [n, c, h, w], regions [k, 5] (the image, x, y of two corners)."""

    onnx_types = ("MaxRoiPool",)
    kernels = (
        Kernel(
            symbol="nn_max_roi_pool_f32__scalar",
            template="pool/max_roi_f32__scalar.c.j2",
            dtype="f32",
        ),
    )

    size: tuple[int, int]
    scale: float

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, regions = node.input(0), node.input(1)
        _check(node, x, regions, 5)
        size = node.attr_ints("pooled_shape")
        if size is None or len(size) != 2 or min(size) < 1 or max(size) > LARGEST_SIDE:
            raise node.invalid(f"pooled_shape {size}")
        node.emit(cls((size[0], size[1]), node.attr_float("spatial_scale", 1.0)), [x, regions])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        return _infer(self.size, inputs)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        return Lowering(context=_context(node, self.size, self.scale), arguments=(0, 1))


def _check(node: OnnxNode, x: Tensor, regions: Tensor, numbers: int) -> None:
    """An image and regions of so many numbers each, both f32."""
    if x.dtype is not DType.F32 or regions.dtype is not DType.F32:
        raise node.unsupported(f"operands of type {x.dtype.value} and {regions.dtype.value}")
    if len(x.shape) != 4 or len(regions.shape) != 2 or regions.shape[1] != numbers:
        raise node.invalid(f"an input of rank {len(x.shape)}, regions {list(regions.shape)}")


def _infer(size: tuple[int, int], inputs: Sequence[Tensor | None]) -> list[TensorType]:
    x, regions = inputs[0], inputs[1]
    assert x is not None
    assert regions is not None
    return [TensorType(x.dtype, (regions.shape[0], x.shape[1], *size))]


def _context(node: Node, size: tuple[int, int], scale: float) -> dict[str, Any]:
    x = node.input(0)
    n, c, h, w = x.shape
    return {
        "regions": node.input(1).shape[0], "images": n, "channels": c, "h": h, "w": w,
        "oh": size[0], "ow": size[1], "cells": size[0] * size[1],
        "plane": h * w, "image": c * h * w, "scale": float_literal(scale),
        "most_rows": float_literal(2.0 * h), "most_columns": float_literal(2.0 * w),
        "shape": shape_text(x.shape),
    }  # fmt: skip
