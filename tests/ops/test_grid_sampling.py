"""Images read at positions that are computed at run time: grids, regions, displaced windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, refuse
from tolerance import CLOSE

from nn2wasm.errors import InvalidModel, UnsupportedFeature

rng = np.random.default_rng(23)
IMAGE = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
VOLUME = rng.normal(size=(2, 2, 3, 4, 5)).astype(np.float32)
GRID = rng.uniform(-1.6, 1.6, size=(2, 4, 6, 2)).astype(np.float32)
VOLUME_GRID = rng.uniform(-1.6, 1.6, size=(2, 2, 3, 4, 3)).astype(np.float32)
REGIONS = np.float32([[0, 0, 3, 4], [1, 0.5, 2.25, 3.5], [-2, -1, 6, 7], [3, 3, 1, 1]])


def case(
    name: str, op: str, inputs: list[Any], constants: Any = (), opset: int = 20, **more: Any
) -> Case:
    reference = more.pop("reference", "ort")
    return Case(name, op, more, inputs, constants, opset, tolerance=CLOSE, reference=reference)


GRIDS = [
    case(
        f"{mode}_{padding}_{aligned}", "GridSample", [IMAGE, GRID], opset=16,
        mode={"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode), padding_mode=padding,
        align_corners=aligned,
    )
    for mode in ("nearest", "linear", "cubic")
    for padding in ("zeros", "border", "reflection")
    for aligned in (0, 1)
] + [
    case(
        f"volume_{mode}_{padding}_{aligned}", "GridSample", [VOLUME, VOLUME_GRID],
        mode=mode, padding_mode=padding, align_corners=aligned,
    )
    for mode in ("nearest", "linear")
    for padding in ("zeros", "border", "reflection")
    for aligned in (0, 1)
]  # fmt: skip
AFFINE = [
    case(
        f"affine_{len(size)}_{aligned}", "AffineGrid",
        [rng.normal(size=(size[0], len(size) - 2, len(size) - 1)).astype(np.float32),
         np.int64(size)], (1,), align_corners=aligned,
    )
    for size in ((2, 3, 4, 5), (1, 2, 3, 4, 2))
    for aligned in (0, 1)
]  # fmt: skip
ALIGNED = [
    case(
        f"regions_{mode}_{ratio}_{opset}", "RoiAlign", [IMAGE, REGIONS, np.int64([0, 1, 1, 0])],
        opset=opset, mode=mode, output_height=3, output_width=2, sampling_ratio=ratio,
        spatial_scale=0.75,
    )
    for mode in ("avg", "max")
    for ratio in (0, 2)
    for opset in (10, 16)
]  # fmt: skip
POOLED = [
    case("pooled", "MaxRoiPool",
         [IMAGE, np.float32([[0, 0, 0, 3, 4], [1, 1, 1, 2, 2], [1, 2, 0, 9, 9]])],
         opset=17, pooled_shape=[2, 3], spatial_scale=0.9),
]  # fmt: skip


def displaced(name: str, groups: int, shared: int, *, mask: bool, bias: bool, **more: Any) -> Case:
    x = rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
    w = rng.normal(size=(6, 4 // groups, 3, 2)).astype(np.float32)
    size = (2, shared * 6, 5, 4) if "pads" in more else (2, shared * 6, 4, 4)
    offsets = rng.normal(size=(2, 2 * size[1], *size[2:])).astype(np.float32)
    inputs = [x, w, offsets, rng.normal(size=6).astype(np.float32) if bias else None]
    if mask:
        inputs.append(rng.uniform(size=size).astype(np.float32))
    more |= {"group": groups, "offset_group": shared}
    return case(name, "DeformConv", inputs, reference="onnx", **more)


DISPLACED = [
    displaced("plain", 1, 1, mask=False, bias=False),
    displaced("groups", 2, 2, mask=True, bias=True),
    displaced("padded", 1, 2, mask=True, bias=False, pads=[1, 0, 0, 0]),
]
CASES = GRIDS + AFFINE + ALIGNED + POOLED + DISPLACED


@pytest.mark.parametrize("case", CASES, ids=str)
def test_positions(case):
    compare(case, CASES)


FAR = np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9])
WILD = [
    *(
        case(f"wild_{padding}_{taps}", "GridSample",
             [IMAGE[:1, :1] * 0 + 2, np.stack([FAR, FAR[::-1]], -1).reshape(1, 1, 6, 2)],
             opset=16, padding_mode=padding, mode=taps,
             reference=np.full((1, 1, 1, 6), 0 if padding == "zeros" else 2, np.float32))
        for padding in ("zeros", "border", "reflection")
        for taps in ("nearest", "bilinear")
    ),
    case("wild_region", "RoiAlign", [IMAGE, FAR[[0, 1, 2, 3]].reshape(1, 4), np.int64([99])],
         opset=16, output_height=2, output_width=2, reference=np.zeros((1, 3, 2, 2), np.float32)),
    case("wild_window", "DeformConv",
         [IMAGE[:1, :1, :3, :2], np.ones((1, 1, 1, 1), np.float32),
          np.stack([FAR.reshape(3, 2), FAR[::-1].reshape(3, 2)])[None]],
         reference=np.zeros((1, 1, 3, 2), np.float32)),
]  # fmt: skip


@pytest.mark.parametrize("case", WILD, ids=str)
def test_positions_that_are_no_places(case):
    """NaN, infinities and what no integer holds read nothing outside."""
    compare(case, WILD)


REFUSED = [
    (InvalidModel, case("grid", "GridSample", [IMAGE, GRID[:1]]), "differ in batch"),
    (InvalidModel, case("axes", "GridSample", [IMAGE, VOLUME_GRID]), "a grid of"),
    (InvalidModel, case("mode", "GridSample", [IMAGE, GRID], mode="lanczos"), "not one of ONNX"),
    (InvalidModel, case("volume", "GridSample", [VOLUME, VOLUME_GRID], mode="cubic"), "images"),
    (
        UnsupportedFeature,
        case("step", "AffineGrid", [IMAGE[:1, 0, :2, :3], np.int64([1, 1, 1, 4])], (1,),
             align_corners=1),
        "no step",
    ),
    (InvalidModel, case("regions", "RoiAlign", [IMAGE, REGIONS, np.int64([0])]), "one image"),
    (
        InvalidModel,
        case("offsets", "DeformConv", [IMAGE, IMAGE[:, :, :2, :2], IMAGE]),
        "offsets of",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("error", "case", "match"), REFUSED, ids=lambda v: str(v)[:20])
def test_refused(error, case, match):
    refuse(error, case, match)
