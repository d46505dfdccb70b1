"""Requantization in integers: against float32's two roundings, for every sum; and its C."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import exact
import numpy as np
import pytest

from nn2wasm.quant.arithmetic import requantize
from nn2wasm.quant.fixed_point import FixedPoint, Thresholds, find_fixed_point
from nn2wasm.resources import data_folder

BOUND = 60_000
RATIOS = np.float32([1e-9, 3e-6, 4.1e-5, 0.0003, 0.00071, 0.0013, 0.004, 0.0099, 0.03, 0.2, 1 / 3])
LARGE_RATIOS = np.float32([0.5, 0.75, 1.0, 1.5, 40.0])
TIES = np.float32([0.5, 0.25, 0.125, 0.0078125])
rng = np.random.default_rng(11)


def truth_of(ratios: np.ndarray, zero_point: int, lo: int, hi: int) -> Callable:
    return lambda acc: requantize(acc, ratios[:, None], zero_point, lo, hi)


def form_of(
    ratios: np.ndarray, zero_point: int, lo: int = -128, hi: int = 127, bound: int = BOUND
) -> FixedPoint | None:
    bounds = np.full(len(ratios), bound)
    return find_fixed_point(
        ratios, bounds, zero_point, lo, hi, truth_of(ratios, zero_point, lo, hi)
    )


def forced(form: FixedPoint, ratio: float) -> FixedPoint:
    """The guarded form of one channel with the multiplier nearest to a ratio."""
    nearest = np.rint(np.float64([ratio]) * 2.0 ** (32 + form.shift - form.left)).astype(np.int64)
    return replace(form, multipliers=nearest, guarded=True)


@pytest.mark.parametrize("zero_point", [-128, 5])
@pytest.mark.parametrize("ratio", [*RATIOS, *LARGE_RATIOS, *TIES])
def test_every_sum_of_a_channel(ratio, zero_point):
    ratios = np.float32([ratio])
    bound = BOUND if ratio < 0.5 else 2000
    form = form_of(ratios, zero_point, bound=bound)
    assert form is not None
    acc = np.arange(-bound, bound + 1)[None, :]
    expected = requantize(acc, ratios[:, None], zero_point, -128, 127)
    np.testing.assert_array_equal(form.apply(acc), expected)
    np.testing.assert_array_equal(forced(form, ratio).apply(acc), expected)


@pytest.mark.parametrize(("lo", "hi"), [(-128, 127), (0, 127), (-128, 55), (3, 3)])
@pytest.mark.parametrize("seed", range(2))
def test_every_sum_of_many_channels(seed, lo, hi):
    """Channels whose scales differ by a factor of 100 share shift and offset."""
    ratios = np.exp(np.random.default_rng(seed).uniform(-9.5, -5, 24)).astype(np.float32)
    form = form_of(ratios, 3, lo, hi)
    assert form is not None
    acc = np.arange(-BOUND, BOUND + 1)
    for channel in range(len(ratios)):
        one = replace(form, multipliers=form.multipliers[channel : channel + 1])
        expected = requantize(acc, ratios[channel], 3, lo, hi)
        np.testing.assert_array_equal(one.apply(acc[None, :])[0], expected)


def test_a_multiplier_is_proven_where_one_exists():
    assert not form_of(np.float32([0.0131]), 0).guarded
    assert form_of(np.float32([2.0**-8]), 0).guarded  # ties go up and down: no line between


def test_a_multiplier_that_is_a_little_off_is_found_out():
    ratios = np.float32([0.0013])
    thresholds = Thresholds.of(
        truth_of(ratios, 0, -128, 127), ratios, np.asarray([BOUND]), 0, -128, 127
    )
    form = form_of(ratios, 0)
    assert not thresholds.failing(form).any()
    for factor in (0.9999, 1.0001):
        off = np.rint(form.multipliers * factor).astype(np.int64)
        assert thresholds.failing(replace(form, multipliers=off, guarded=False)).all()


def test_thresholds_are_the_least_sums():
    ratios = np.float32([0.0013, 0.25])
    truth = truth_of(ratios, 7, -128, 127)
    bound = np.asarray([50_000, 300])
    found = Thresholds.of(truth, ratios, bound, 7, -128, 127)
    for channel, size in enumerate(bound):
        acc = np.arange(-size, size + 1)
        bytes_ = truth(np.broadcast_to(acc, (2, acc.size)))[channel]
        for index, byte in enumerate(range(-127, 128)):
            reached = acc[bytes_ >= byte]
            assert found.least[channel, index] == (reached[0] if reached.size else size + 1)


@pytest.mark.parametrize("ratio", [0.0, -0.1, np.inf, np.nan])
def test_what_is_no_scale_has_no_form(ratio):
    assert form_of(np.float32([ratio]), 0) is None


def test_sums_that_leave_no_room_have_no_form():
    assert form_of(np.float32([1.5]), 0, bound=2**31 - 1) is None


SOURCE = """
#include <stddef.h>
#include "nn2wasm/fixed_point.h"
void all(const int32_t *acc, int8_t *y, size_t n, int guarded, int32_t left, int32_t m,
         int32_t offset, int shift, int32_t lo, int32_t hi)
{
  for (size_t i = 0; i < n; i++) {
    y[i] = guarded ? nn_requantize_guarded(acc[i] * left, m, offset, shift, lo, hi)
                   : nn_requantize_fixed(acc[i] * left, m, offset, shift, lo, hi);
  }
}
"""
FLAGS = ["-std=c11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


@pytest.fixture(scope="module", params=["long", "short"])
def library(request, tmp_path_factory) -> ctypes.CDLL:
    """With products of 64 bits, and with those of 32 that a Cortex-M0 has."""
    folder = tmp_path_factory.mktemp("fixed_point")
    (folder / "all.c").write_text(SOURCE)
    include = data_folder("runtime_c") / "include"
    flags = [*FLAGS, "-O2", f"-I{include}"]
    flags += ["-DNN_SHORT_PRODUCTS"] if request.param == "short" else []
    command = [sys.executable, "-m", "ziglang", "cc", *flags, "all.c", "-o", "all.so"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "all.so"))


def run_c(library: ctypes.CDLL, form: FixedPoint, acc: np.ndarray) -> np.ndarray:
    acc, y = np.ascontiguousarray(acc, np.int32), np.empty(acc.size, np.int8)
    library.all(
        ctypes.c_void_p(acc.ctypes.data), ctypes.c_void_p(y.ctypes.data), ctypes.c_size_t(acc.size),
        int(form.guarded), 1 << form.left, int(form.multipliers[0]), form.offset, form.shift,
        form.lo, form.hi,
    )  # fmt: skip
    return y


@pytest.mark.parametrize("ratio", [*RATIOS, *LARGE_RATIOS, *TIES])
@pytest.mark.parametrize("zero_point", [-128, 9])
def test_c_equals_numpy(library, ratio, zero_point):
    form = form_of(np.float32([ratio]), zero_point, bound=2000)
    room = 2**31 >> form.left
    anywhere = rng.integers(-room, room, 20_000)
    acc = np.concatenate([np.arange(-20_000, 20_000), [-room, room - 1], anywhere])
    acc = acc[(acc >= -room) & (acc < room)]
    for one in (form, forced(form, ratio)):
        np.testing.assert_array_equal(run_c(library, one, acc), one.apply(acc[None, :])[0])


def test_the_guard_rounds_as_exact_fractions_do(library):
    for ratio in np.exp(rng.uniform(-10, -1, 12)).astype(np.float32):
        form = forced(form_of(np.float32([ratio]), -5), ratio)
        acc = rng.integers(-BOUND, BOUND, 200)
        expected = [exact.requantize(int(a), float(ratio), -5, -128, 127) for a in acc]
        np.testing.assert_array_equal(run_c(library, form, acc), expected)
