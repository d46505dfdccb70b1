"""runtime_c/include/nn2wasm/requantize.h, compiled for this machine, against exact integers."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import exact
import numpy as np
import pytest

from nn2wasm.ir import DType, QuantParams
from nn2wasm.quant.arithmetic import quantize, requantize
from nn2wasm.resources import data_folder

SOURCE = """
#include <stddef.h>
#include "nn2wasm/requantize.h"
void all_requantize(const int32_t *acc, int8_t *y, size_t n, float m, float lo, float hi,
                    int32_t zero_point)
{ for (size_t i = 0; i < n; i++) y[i] = nn_requantize(acc[i], m, lo, hi, zero_point); }
void all_quantize(const float *x, int32_t *y, size_t n, float lo, float hi, int32_t zero_point)
{ for (size_t i = 0; i < n; i++) y[i] = nn_quantize(x[i], lo, hi, zero_point); }
"""
FLAGS = ["-std=c11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
MULTIPLIERS = [
    1e-30,
    2.0**-31,
    1e-7,
    3.1e-5,
    0.000731,
    0.01,
    1 / 3,
    0.5,
    0.75,
    1.0,
    1.5,
    100.0,
    1e10,
    3e38,
]
rng = np.random.default_rng(3)


@pytest.fixture(scope="module", params=["-O0", "-O2", "-O3"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("requantize")
    (folder / "all.c").write_text(SOURCE)
    include = data_folder("runtime_c") / "include"
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, request.param, f"-I{include}"]
    subprocess.run([*command, "all.c", "-o", "all.so"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "all.so"))


def run_requantize(
    library: ctypes.CDLL, acc: np.ndarray, m: float, zero_point: int, lo: int = -128, hi: int = 127
) -> np.ndarray:
    acc = np.ascontiguousarray(acc, np.int32)
    y = np.empty(acc.size, np.int8)
    library.all_requantize(
        ctypes.c_void_p(acc.ctypes.data),
        ctypes.c_void_p(y.ctypes.data),
        ctypes.c_size_t(acc.size),
        ctypes.c_float(m),
        ctypes.c_float(lo - zero_point),
        ctypes.c_float(hi - zero_point),
        ctypes.c_int32(zero_point),
    )
    return y


def sums(m: float) -> np.ndarray:
    """Dense around 0, around every rounding boundary, at the ends, and anywhere."""
    ends = np.concatenate([np.arange(-(2**31), -(2**31) + 300), np.arange(2**31 - 300, 2**31)])
    boundaries = (np.arange(-520, 520) / 2) / m
    near = np.concatenate([np.floor(boundaries) + d for d in (-1, 0, 1, 2)])
    near = near[np.abs(near) < 2**31]
    anywhere = rng.integers(-(2**31), 2**31, 20_000)
    return np.concatenate([np.arange(-70_000, 70_000), ends, near, anywhere]).astype(np.int64)


@pytest.mark.parametrize("m", MULTIPLIERS)
@pytest.mark.parametrize("zero_point", [-128, -1, 0, 64, 127])
def test_c_equals_numpy_on_dense_sums(library: ctypes.CDLL, m: float, zero_point: int) -> None:
    acc, factor = sums(m), np.float32(m)
    with np.errstate(over="ignore"):
        expected = requantize(acc, np.asarray(factor), zero_point, -128, 127)
    np.testing.assert_array_equal(run_requantize(library, acc, float(factor), zero_point), expected)


def test_c_equals_exact_integers(library: ctypes.CDLL) -> None:
    for m in [*MULTIPLIERS, *np.exp(rng.uniform(-14, 1, 30))]:
        factor = float(np.float32(m))
        acc = rng.choice(sums(m), 300)
        result = run_requantize(library, acc, factor, -5)
        expected = [exact.requantize(int(a), factor, -5, -128, 127) for a in acc]
        np.testing.assert_array_equal(result, expected)


def test_ties_between_integers(library: ctypes.CDLL) -> None:
    acc = np.arange(-1000, 1000)
    for m in (0.5, 0.25, 0.125):
        expected = [exact.requantize(int(a), m, 0, -128, 127) for a in acc]
        np.testing.assert_array_equal(run_requantize(library, acc, m, 0), expected)


def test_a_narrower_clamp(library: ctypes.CDLL) -> None:
    acc = np.arange(-3000, 3000)
    expected = requantize(acc, np.asarray(np.float32(0.05)), -28, -28, 100)
    result = run_requantize(library, acc, 0.05, -28, -28, 100)
    np.testing.assert_array_equal(result, expected)
    assert result.min() == -28
    assert result.max() == 100


def test_floats_and_what_is_none(library: ctypes.CDLL) -> None:
    bits = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)
    x = np.concatenate([bits.view(np.float32), np.arange(-300, 300, dtype=np.float32) / 2])
    y = np.empty(x.size, np.int32)
    for zero_point in (-128, 0, 127):
        library.all_quantize(
            ctypes.c_void_p(x.ctypes.data),
            ctypes.c_void_p(y.ctypes.data),
            ctypes.c_size_t(x.size),
            ctypes.c_float(-128 - zero_point),
            ctypes.c_float(127 - zero_point),
            ctypes.c_int32(zero_point),
        )
        real = np.where(np.isnan(x), -np.inf, x)
        expected = quantize(real, QuantParams.per_tensor(1.0, zero_point), DType.S8)
        np.testing.assert_array_equal(y, expected)
