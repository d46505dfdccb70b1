"""Results of 16 bits in integers: against the roundings of float32, and their C."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from nn2wasm.ops.fixed_wide import float_bits, wide_scales
from nn2wasm.quant.arithmetic import requantize, round_clamped
from nn2wasm.quant.wide_forms import (
    WideForm,
    find_product_form,
    find_rescaled_form,
    find_sum_form,
    find_wide_form,
)
from nn2wasm.resources import data_folder

S16 = (-32768, 32767)
RATIOS = [1e-12, 3e-9, 2.0**-31, 4e-7, 2.0**-16, 3e-4, 0.0099, 0.03, 0.5, 1 / 3, 1.0, 1.7, 40.0]
BOUNDS = [1, 3000, 2**24 - 1, 2**31 - 1, 2**40 + 12345, 2**62]
rng = np.random.default_rng(21)


def form_of(ratio: float, bound: int, zero_point: int, lo: int, hi: int) -> WideForm | None:
    return find_wide_form(np.float32([ratio]), np.asarray([bound]), zero_point, lo, hi)


def sums(ratio: float, bound: int, zero_point: int, lo: int, hi: int) -> np.ndarray:
    """Around borders of results, at both ends, and anywhere."""
    results = np.unique(np.clip(rng.integers(lo - 3, hi + 4, 4000), lo - 3, hi + 3))
    borders = (results - zero_point - 0.5) / float(np.float32(ratio))
    borders = borders[np.abs(borders) <= bound].astype(np.float64)
    spread = np.maximum(np.abs(borders) * 2.0**-22, 3)
    near = [np.rint(borders + spread * k / 4).astype(np.int64) for k in range(-4, 5)]
    near += [np.rint(borders).astype(np.int64) + k for k in range(-2, 3)]
    ends = np.asarray([-bound, bound, 0, -1, 1])
    most = min(bound, int(70_000 / ratio))
    anywhere = [rng.integers(-most, most + 1, 20_000), rng.integers(-bound, bound + 1, 2000)]
    found = np.concatenate([*near, *anywhere, ends])
    return np.unique(found[np.abs(found) <= bound])


SHAPES = [(0, *S16), (-32768, *S16), (1717, *S16), (0, 0, 32767), (-128, -128, 127), (5, 5, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("ratio", RATIOS)
def test_sums(ratio, shape):
    for bound in [bound for bound in BOUNDS if ratio * bound < 2**28]:
        form = form_of(ratio, bound, *shape)
        assert form is not None
        acc = sums(ratio, bound, *shape)
        expected = requantize(acc, np.float32(ratio), *shape)
        np.testing.assert_array_equal(form.apply(acc[None, :])[0], expected)


def test_every_sum_of_a_channel():
    for ratio in np.exp(rng.uniform(-4, 0.5, 6)).astype(np.float32):
        bound = int(70_000 / ratio)
        acc = np.arange(-bound, bound + 1)
        form = form_of(float(ratio), bound, -3, *S16)
        np.testing.assert_array_equal(form.apply(acc[None, :])[0], requantize(acc, ratio, -3, *S16))


def test_scales_far_apart_share_a_point():
    """A scale so small that all its sums are nothing, one of 0, and one 2^20 below the largest."""
    scales = np.float32([0.01, 0.01 * 2**-20, 1e-30, 0.0])
    form = find_wide_form(scales, np.full(4, 2**30), 7, *S16)
    acc = np.stack([np.arange(-(2**30), 2**30, 10_007)] * 4)
    np.testing.assert_array_equal(form.apply(acc), requantize(acc, scales[:, None], 7, *S16))


def test_floats_decide_few_results():
    form = form_of(0.0013, 2**27, 0, *S16)
    assert 2 * form.point.guard < 2**form.point.shift / 40


@pytest.mark.parametrize("ratio", [np.inf, np.nan, -0.1])
def test_what_is_no_scale_has_no_form(ratio):
    assert form_of(ratio, 1000, 0, *S16) is None


def test_sums_that_leave_no_bit_have_no_form():
    assert form_of(1.0, 2**31 - 1, 0, *S16) is None
    assert form_of(2.0**-3, 2**31 - 1, 0, *S16) is not None


SOURCE = """
#include <stddef.h>
#include "nn2wasm/fixed_point.h"
#include "nn2wasm/positive_floats.h"
#include "nn2wasm/fixed_wide.h"
typedef struct { int32_t offset, shift, guard, lo, hi, zero_point; } point;
void all_sums(const int64_t *acc, int32_t *y, size_t n, int32_t scale, int left, int top,
              const point *p)
{
  for (size_t i = 0; i < n; i++) {
    y[i] = left < 0
      ? nn_requantize_long(acc[i], scale, -left, top, p->offset, p->shift, p->guard, p->lo, p->hi)
      : nn_requantize_wide((int32_t)(acc[i] * ((int64_t)1 << left)), scale, top, p->offset,
                           p->shift, p->guard, p->lo, p->hi);
  }
}
void all_floats(const int32_t *a, const int32_t *b, int32_t *rescaled, int32_t *product,
                int32_t *sum, size_t n, int32_t a_scale, int32_t b_scale, int32_t y_scale)
{
  for (size_t i = 0; i < n; i++) {
    rescaled[i] = nn_float_rescaled(a[i], a_scale, y_scale);
    product[i] = nn_float_of_product(a[i], b[i], a_scale, b_scale, y_scale);
    sum[i] = nn_float_of_sum(a[i], b[i], a_scale, b_scale, y_scale);
  }
}
"""
FLAGS = ["-std=c11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


@pytest.fixture(scope="module", params=["long", "short"])
def library(request, tmp_path_factory) -> ctypes.CDLL:
    """With products of 64 bits, and with those of 32 that a Cortex-M0 has."""
    folder = tmp_path_factory.mktemp("fixed_wide")
    (folder / "all.c").write_text(SOURCE)
    flags = [*FLAGS, "-O2", f"-I{data_folder('runtime_c') / 'include'}"]
    flags += ["-DNN_SHORT_PRODUCTS"] if request.param == "short" else []
    command = [sys.executable, "-m", "ziglang", "cc", *flags, "all.c", "-o", "all.so"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "all.so"))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def run_c(library: ctypes.CDLL, form: WideForm, acc: np.ndarray) -> np.ndarray:
    point = form.point
    numbers = (point.offset, point.shift, point.guard, point.lo, point.hi, point.zero_point)
    y, top = np.empty(acc.size, np.int32), 127 + form.top - max(form.left, 0)
    library.all_sums(
        pointer(acc), pointer(y), ctypes.c_size_t(acc.size), int(wide_scales(form)[0]), form.left,
        top, pointer(np.asarray(numbers, np.int32)),
    )  # fmt: skip
    return y


@pytest.mark.parametrize("ratio", RATIOS)
def test_c_equals_floats(library, ratio):
    for bound in [bound for bound in BOUNDS if ratio * bound < 2**28]:
        for shape in SHAPES:
            acc = sums(ratio, bound, *shape)
            result = run_c(library, form_of(ratio, bound, *shape), acc)
            np.testing.assert_array_equal(result, requantize(acc, np.float32(ratio), *shape))


SCALES = [
    (1e-4, 2e-4, 1.7e-4),
    (1e-4, 1e-4, 1e-4),
    (2.0**-15, 2.0**-14, 2.0**-15),
    (3e-5, 3e-9, 2e-5),
    (3e-9, 3e-5, 2e-5),
    (0.7, 1.1, 30_000.0),
]


def integers(count: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """Pairs anywhere, near each other and of opposite signs, and zeros."""
    a, b = rng.integers(-65535, 65536, (2, count)).astype(np.int32)
    b[: count // 4] = -a[: count // 4] + rng.integers(-2, 3, count // 4)
    a[count // 2 : count // 2 + 2000] = 0
    b[count // 2 + 1000 : count // 2 + 3000] = 0
    return a, np.clip(b, -65535, 65535)


def floats_of(a: np.ndarray, b: np.ndarray, scales: tuple[float, ...]) -> list[np.ndarray]:
    """Rescaled a, product and sum, as float32 has them."""
    real_a, real_b = a.astype(np.float32) * scales[0], b.astype(np.float32) * scales[1]
    return [real / scales[2] for real in (real_a, real_a * real_b, real_a + real_b)]


@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_floats_in_integers(library, scales):
    """Their bits do not matter, but the whole number that they round to does."""
    scales = tuple(map(np.float32, scales))
    a, b = integers()
    results = [np.empty(a.size, np.int32) for _ in range(3)]
    bits = [float_bits(float(scale)) for scale in scales]
    library.all_floats(*map(pointer, (a, b, *results)), ctypes.c_size_t(a.size), *bits)
    for result, real in zip(results, floats_of(a, b, scales), strict=True):
        np.testing.assert_array_equal(
            np.clip(result, -70_000, 70_000), np.rint(np.clip(real, -70_000, 70_000))
        )


@pytest.mark.parametrize("scales", SCALES, ids=str)
@pytest.mark.parametrize("shape", [(0, *S16), (-40, 0, 32767)], ids=str)
def test_pairs(scales, shape):
    scales = tuple(map(np.float32, scales))
    exact = tuple(map(float, scales))
    a, b = integers()
    rescaled, product, total = (round_clamped(r, *shape) for r in floats_of(a, b, scales))
    bounds = (65535, 65535)
    form = find_rescaled_form(exact[0], exact[2], 65535, *shape)
    np.testing.assert_array_equal(form.apply(a, floats_of(a, b, scales)[0]), rescaled)
    form = find_product_form(exact, bounds, *shape)
    np.testing.assert_array_equal(form.apply(a, b, floats_of(a, b, scales)[1]), product)
    form = find_sum_form(exact, bounds, *shape, 1)
    np.testing.assert_array_equal(form.apply(a, b, floats_of(a, b, scales)[2]), total)
    form = find_sum_form(exact, bounds, *shape, -1)
    real = floats_of(a, -b, scales)[2]
    np.testing.assert_array_equal(form.apply(a, b, real), round_clamped(real, *shape))


def test_scales_beyond_floats_have_no_form():
    assert find_rescaled_form(1e-38, 1e-38, 65535, 0, *S16) is None
    assert find_product_form((1e-20, 1e-20, 1e-3), (65535, 65535), 0, *S16) is None
    assert find_sum_form((1e35, 1e35, 1e35), (65535, 65535), 0, *S16, 1) is None
