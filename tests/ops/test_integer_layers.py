"""MatMulInteger and ConvInteger with constant weights: bit for bit what int64 gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import LINEAR_TARGETS, Case, compare, model_of, refuse
from tolerance import EXACT

from nn2wasm.api import plan_model
from nn2wasm.errors import InvalidModel
from nn2wasm.target import find_target

rng = np.random.default_rng(61)


def integers(dtype: Any, *shape: int) -> np.ndarray:
    bounds = np.iinfo(dtype)
    return rng.integers(bounds.min, bounds.max, size=shape, endpoint=True).astype(dtype)


U, S = np.uint8, np.int8
X, IMAGE = integers(U, 6, 40), integers(U, 1, 8, 9, 10)


def product(name: str, x: np.ndarray, w: np.ndarray, xz: Any, wz: Any, *, fed: bool = True) -> Case:
    """`fed`: the zero point of x, one or one a row, is an input."""
    xz, wz = np.asarray(xz, x.dtype), np.asarray(wz, w.dtype)
    zeros = xz.reshape(-1, 1) if xz.ndim else xz
    expected = np.matmul(x.astype(np.int64) - zeros, w.astype(np.int64) - wz)
    constants = (1, 3) if fed else (1, 2, 3)
    return Case(
        name, "MatMulInteger", {}, [x, w, xz, wz], constants, tolerance=EXACT,
        reference=expected.astype(np.int32),
    )  # fmt: skip


def product_of(name: str, w: np.ndarray, wz: np.ndarray) -> Case:
    return Case(name, "MatMulInteger", {}, [X, w, U(3), wz], (1, 2, 3))


def convolved(
    x: np.ndarray, w: np.ndarray, group: int, strides: tuple[int, int], pads: tuple[int, ...]
) -> np.ndarray:
    """Of int64, [n, c, h, w] and [oc, c / group, kh, kw]; padding is 0."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    windows = windows[:, :, :: strides[0], :: strides[1]]
    parts = [
        np.einsum("nchwij,ocij->nohw", inputs, filters)
        for inputs, filters in zip(np.split(windows, group, 1), np.split(w, group), strict=True)
    ]
    return np.concatenate(parts, 1)


def conv(
    name: str,
    x: np.ndarray,
    w: np.ndarray,
    xz: Any,
    wz: Any,
    *,
    fed: bool = True,
    group: int = 1,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, ...] = (0, 0, 0, 0),
) -> Case:
    xz, wz = np.asarray(xz, x.dtype), np.asarray(wz, w.dtype)
    centred = w.astype(np.int64) - wz.reshape(-1, 1, 1, 1)
    expected = convolved(x.astype(np.int64) - xz, centred, group, strides, pads)
    attributes = {"group": group, "strides": list(strides), "pads": list(pads)}
    return Case(
        name, "ConvInteger", attributes, [x, w, xz, wz], (1, 3) if fed else (1, 2, 3),
        tolerance=EXACT, reference=expected.astype(np.int32),
    )  # fmt: skip


def line(case: Case) -> Case:
    """A convolution of images of one row, over one axis."""
    x, w, *zeros = case.inputs
    begin, end = case.attributes["pads"][1::2]
    attributes = {"group": case.attributes["group"], "pads": [begin, end]}
    return replace(
        case,
        attributes=attributes,
        inputs=[x[:, :, 0], w[:, :, 0], *zeros],
        reference=case.reference[:, :, 0],
    )


LARGEST = 65536 // 128
"""Weights of -128 that float32 sums exactly."""
CASES = [
    product("plain", X, integers(S, 40, 21), 77, 0),
    product("unsigned", X, integers(U, 40, 16), 200, 130),
    product("columns", X, integers(S, 40, 5), 3, integers(S, 5)),
    product("unsigned_columns", X, integers(U, 40, 4), 255, integers(U, 4)),
    product("signed", integers(S, 7, 33), integers(S, 33, 6), -77, 2),
    product("constant_zero", X, integers(S, 40, 21), 77, 0, fed=False),
    product("stack", integers(U, 2, 3, 24), integers(S, 24, 9), 128, 0),
    product("line", integers(U, 1, 64), integers(S, 64, 33), 128, 0),
    product("vector", integers(U, 64), integers(S, 64, 33), 100, 0),
    product("largest", np.full((3, LARGEST), 255, U), np.full((LARGEST, 4), -128, S), 0, 0),
    product("largest_zero", np.zeros((3, LARGEST), U), np.full((LARGEST, 4), -128, S), 255, 0),
    product("too_large", np.full((3, LARGEST + 1), 255, U), np.full((LARGEST + 1, 4), -128, S), 1,
            0),
    product("rows", X, integers(S, 40, 8), integers(U, 6), 0),
    conv("window", IMAGE, integers(S, 5, 8, 3, 3), 90, 0, pads=(1, 1, 1, 1)),
    conv("window_unpadded", IMAGE, integers(S, 16, 8, 3, 2), 90, 0, strides=(2, 1)),
    conv("window_channels", IMAGE, integers(U, 6, 8, 3, 3), 255, integers(U, 6),
         pads=(0, 1, 2, 0), strides=(2, 2)),
    conv("window_constant", IMAGE, integers(S, 6, 8, 3, 3), 90, 0, fed=False, pads=(1, 1, 1, 1)),
    conv("pointwise", IMAGE, integers(S, 12, 8, 1, 1), 11, 0),
    conv("pointwise_strided", IMAGE, integers(S, 12, 8, 1, 1), 11, 0, strides=(2, 2)),
    conv("groups", IMAGE, integers(S, 8, 2, 3, 3), 120, 0, group=4, pads=(1, 1, 1, 1)),
    conv("depthwise", IMAGE, integers(S, 8, 1, 3, 3), 120, 0, group=8, pads=(1, 1, 1, 1)),
    conv("depthwise_zeros", IMAGE, integers(U, 8, 1, 3, 3), 120, integers(U, 8), group=8,
         pads=(1, 1, 1, 1)),
    conv("images", integers(U, 3, 4, 5, 5), integers(S, 6, 4, 2, 2), 9, 0),
    line(conv("line_window", integers(U, 1, 4, 1, 30), integers(S, 6, 4, 1, 5), 9, 0,
              pads=(0, 2, 0, 2))),
]  # fmt: skip


@LINEAR_TARGETS
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums(case: Case, target: str) -> None:
    compare(case, CASES, target)


PLAIN = {"too_large", "rows"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels(case: Case) -> None:
    """Those of quantized layers, where float32 holds the sums."""
    plan = plan_model(model_of([case]), find_target("wasm")).plan
    kinds = {call.node.op.kind for call in plan.calls}
    assert bool(kinds & {"IntegerMatMul", "IntegerConv"}) == (case.name in PLAIN)
    assert bool(kinds & {"Gemm", "Conv"}) == (case.name not in PLAIN)


@pytest.mark.parametrize(
    "case",
    [
        product_of("columns", integers(S, 40, 4), integers(S, 3)),
        product_of("matrix", integers(S, 40, 4), integers(S, 2, 4)),
        product_of("wide", integers(U, 40, 4), integers(U, 40)),
    ],
    ids=str,
)
def test_zero_points_of_other_sizes_are_refused(case: Case) -> None:
    refuse(InvalidModel, case, "zero points")
