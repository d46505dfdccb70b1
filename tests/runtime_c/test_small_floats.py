"""runtime_c/include/nn2wasm/small_floats.h against numpy and ml_dtypes: all codes, and floats at
and around all that lies between two codes.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from nn2wasm.ir import DType
from nn2wasm.ops.conversion import Conversion
from nn2wasm.resources import data_folder

FORMATS = [dtype for dtype in DType if dtype.is_half or dtype.is_tiny]
CONVERSIONS = [
    *(Conversion(dtype) for dtype in FORMATS),
    *(Conversion(dtype, saturate=False) for dtype in FORMATS if dtype.value.startswith("f8")),
    *(Conversion(DType.F8E8M0, rounding=rounding) for rounding in ("down", "nearest")),
]
FLAGS = ["-std=c11", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
rng = np.random.default_rng(16)


def source() -> str:
    lines = ["#include <stddef.h>", '#include "nn2wasm/small_floats.h"']
    for dtype in FORMATS:
        lines.append(f"""void decode_{dtype.value}(const {dtype.c_name} *x, float *y, size_t n) {{
  for (size_t i = 0; i < n; i++) y[i] = nn_float_of_{dtype.value}(x[i]);
}}""")
    for index, way in enumerate(CONVERSIONS):
        for kind, wide in (("float", DType.F32), ("double", DType.F64)):
            lines.append(
                f"""void encode_{index}_{kind}(const {kind} *x, {way.dtype.c_name} *y, size_t n) {{
  for (size_t i = 0; i < n; i++) {{ const {kind} v = x[i]; y[i] = {way.expression(wide)}; }}
}}"""
            )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("small")
    (folder / "all.c").write_text(source())
    include = data_folder("runtime_c") / "include"
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, f"-I{include}", "all.c", "-o", "a.so"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "a.so"))


def call(library: ctypes.CDLL, name: str, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    y = np.empty(x.size, dtype)
    x = np.ascontiguousarray(x)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (x, y)]
    getattr(library, name)(*pointers, ctypes.c_size_t(x.size))
    return y


def codes(dtype: DType) -> np.ndarray:
    if dtype.is_half:
        return np.arange(2**16, dtype=np.uint16).view(dtype.numpy)
    return np.arange(16 if dtype is DType.F4E2M1 else 256, dtype=np.uint8).view(dtype.numpy)


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """The same numbers, zeros of the same sign."""
    a, b = (array.astype(np.float32) for array in (found, expected))
    both = np.isnan(a) & np.isnan(b)
    return bool((both | (a.view(np.uint32) == b.view(np.uint32))).all())


def numbers(dtype: DType) -> np.ndarray:
    """All numbers of the format, what lies between two of them, and their neighbours."""
    with np.errstate(all="ignore"):
        exact = codes(dtype).astype(np.float32)
        exact = np.sort(exact[np.isfinite(exact)])
        middle = (exact[1:].astype(np.float64) + exact[:-1]) / 2
        near = np.concatenate([exact, middle.astype(np.float32)])
        around = np.concatenate([np.nextafter(near, np.float32(s * np.inf)) for s in (-1, 1)])
        random = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
        ends = np.float32([np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-45, 0.0, -0.0])
        return np.concatenate([near, around, random, ends])


@pytest.mark.parametrize("dtype", FORMATS)
def test_every_code(library: ctypes.CDLL, dtype: DType) -> None:
    found = call(library, f"decode_{dtype.value}", codes(dtype), np.dtype(np.float32))
    assert same(found, codes(dtype))


@pytest.mark.parametrize("index", range(len(CONVERSIONS)))
@pytest.mark.parametrize("kind", ["float", "double"])
def test_floats(library: ctypes.CDLL, index: int, kind: str) -> None:
    way = CONVERSIONS[index]
    x = numbers(way.dtype)
    if kind == "double":  # beside a tie by less than a float can tell
        with np.errstate(all="ignore"):
            x = x.astype(np.float64)
        if way.dtype is DType.F16:
            x = np.concatenate([x, np.nextafter(x, -np.inf), np.nextafter(x, np.inf)])
    with np.errstate(all="ignore"):
        expected = way.evaluate(x)
    found = call(library, f"encode_{index}_{kind}", x, way.dtype.numpy)
    if way.dtype is DType.F4E2M1:
        found, expected = (each[np.isfinite(x)] for each in (found, expected))
    assert same(found, expected)
