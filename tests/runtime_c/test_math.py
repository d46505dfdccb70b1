"""runtime_c/include/nn2wasm/math.h against numpy in float64, over the floats that there are."""

from __future__ import annotations

import ctypes
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from nn2wasm.resources import data_folder

SOURCE = """
#include <stddef.h>
#include "nn2wasm/math.h"
#include "nn2wasm/trigonometry.h"
#define EACH(f) \\
  void all_##f(const float *x, float *y, size_t n) \\
  { for (size_t i = 0; i < n; i++) y[i] = f(x[i]); }
EACH(nn_exp) EACH(nn_log) EACH(nn_tanh) EACH(nn_sigmoid) EACH(nn_erf)
EACH(nn_sin) EACH(nn_cos) EACH(nn_tan) EACH(nn_asin) EACH(nn_acos) EACH(nn_atan)
EACH(nn_sinh) EACH(nn_cosh) EACH(nn_asinh) EACH(nn_acosh) EACH(nn_atanh)
EACH(nn_sqrt) EACH(nn_floor) EACH(nn_round) EACH(nn_abs)
void all_nn_pow(const float *x, const float *e, float *y, size_t n)
{ for (size_t i = 0; i < n; i++) y[i] = nn_pow(x[i], e[i]); }
void all_nn_fmod(const float *x, const float *e, float *y, size_t n)
{ for (size_t i = 0; i < n; i++) y[i] = nn_fmod(x[i], e[i]); }
"""
FLAGS = [
    *("-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC"),
    *("-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wdouble-promotion", "-Werror"),
]
STEP = 2003  # every 2003rd float: two million
_erf = np.vectorize(math.erf, otypes=[np.float64])


@pytest.fixture(scope="module", params=["instructions", "portable"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("math")
    (folder / "math_test.c").write_text(SOURCE)
    extra = ["-DNN_PORTABLE_MATH"] if request.param == "portable" else []
    include = data_folder("runtime_c") / "include"
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *extra, f"-I{include}"]
    subprocess.run([*command, "math_test.c", "-o", "math_test.so"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "math_test.so"))


def call(library: ctypes.CDLL, name: str, *arrays: np.ndarray) -> np.ndarray:
    arrays = tuple(np.ascontiguousarray(a, np.float32) for a in arrays)
    y = np.empty_like(arrays[0])
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, y)]
    getattr(library, f"all_{name}")(*pointers, ctypes.c_size_t(y.size))
    return y


def all_floats() -> np.ndarray:
    bits = np.arange(0, 2**32, STEP, dtype=np.uint64).astype(np.uint32)
    edges = np.float32([0.0, -0.0, np.inf, -np.inf, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 1e-45, 3.4e38])
    return np.concatenate([bits.view(np.float32), edges])


def ulps(y: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance in units of the last place of the exact value; NaN and infinities must agree."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
    finite = np.isfinite(rounded) & np.isfinite(y)
    np.testing.assert_array_equal(y[~finite & ~np.isnan(y)], rounded[~finite & ~np.isnan(y)])
    unit = np.spacing(np.abs(rounded[finite])).astype(np.float64)
    return np.abs(y[finite].astype(np.float64) - exact[finite]) / unit


FUNCTIONS = {
    "nn_exp": np.exp,
    "nn_log": np.log,
    "nn_tanh": np.tanh,
    "nn_sigmoid": lambda v: np.where(v < 0, np.exp(-np.abs(v)), 1) / (1 + np.exp(-np.abs(v))),
    "nn_erf": _erf,
    "nn_sin": np.sin,
    "nn_cos": np.cos,
    "nn_tan": np.tan,
    "nn_asin": np.arcsin,
    "nn_acos": np.arccos,
    "nn_atan": np.arctan,
    "nn_sinh": np.sinh,
    "nn_cosh": np.cosh,
    "nn_asinh": np.arcsinh,
    "nn_acosh": np.arccosh,
    "nn_atanh": np.arctanh,
}


def promised(name: str) -> float:
    """The error that its header states."""
    headers = (data_folder("runtime_c") / "include" / "nn2wasm").glob("*.h")
    text = "".join(header.read_text(encoding="utf-8") for header in headers)
    match = re.search(rf"^ \*.*{name}\b.* ([\d.]+) ulp", text, re.MULTILINE)
    assert match is not None, name
    return float(match[1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_is_what_the_header_states(library: ctypes.CDLL, name: str) -> None:
    x = all_floats()
    dense = np.linspace(-10, 10, 1_000_003).astype(np.float32)
    x = np.concatenate([x, dense, np.linspace(0.4, 1.6, 1_000_003).astype(np.float32)])
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name](x.astype(np.float64))
        errors = ulps(call(library, name, x), exact)
    assert errors.max() <= promised(name)


def test_pow(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([np.exp(rng.uniform(-87, 88, 400_000)), rng.uniform(0, 4, 400_000)])
    e = np.concatenate([rng.uniform(-3, 3, 400_000), rng.uniform(-40, 40, 400_000)])
    x, e = x.astype(np.float32), e.astype(np.float32)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), e.astype(np.float64))
        errors = ulps(call(library, "nn_pow", x, e), exact)
    assert errors.max() <= promised("nn_pow")


def test_pow_of_the_special_cases_of_c99(library: ctypes.CDLL) -> None:
    values = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 1e-45, -1e-45, 3e38, -3e38]
    values += [math.inf, -math.inf, math.nan, 2.5, -2.5, 16777216.0, 16777215.0, -16777215.0]
    x, e = (grid.reshape(-1) for grid in np.meshgrid(np.float32(values), np.float32(values)))
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), e.astype(np.float64)).astype(np.float32)
    y = call(library, "nn_pow", x, e)
    np.testing.assert_array_max_ulp(y, exact, 1)
    known = ~np.isnan(exact)
    np.testing.assert_array_equal(np.signbit(y[known]), np.signbit(exact[known]))


def test_fmod(library: ctypes.CDLL) -> None:
    bits = np.random.default_rng(2).integers(0, 2**32, (2, 1_000_000), np.uint64)
    x, e = bits.astype(np.uint32).view(np.float32)
    edges = np.float32([0, -0.0, 1, -1, 3.4e38, 1e-45, -1e-45, np.inf, -np.inf, np.nan, 5.25, 2.5])
    first, second = (grid.reshape(-1) for grid in np.meshgrid(edges, edges))
    x, e = np.concatenate([x, first]), np.concatenate([e, second])
    with np.errstate(all="ignore"):
        exact = np.fmod(x, e)
    y = call(library, "nn_fmod", x, e)
    np.testing.assert_array_equal(y, exact)
    known = ~np.isnan(exact)
    np.testing.assert_array_equal(np.signbit(y[known]), np.signbit(exact[known]))


@pytest.mark.parametrize(
    ("name", "function"),
    [("nn_sqrt", np.sqrt), ("nn_floor", np.floor), ("nn_round", np.rint), ("nn_abs", np.abs)],
)
def test_exact(library: ctypes.CDLL, name: str, function: np.ufunc) -> None:
    x = np.concatenate([all_floats(), np.linspace(-9, 9, 300_001).astype(np.float32)])
    with np.errstate(all="ignore"):
        expected = function(x)
    y = call(library, name, x)
    same = (y.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(y) & np.isnan(expected))
    assert same.all(), x[~same][:5]


def test_limits(library: ctypes.CDLL) -> None:
    x = np.float32([np.inf, -np.inf, np.nan, 88.72284, -103.97])
    np.testing.assert_array_equal(call(library, "nn_exp", x[:3]), [np.inf, 0, np.nan])
    assert np.isinf(call(library, "nn_exp", np.float32([88.7229]))[0])
    assert call(library, "nn_exp", x[3:])[1] > 0  # the least subnormal
    np.testing.assert_array_equal(call(library, "nn_tanh", x[:3]), [1, -1, np.nan])
    np.testing.assert_array_equal(call(library, "nn_sigmoid", x[:3]), [1, 0, np.nan])
    np.testing.assert_array_equal(call(library, "nn_erf", x[:3]), [1, -1, np.nan])
    zeros = np.float32([0.0, -0.0])
    for name in ("nn_tanh", "nn_erf", "nn_sqrt", "nn_floor", "nn_round"):
        np.testing.assert_array_equal(np.signbit(call(library, name, zeros)), [False, True])
