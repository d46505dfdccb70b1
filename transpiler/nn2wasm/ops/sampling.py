"""Where the elements of a resampled axis come from: coordinates, nearest indices, weights.

Coordinates are computed in float32, in onnxruntime's order of operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nn2wasm.ir import Array
from nn2wasm.ops.onnx_node import OnnxNode

Taps = tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]
"""For each output index of an axis: the input indices that it mixes, and their weights."""


CROP = "tf_crop_and_resize"


class Axis(NamedTuple):
    """An axis to resample: from `size` to `out` elements, by `scale` (float32).

    `crop`: which part of it, from 0 at the first element to 1 at the last.
    """

    size: int
    out: int
    scale: np.float32
    crop: tuple[float, float] = (0.0, 1.0)


Transform = Callable[[Axis], Array]
Rounding = Callable[[Array, Axis], Array]


def _half_pixel(axis: Axis) -> Array:
    return np.asarray((_steps(axis) + np.float32(0.5)) / axis.scale - np.float32(0.5))


def _pytorch_half_pixel(axis: Axis) -> Array:
    return _half_pixel(axis) if axis.out > 1 else np.zeros(1, np.float32)


def _align_corners(axis: Axis) -> Array:
    if axis.out == 1:
        return np.zeros(1, np.float32)
    return np.asarray(_steps(axis) * np.float32(axis.size - 1) / np.float32(axis.out - 1))


def _half_pixel_symmetric(axis: Axis) -> Array:
    adjustment = np.float32(axis.out) / (axis.scale * np.float32(axis.size))
    center = np.float32(axis.size) / np.float32(2)
    return np.asarray(center * (np.float32(1) - adjustment) + _half_pixel(axis))


def _cropped(axis: Axis) -> Array:
    begin, end = (np.float32(part) for part in axis.crop)
    last = np.float32(axis.size - 1)
    if axis.out == 1:
        return np.asarray([(begin + end) * last / np.float32(2)], np.float32)
    return np.asarray(begin * last + _steps(axis) * ((end - begin) * last / (axis.out - 1)))


def outside_crop(axis: Axis) -> Array:
    """Which outputs lie outside the input, where only a part of the axis is resized."""
    if axis.crop == (0.0, 1.0):
        return np.zeros(axis.out, np.bool_)
    at = _cropped(axis)
    return np.asarray((at < 0) | (at > axis.size - 1))


def _steps(axis: Axis) -> Array:
    return np.arange(axis.out).astype(np.float32)


TRANSFORMS: dict[str, Transform] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    CROP: _cropped,
    "asymmetric": lambda axis: _steps(axis) / axis.scale,
    "tf_half_pixel_for_nn": lambda axis: (_steps(axis) + np.float32(0.5)) / axis.scale,
}
ROUNDINGS: dict[str, Rounding] = {
    "round_prefer_floor": lambda v, _: np.ceil(v - np.float32(0.5)),
    "round_prefer_ceil": lambda v, _: np.floor(v + np.float32(0.5)),
    "floor": lambda v, _: np.floor(v),
    "ceil": lambda v, _: np.ceil(v),
    "simple": lambda v, axis: np.ceil(v) if axis.scale < 1 else np.trunc(v),
}


def nearest_indices(axis: Axis, transform: Transform, rounding: Rounding) -> tuple[int, ...]:
    if axis.out == axis.size and axis.scale == 1 and axis.crop == (0.0, 1.0):
        return tuple(range(axis.size))
    indices = np.clip(rounding(transform(axis), axis), 0, axis.size - 1)
    return tuple(int(index) for index in indices)


def linear_taps(axis: Axis, at: Array) -> Taps:
    at = np.clip(at, np.float32(0), np.float32(axis.size - 1))
    taps = []
    for position in at:
        low = int(position)
        part = float(position - np.float32(low))
        taps.append(((low, min(low + 1, axis.size - 1)), (1.0 - part, part)))
    return tuple(taps)


def cubic_taps(axis: Axis, at: Array, a: np.float32, *, exclude_outside: bool) -> Taps:
    taps = []
    for position in at.astype(np.float64):
        low = math.floor(position)
        part = position - low
        places = [low + k for k in (-1, 0, 1, 2)]
        weights = [_cubic(abs(part + 1 - k), float(a)) for k in range(4)]
        if exclude_outside:
            weights = [
                w if 0 <= p < axis.size else 0.0 for w, p in zip(weights, places, strict=True)
            ]
            total = sum(weights) or 1.0
            weights = [w / total for w in weights]
        taps.append((tuple(min(max(p, 0), axis.size - 1) for p in places), tuple(weights)))
    return tuple(taps)


def smooth_taps(axis: Axis, at: Array, reach: int, a: float, *, exclude_outside: bool) -> Taps:
    """Linear (`reach` 1) or cubic (2) weights as wide as the scale, below 1, says: antialias.

    Of a position between two elements as many on either side; those outside are the outermost.
    """
    scale = float(axis.scale)
    half = -(math.floor(-reach / scale) + 1) + 1
    taps = []
    for position in at.astype(np.float64):
        low = math.ceil(position) - 1
        places = [low + k for k in range(1 - half, half + 1)]
        distances = [abs(place - position) * scale for place in places]
        weights = [_cubic(d, a) if reach == 2 else max(0.0, 1.0 - d) for d in distances]
        if exclude_outside:
            inside = [0 <= place < axis.size for place in places]
            weights = [w if i else 0.0 for w, i in zip(weights, inside, strict=True)]
        total = sum(weights) or 1.0  # 0 where all are outside: there a crop has no result
        weights = [weight / total for weight in weights]
        taps.append((tuple(min(max(p, 0), axis.size - 1) for p in places), tuple(weights)))
    return tuple(taps)


def _cubic(distance: float, a: float) -> float:
    """Keys' convolution kernel."""
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance * distance + 1
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a if distance < 2 else 0.0


def refuse_between(node: OnnxNode, size: int, scale: np.float32, out: int) -> None:
    """With align_corners the last output lies on the last input; ONNX's reference takes a resized
    length with a fraction for that, onnxruntime and PyTorch the whole number.
    """
    aligned = node.attr_str("coordinate_transformation_mode", "half_pixel") == "align_corners"
    if aligned and np.float32(size) * scale != out:
        raise node.unsupported(
            f"align_corners of {size} elements with the scale {scale:g}, no whole number",
            hint="export it with sizes instead of scales: implementations differ in what this is",
        )
