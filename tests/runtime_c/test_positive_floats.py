"""runtime_c/include/nn2wasm/positive_floats.h against this machine's floats, bit for bit."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from nn2wasm.resources import data_folder

SOURCE = """
#include <stddef.h>
#include "nn2wasm/fixed_point.h"
#include "nn2wasm/positive_floats.h"
static int32_t bits_of(nn_positive v) /* of a number that is normal as a float, or 0 */
{
  if (v.m == 0) return 0;
  while (v.m < 0x800000u) { v.m <<= 1; v.e--; }
  return (int32_t)(((uint32_t)(v.e + 150) << 23) | (v.m & 0x7fffffu));
}
void all(const int32_t *a, const int32_t *b, int32_t *sum, int32_t *product, int32_t *quotient,
         int32_t *whole, size_t n, int32_t most)
{
  for (size_t i = 0; i < n; i++) {
    const nn_positive x = nn_positive_of(a[i]), y = nn_positive_of(b[i]);
    sum[i] = bits_of(nn_positive_sum(x, y));
    product[i] = bits_of(nn_positive_product(x, y));
    quotient[i] = bits_of(nn_positive_quotient(x, y));
    whole[i] = nn_positive_whole(x, most);
  }
}
"""
FLAGS = ["-std=c11", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
MOST = 255
rng = np.random.default_rng(9)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("positive")
    (folder / "all.c").write_text(SOURCE)
    include = data_folder("runtime_c") / "include"
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, f"-I{include}", "all.c", "-o", "a.so"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "a.so"))


def compute(library: ctypes.CDLL, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Sum, product, quotient as floats, and a as a whole number."""
    results = [np.empty(a.size, np.int32) for _ in range(4)]
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (a, b, *results)]
    library.all(*pointers, ctypes.c_size_t(a.size), ctypes.c_int32(MOST))
    return [*(array.view(np.float32) for array in results[:3]), results[3]]


def numbers(count: int, low: float, high: float) -> np.ndarray:
    return np.exp2(rng.uniform(low, high, count)).astype(np.float32)


NEAR = (numbers(200_000, -3, 10), numbers(200_000, -3, 10))
FAR = (numbers(50_000, -60, 60), numbers(50_000, -60, 60))
ROUND = tuple(rng.integers(1, 600, (2, 100_000)).astype(np.float32) / 2)  # ties of all kinds
ZERO = (np.zeros(1000, np.float32), numbers(1000, -60, 60))


@pytest.mark.parametrize(("a", "b"), [NEAR, FAR, ROUND, ZERO], ids=["near", "far", "round", "zero"])
def test_bits(library, a, b):
    results = compute(library, a, b)
    for result, expected in zip(results, (a + b, a * b, a / b), strict=False):
        np.testing.assert_array_equal(result.view(np.int32), expected.view(np.int32))
    np.testing.assert_array_equal(results[3], np.minimum(np.rint(a), MOST).astype(np.int32))


def test_subnormals_vanish_in_sums_and_are_zero_as_whole_numbers(library):
    a = np.float32([1e-40, 1e-45, 0.0])
    b = np.float32([1.0, 1e30, 1e-20])
    results = compute(library, a, b)
    np.testing.assert_array_equal(results[0], b)
    assert not results[3].any()
