"""Window geometries where kernels go wrong, and exact sums of convolutions in numpy's integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Shape(NamedTuple):
    """x [n, c, …], w [oc, c/group, …] and the attributes of a Conv."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    attributes: Mapping[str, Any]


def square(
    c: int, oc: int, size: int = 6, kernel: int = 3, n: int = 1, group: int = 1, **more: Any
) -> Shape:
    attributes = more | ({"group": group} if group > 1 else {})
    return Shape((n, c, size, size), (oc, c // group, kernel, kernel), attributes)


SAME = [1, 1, 1, 1]
SHAPES: dict[str, Shape] = {
    **{
        f"channels_{c}_{oc}": square(c, oc, pads=SAME)
        for c, oc in [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4), (7, 8), (8, 7), (3, 9)]
    },
    **{
        f"pointwise_{c}_{oc}": square(c, oc, kernel=1)
        for c, oc in [(1, 1), (1, 5), (3, 4), (5, 1), (7, 6), (8, 8)]
    },
    **{f"depthwise_{c}": square(c, c, group=c, pads=SAME) for c in (1, 2, 3, 4, 5, 7, 8)},
    "depthwise_stride_2": square(5, 5, 7, group=5, pads=[0, 0, 1, 1], strides=[2, 2]),
    "depthwise_dilated": square(3, 3, 9, group=3, pads=[2, 2, 2, 2], dilations=[2, 2]),
    "depthwise_valid": square(6, 6, 5, group=6),
    "depthwise_5x3": Shape((1, 4, 8, 6), (4, 1, 5, 3), {"group": 4, "pads": [2, 1, 2, 1]}),
    "depthwise_2x3": Shape((1, 4, 7, 6), (4, 1, 2, 3), {"group": 4, "pads": [1, 1, 0, 1]}),
    "depthwise_multiplier_2": square(3, 6, group=3, pads=SAME),
    "depthwise_multiplier_5": square(2, 10, group=2, pads=SAME),
    "groups_2": square(4, 6, group=2, pads=SAME),
    "groups_3_of_5": square(15, 9, group=3),
    "pointwise_groups": square(8, 4, kernel=1, group=2),
    "pointwise_stride": square(5, 6, 7, kernel=1, strides=[2, 2]),
    "pointwise_padded": square(3, 4, kernel=1, pads=SAME),
    "valid": square(3, 5),
    "kernel_is_image": square(3, 5, 4, kernel=4),
    "kernel_larger_than_image": square(2, 3, 3, kernel=5, pads=[2, 2, 2, 2]),
    "one_pixel": square(4, 4, 1, pads=SAME),
    "stride_3_over_kernel_2": square(3, 4, 9, kernel=2, strides=[3, 3]),
    "stride_leaves_rows": square(3, 4, 8, kernel=2, strides=[4, 4]),
    "uneven_strides": square(3, 4, 8, pads=SAME, strides=[2, 1]),
    "uneven_pads": square(3, 4, 6, pads=[0, 2, 1, 0]),
    "only_bottom_pads": square(3, 4, 6, pads=[0, 0, 2, 2]),
    "wide_pads": square(2, 3, 4, pads=[3, 3, 3, 3]),
    "dilated": square(3, 4, 9, dilations=[2, 3]),
    "dilated_same": square(3, 4, 9, pads=[2, 2, 2, 2], dilations=[2, 2]),
    "wide_kernel": Shape((1, 3, 5, 9), (4, 3, 1, 7), {"pads": [0, 3, 0, 3]}),
    "tall_kernel": Shape((1, 3, 9, 5), (4, 3, 7, 1), {"pads": [3, 0, 3, 0]}),
    "flat_image": Shape((1, 1, 49, 10), (8, 1, 10, 4), {"strides": [2, 2], "pads": [4, 1, 5, 1]}),
    "batch_2": square(3, 5, n=2, pads=SAME),
    "batch_3_pointwise": square(3, 5, n=3, kernel=1),
    "batch_2_depthwise": square(3, 3, n=2, group=3, pads=SAME, strides=[2, 2]),
    "same_upper": square(3, 4, 7, auto_pad="SAME_UPPER", strides=[2, 2]),
    "same_lower": square(3, 4, 8, auto_pad="SAME_LOWER", strides=[2, 2]),
    "same_upper_even": square(3, 4, 5, kernel=4, auto_pad="SAME_UPPER"),
    "same_lower_even": square(3, 4, 5, kernel=4, auto_pad="SAME_LOWER"),
    "auto_valid": square(3, 4, auto_pad="VALID"),
    # more than a register tile in every direction, and a rest behind it
    "wide_12_26": square(12, 26, 9, pads=SAME),
    "wide_27_8": square(27, 8, 7, pads=SAME),
    "wide_16_39_stride_2": square(16, 39, 11, pads=SAME, strides=[2, 2]),
    "wide_5x5": square(6, 20, 10, kernel=5, pads=[2, 2, 2, 2]),
    "wide_dilated": square(9, 17, 11, pads=[2, 2, 2, 2], dilations=[2, 2]),
    "wide_groups": square(22, 34, 7, group=2, pads=SAME),
    "wide_pointwise": square(37, 29, 7, kernel=1),
    "wide_pointwise_64": square(64, 36, 5, kernel=1),
    "wide_pointwise_stride": square(33, 18, 9, kernel=1, strides=[2, 2]),
    "wide_pointwise_prime": Shape((1, 21, 1, 13), (15, 21, 1, 1), {}),
    "wide_one_pixel": square(40, 50, 1, kernel=1),
    "wide_depthwise_19": square(19, 19, 11, group=19, pads=SAME),
    "wide_depthwise_32_stride_2": square(32, 32, 11, group=32, pads=SAME, strides=[2, 2]),
    "wide_depthwise_5x5": square(18, 18, 9, kernel=5, group=18, pads=[2, 2, 2, 2]),
    "wide_depthwise_7x7": square(10, 10, 9, kernel=7, group=10, pads=[3, 3, 3, 3]),
    "wide_depthwise_dilated": square(17, 17, 9, group=17, pads=[2, 2, 2, 2], dilations=[2, 2]),
    "line": Shape((1, 3, 11), (4, 3, 3), {"pads": [1, 1]}),
    "line_stride_dilation": Shape((2, 4, 20), (5, 4, 3), {"strides": [2], "dilations": [3]}),
    "line_depthwise": Shape((1, 5, 12), (5, 1, 3), {"group": 5, "pads": [2, 0]}),
    "line_pointwise": Shape((1, 5, 12), (6, 5, 1), {}),
    "line_same_upper": Shape((1, 2, 10), (3, 2, 4), {"auto_pad": "SAME_UPPER", "strides": [3]}),
}


def pads_of(shape: Shape) -> tuple[list[int], list[int]]:
    """Padding before and behind each image axis, automatic padding resolved as ONNX defines it."""
    rank = len(shape.x) - 2
    auto = shape.attributes.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        pads = shape.attributes.get("pads", [0] * 2 * rank)
        return list(pads[:rank]), list(pads[rank:])
    begin, end = [], []
    for axis in range(rank):
        size, kernel = shape.x[axis + 2], shape.w[axis + 2]
        stride = shape.attributes.get("strides", [1] * rank)[axis]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        first = total // 2 if auto == "SAME_UPPER" else total - total // 2
        begin.append(first)
        end.append(total - first)
    return begin, end


def convolve(x: np.ndarray, w: np.ndarray, shape: Shape) -> np.ndarray:
    """Sums of products in int64 [n, oc, …]; padding counts as 0, so zero points are to be taken
    off before.
    """
    rank = x.ndim - 2
    begin, end = pads_of(shape)
    strides = shape.attributes.get("strides", [1] * rank)
    dilations = shape.attributes.get("dilations", [1] * rank)
    groups = shape.attributes.get("group", 1)
    x = np.pad(x.astype(np.int64), [(0, 0), (0, 0), *zip(begin, end, strict=True)])
    sizes = [
        (x.shape[axis + 2] - (w.shape[axis + 2] - 1) * dilations[axis] - 1) // strides[axis] + 1
        for axis in range(rank)
    ]
    result = np.zeros((x.shape[0], w.shape[0], *sizes), np.int64)
    for tap in np.ndindex(*w.shape[2:]):
        window = tuple(
            slice(t * d, t * d + (size - 1) * s + 1, s)
            for t, d, s, size in zip(tap, dilations, strides, sizes, strict=True)
        )
        part = x[(slice(None), slice(None), *window)]
        for group in range(groups):
            channels = slice(group * w.shape[1], (group + 1) * w.shape[1])
            outputs = slice(group * w.shape[0] // groups, (group + 1) * w.shape[0] // groups)
            weights = w[(outputs, slice(None), *tap)].astype(np.int64)
            result[:, outputs] += np.einsum("nc...,oc->no...", part[:, channels], weights)
    return result
