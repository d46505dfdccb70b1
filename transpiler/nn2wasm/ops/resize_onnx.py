"""ONNX Resize-10.., Upsample-1..9: what becomes of them.

Scales or sizes, and with tf_crop_and_resize the regions, must be known at compile time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.choice import Select
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.resize import ResizeLinear, ResizeNearest
from nn2wasm.ops.sampling import (
    CROP,
    ROUNDINGS,
    TRANSFORMS,
    Axis,
    Rounding,
    Taps,
    Transform,
    cubic_taps,
    linear_taps,
    nearest_indices,
    outside_crop,
    refuse_between,
    smooth_taps,
)

LONGEST_TAPS = 2**22
"""Weights of an axis, at most: with antialias each output mixes as many as the scale says."""


class Resize(ImportOp):
    """Becomes ResizeNearest or ResizeLinear, or nothing where all sizes stay."""

    onnx_types = ("Resize", "Upsample")

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        mode = node.attr_str("mode", "nearest")
        if mode not in ("nearest", "linear", "bilinear", "cubic"):
            raise node.unsupported(f"mode {mode!r}; nearest, linear and cubic are compiled")
        axes = _read_axes(node, x)
        node.check_size(tuple(axis.out for axis in axes))
        transform = _coordinates(node)
        if mode == "nearest":
            rounding = _rounding(node)
            indices = tuple(nearest_indices(axis, transform, rounding) for axis in axes)
            y = x
            if any(index != tuple(range(a.size)) for index, a in zip(indices, axes, strict=True)):
                y = node.add(ResizeNearest(indices), [x], suffix="resized")
        elif x.dtype is not DType.F32:
            raise node.unsupported(f"{mode} on elements of type {x.dtype.value}; f32 is compiled")
        else:
            y = x
            every = tuple(_taps(node, axis, transform, cubic=mode == "cubic") for axis in axes)
            for group in _groups([i for i, taps in enumerate(every) if taps is not None]):
                taps = tuple(t if i in group else None for i, t in enumerate(every))
                y = node.add(ResizeLinear(taps), [y], suffix="" if y is x else f"axis{group[0]}")
        node.alias(_extrapolated(node, y, axes))


def _taps(node: OnnxNode, axis: Axis, transform: Transform, *, cubic: bool) -> Taps | None:
    """What the elements of an axis mix, None where it stays as it is."""
    if axis.out == axis.size and axis.scale == 1 and axis.crop == (0.0, 1.0):
        return None
    outside = bool(node.attr_int("exclude_outside", 0))
    steep = np.float32(node.attr_float("cubic_coeff_a", -0.75))
    if node.attr_int("antialias", 0) and axis.scale < 1:
        if 8 * axis.out / float(axis.scale) > LONGEST_TAPS:
            raise node.unsupported(f"antialias of {axis.size} elements to {axis.out}")
        reach = 2 if cubic else 1
        return smooth_taps(axis, transform(axis), reach, float(steep), exclude_outside=outside)
    if cubic:
        return cubic_taps(axis, transform(axis), steep, exclude_outside=outside)
    return linear_taps(axis, transform(axis))


def _groups(wide: Sequence[int]) -> list[tuple[int, ...]]:
    """Axes by ones, or by two neighbours, as kernels take them."""
    groups: list[tuple[int, ...]] = []
    for axis in wide:
        if groups and len(groups[-1]) == 1 and axis == groups[-1][0] + 1:
            groups[-1] = (groups[-1][0], axis)
        else:
            groups.append((axis,))
    return groups


def _extrapolated(node: OnnxNode, y: Tensor, axes: Sequence[Axis]) -> Tensor:
    """The result with extrapolation_value where its positions are outside the input."""
    outside = np.zeros((1,) * len(axes), np.bool_)
    for index, axis in enumerate(axes):
        beyond = outside_crop(axis)
        if beyond.any():
            outside = outside | beyond.reshape(-1, *[1] * (len(axes) - 1 - index))
    if not outside.any():
        return y
    value = node.attr_float("extrapolation_value", 0.0)
    constant = node.value(np.asarray(value).astype(y.dtype.numpy), "extrapolation")
    return node.add(Select(), [node.value(outside, "outside"), constant, y], suffix="extrapolated")


def _read_axes(node: OnnxNode, x: Tensor) -> list[Axis]:
    """Sizes and scales of every axis of the input."""
    rank = len(x.shape)
    upsample = node.op_type == "Upsample"
    scales: tuple[float, ...] | None
    if upsample and node.opset < 7:
        names = ("height_scale", "width_scale")
        scales = (*[1.0] * (rank - 2), *(node.attr_float(name, 0.0) for name in names))
    elif upsample and node.opset < 9:
        scales = node.attr_floats("scales")
    else:
        scales = _floats(node, 2 if node.opset >= 11 and not upsample else 1, "scales")
    sizes = node.ints(3, "sizes") if node.opset >= 11 and not upsample else None
    given = node.attr_ints("axes")
    chosen = tuple(range(rank)) if given is None else node.axes(given, rank)
    if bool(scales) == bool(sizes):
        raise node.invalid("either scales or sizes must be given")
    values: Sequence[float] = scales or sizes or ()
    if len(values) != len(chosen):
        raise node.invalid(f"{len(values)} scales or sizes for {len(chosen)} axes")
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise node.invalid(f"scales or sizes {list(values)} must be positive")
    if sizes:
        policy = node.attr_str("keep_aspect_ratio_policy", "stretch")
        targets = _targets(node, [x.shape[axis] for axis in chosen], sizes, policy)
    crops = _crops(node, len(chosen))
    axes = [Axis(size, size, np.float32(1.0)) for size in x.shape]
    for place, axis in enumerate(chosen):
        size = x.shape[axis]
        if sizes:
            out, scale = targets[place]
        else:
            scale = np.float32(values[place])
            exact = float(size) * float(scale)
            if exact > node.tensor_elements:
                raise node.unsupported(f"axis {axis} of size {size} with the scale {scale:g}")
            out = math.floor(np.float32(size) * scale)
            refuse_between(node, size, scale, out)
        if out < 1:
            raise node.invalid(f"axis {axis} of size {size} would have {out} elements")
        axes[axis] = Axis(size, out, np.float32(scale), crops[place])
    return axes


def _crops(node: OnnxNode, count: int) -> list[tuple[float, float]]:
    """The part of each chosen axis that is resized: all of it but for tf_crop_and_resize."""
    if node.attr_str("coordinate_transformation_mode", "half_pixel") != CROP:
        return [(0.0, 1.0)] * count
    roi = _floats(node, 1, "roi")
    if roi is None or len(roi) != 2 * count or not all(abs(part) < 1e6 for part in roi):
        raise node.invalid(f"its roi is not {2 * count} numbers, or they are huge")
    return list(zip(roi[:count], roi[count:], strict=True))


def _targets(
    node: OnnxNode, shape: Sequence[int], sizes: Sequence[int], policy: str
) -> list[tuple[int, np.float32]]:
    """Output size and scale of each chosen axis."""
    ratios = [np.float32(size) / np.float32(old) for size, old in zip(sizes, shape, strict=True)]
    if policy == "stretch":
        return list(zip(sizes, ratios, strict=True))
    if policy not in ("not_larger", "not_smaller"):
        raise node.invalid(f"keep_aspect_ratio_policy {policy!r} is not one of ONNX's")
    one = min(ratios) if policy == "not_larger" else max(ratios)
    return [(math.floor(np.float32(one * np.float32(old)) + 0.5), one) for old in shape]


def _floats(node: OnnxNode, index: int, what: str) -> tuple[float, ...] | None:
    if node.optional(index) is None:
        return None
    return tuple(float(value) for value in node.constant(index, what).reshape(-1))


def _coordinates(node: OnnxNode) -> Transform:
    if node.op_type == "Upsample" or node.opset < 11:
        return TRANSFORMS["asymmetric"]
    name = node.attr_str("coordinate_transformation_mode", "half_pixel")
    if name not in TRANSFORMS:
        raise node.unsupported(f"coordinate_transformation_mode {name!r}")
    return TRANSFORMS[name]


def _rounding(node: OnnxNode) -> Rounding:
    if node.op_type == "Upsample" or node.opset < 11:
        return ROUNDINGS["simple"]
    name = node.attr_str("nearest_mode", "round_prefer_floor")
    if name == "simple" or name not in ROUNDINGS:
        raise node.invalid(f"nearest_mode {name!r} is not one of ONNX's")
    return ROUNDINGS[name]
