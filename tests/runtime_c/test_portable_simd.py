"""The intrinsics of wasm_simd128_portable.h give what the instructions of WebAssembly give, and the
steps of native_simd.h what their definitions give: in several builds for this machine.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path
from platform import machine

import numpy as np
import pytest
import wasmtime

from nn2wasm.resources import data_folder

INCLUDE = data_folder("runtime_c") / "include"
ZIG = (sys.executable, "-m", "ziglang", "cc")
FLAGS = (
    *("-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno", f"-I{INCLUDE}"),
    *("-Wall", "-Wextra", "-Wconversion", "-Werror"),
)
X86 = machine().lower() in ("x86_64", "amd64")
MACROS = ("SSE2", "SSSE3", "AVX2", "AVXVNNI", "AVX512VNNI", "aarch64")
BUILDS = {
    "native": (*ZIG, "-march=native"),
    "usual": ZIG,
    "generic": (*ZIG, *(f"-U__{name}__" for name in MACROS)),
    "gcc": ("gcc",),
    "gcc generic": ("gcc", *(f"-U__{name}__" for name in MACROS)),
} | ({"avx2": (*ZIG, "-march=x86_64_v3"), "gcc avx2": ("gcc", "-mavx2")} if X86 else {})
VECTORS = 4096

# Statements that make y of the vectors a and b, and the bytes p, where these two lie.
STATEMENTS = (
    *(
        f"y = wasm_{name}(a, b)"
        for name in (
            *("v128_and", "v128_or", "v128_xor", "i16x8_add", "i16x8_sub", "i32x4_add"),
            *("i16x8_min", "i16x8_max"),
            *("i32x4_sub", "i32x4_gt", "i8x16_min", "i8x16_max", "i32x4_extmul_low_i16x8"),
            *("i32x4_extmul_high_i16x8", "i16x8_narrow_i32x4", "i8x16_narrow_i16x8"),
            *("i32x4_dot_i16x8", "f32x4_add", "f32x4_mul", "f32x4_pmin", "f32x4_pmax"),
            "i8x16_swizzle",
        )
    ),
    *(
        f"y = wasm_{name}(a)"
        for name in (
            *("i16x8_extend_low_i8x16", "i16x8_extend_high_i8x16", "i32x4_extend_low_i16x8"),
            *("i32x4_extend_high_i16x8", "f32x4_convert_i32x4", "f32x4_abs", "f32x4_sqrt"),
        )
    ),
    *(
        f"y = wasm_{name}(p + 5)"
        for name in (
            *("v128_load", "v128_load8_splat", "v128_load32_splat", "v128_load32_zero"),
            *("v128_load64_zero", "i16x8_load8x8"),
        )
    ),
    *(f"y = wasm_{name}_shr(a, {n})" for name in ("i32x4", "u32x4") for n in (0, 7, 31, 35)),
    *(f"y = wasm_i32x4_shl(a, {n})" for n in (0, 12, 31, 33)),
    "y = wasm_v128_bitselect(a, b, wasm_i8x16_swizzle(a, b))",
    "y = wasm_v128_load8_lane(p + 19, a, 11)",
    "y = a; wasm_v128_store8_lane(y8 + 3, b, 13)",
    "y = a; wasm_v128_store16_lane(y8 + 3, b, 5)",
    "y = a; wasm_v128_store32_lane(y8 + 3, b, 2)",
    "y = a; wasm_v128_store64_lane(y8 + 3, b, 1)",
    "y = wasm_i8x16_splat(wasm_i8x16_extract_lane(a, 9))",
    "y = wasm_i32x4_splat(wasm_i32x4_extract_lane(a, 3))",
    "y = wasm_f32x4_splat(wasm_f32x4_extract_lane(a, 2))",
    "y = wasm_v128_xor(wasm_i16x8_splat(-2), wasm_i8x16_const_splat(3))",
    "y = wasm_v128_xor(wasm_i16x8_const_splat(259), wasm_f32x4_const_splat(-0.5f))",
    "y = wasm_i32x4_const_splat(-70000)",
    "y = wasm_i8x16_shuffle(a, b, 0, 16, 31, 2, 2, 5, 30, 7, 1, 17, 9, 24, 3, 11, 29, 15)",
    "y = wasm_i16x8_shuffle(a, b, 0, 8, 15, 3, 3, 12, 7, 1)",
    "y = wasm_i32x4_shuffle(a, b, 0, 4, 7, 2)",
    "y = wasm_i64x2_shuffle(a, b, 1, 2)",
)
# Without a single answer in WebAssembly; `test_products_of_bytes` has the first.
RELAXED = {"i32x4_relaxed_dot_i8x16_i7x16_add", "f32x4_relaxed_madd"}

SOURCE = """
#include "nn2wasm/simd128.h"
__attribute__((visibility("default"))) void all(const uint8_t *from, uint8_t *to, int n);
__attribute__((visibility("default"))) void all(const uint8_t *from, uint8_t *to, int n) {
  for (int i = 0; i < n; ++i) {
    const uint8_t *const p = from + 32 * i;
    const v128_t a = wasm_v128_load(p), b = wasm_v128_load(p + 16);
    v128_t y;
    uint8_t *const y8 = (uint8_t *)&y;
%s
  }
}
"""
STEPS = """
#include "nn2wasm/native_simd.h"
__attribute__((visibility("default"))) int is_exact(void);
__attribute__((visibility("default"))) int is_exact(void) { return nn_quads_exact(); }
#define STEP(form, T, name, type, load, splat, last, parts) \\
  __attribute__((visibility("default"))) void name(const T *w, const T *x, void *y); \\
  __attribute__((visibility("default"))) void name(const T *w, const T *x, void *y) { \\
    T staged[16]; \\
    form##_stage(staged, x, 16); \\
    const type sum = form##_add##last(load(y), splat(staged), form##_load##last(w)); \\
    for (int i = 0; i < parts; ++i) wasm_v128_store((int8_t *)y + 16 * i, PART##last(sum, i)); \\
  }
#define PART(v, i) v
#define PART_x8 nn_part_x8
#define PART_x16 nn_part_x16
#define WIDE(form, T, n) \\
  STEP(form, T, form##_x##n, nn_x##n, nn_load_x##n, nn_load32_splat_x##n, _x##n, n / 4)
STEP(nn_quads, int8_t, nn_quads_x4, v128_t, wasm_v128_load, wasm_v128_load32_splat, , 1)
STEP(nn_single, float, nn_single_x4, v128_t, wasm_v128_load, wasm_v128_load32_splat, , 1)
WIDE(nn_quads, int8_t, 8)
WIDE(nn_single, float, 8)
WIDE(nn_single, float, 16)
__attribute__((visibility("default"))) int is_unsigned(void);
__attribute__((visibility("default"))) int is_unsigned(void) { return nn_quads_unsigned(); }
"""


@pytest.fixture(scope="module", params=BUILDS)
def compiler(request: pytest.FixtureRequest) -> tuple[str, ...]:
    command = BUILDS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return command


def operands() -> np.ndarray:
    """[VECTORS][32] bytes: any, extremes of bytes, of shorts, of words, and odd floats."""
    rng = np.random.default_rng(3)
    data = rng.integers(0, 256, (VECTORS, 32)).astype(np.uint8)
    data[0::8] = rng.choice(np.uint8([0, 1, 15, 16, 127, 128, 255]), data[0::8].shape)
    shorts = np.int16([0, 1, -1, 127, 128, -128, -129, 32767, -32768])
    data[1::8] = rng.choice(shorts, (VECTORS // 8, 16)).view(np.uint8)
    words = np.int32([0, 1, -1, 32767, 32768, -32768, -32769, 2**31 - 1, -(2**31), 2**24 + 1])
    data[2::8] = rng.choice(words, (VECTORS // 8, 8)).view(np.uint8)
    floats = np.float32([0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-45, 3.4e38, 0.1])
    data[3::8] = rng.choice(floats, (VECTORS // 8, 8)).view(np.uint8)
    data[4::8] = rng.normal(0, 3, (VECTORS // 8, 8)).astype(np.float32).view(np.uint8)
    return data


def source() -> str:
    store = "wasm_v128_store(to, y); to += 16;"
    return SOURCE % "\n".join(f"    {{ {each}; {store} }}" for each in STATEMENTS)


def library(compiler: tuple[str, ...], text: str, folder: Path) -> ctypes.CDLL:
    (folder / "simd.c").write_text(text)
    command = [*compiler, *FLAGS, "-shared", "-fPIC", "simd.c", "-o", "simd.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(folder / "simd.so"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What WebAssembly's own instructions give: [VECTORS][statement][16] bytes."""
    folder = tmp_path_factory.mktemp("wasm")
    (folder / "simd.c").write_text(source())
    target = ("-target", "wasm32-freestanding", "-mcpu=lime1+simd128", "-nostdlib")
    target = (*target, "-isystem", str(INCLUDE.parent / "src" / "freestanding"))
    link = ("-Wl,--no-entry", "-Wl,--export=all", "-Wl,--export=__heap_base")
    command = [*ZIG, *target, *FLAGS, *link, "simd.c", "-o", "simd.wasm"]
    subprocess.run(command, cwd=folder, check=True)
    store = wasmtime.Store()
    module = wasmtime.Module.from_file(store.engine, str(folder / "simd.wasm"))
    exports = wasmtime.Instance(store, module, []).exports(store)
    data = operands()
    begin, count = exports["__heap_base"].value(store), VECTORS * len(STATEMENTS) * 16
    memory = exports["memory"]
    missing = begin + data.size + count - memory.data_len(store)
    memory.grow(store, max(0, -(-missing // 65536)))
    memory.write(store, data.tobytes(), begin)
    exports["all"](store, begin, begin + data.size, VECTORS)
    answer = memory.read(store, begin + data.size, begin + data.size + count)
    return np.frombuffer(answer, np.uint8).reshape(VECTORS, len(STATEMENTS), 16)


def test_the_same_bits_as_webassembly(compiler, expected, tmp_path):
    data = operands()
    got = np.zeros_like(expected)
    all_of = library(compiler, source(), tmp_path).all
    all_of(ctypes.c_void_p(data.ctypes.data), ctypes.c_void_p(got.ctypes.data), VECTORS)
    for index, statement in enumerate(STATEMENTS):
        a, b = (np.ascontiguousarray(each[:, index]) for each in (got, expected))
        if re.search(r"f32x4_(add|mul|sqrt)", statement):  # the payload of a NaN is left open
            np.testing.assert_array_equal(a.view(np.float32), b.view(np.float32), statement)
        else:
            np.testing.assert_array_equal(a, b, statement)


def test_all_intrinsics_are_compared():
    text = (INCLUDE / "nn2wasm" / "wasm_simd128_portable.h").read_text()
    offered = re.findall(r"^(?:#define |static inline \w+ )wasm_(\w+)", text, re.MULTILINE)
    offered += re.findall(r"^NN_[A-Z_]+\((\w+),", text, re.MULTILINE)
    used = set(re.findall(r"\bwasm_(\w+)", source()))
    assert len(offered) > 50
    assert set(offered) - RELAXED <= used


def test_products_of_bytes(compiler, tmp_path):
    steps = library(compiler, STEPS, tmp_path)
    assert steps.is_exact() == 1
    rng = np.random.default_rng(5)
    for lanes in (4, 8):
        for w, x in (
            (np.full((lanes, 4), -128), np.full(16, -128)),
            (np.full((lanes, 4), 127), np.full(16, -128)),
            (rng.integers(-128, 128, (lanes, 4)), rng.integers(-128, 128, 16)),
        ):
            sums = rng.integers(-(10**6), 10**6, lanes).astype(np.int32)
            want = sums + w @ x[:4] + steps.is_unsigned() * 128 * w.sum(1)
            call(steps, f"nn_quads_x{lanes}", w.astype(np.int8), x.astype(np.int8), sums)
            np.testing.assert_array_equal(sums, want)


def test_products_of_floats_are_rounded_before_they_are_added(compiler, tmp_path):
    steps = library(compiler, STEPS, tmp_path)
    rng = np.random.default_rng(7)
    for lanes in (4, 8, 16):
        w, x, sums = (rng.normal(size=n).astype(np.float32) for n in (lanes, 16, lanes))
        want = sums + w * x[0]
        call(steps, f"nn_single_x{lanes}", w, x, sums)
        np.testing.assert_array_equal(sums, want)


def call(steps: ctypes.CDLL, name: str, *arrays: np.ndarray) -> None:
    getattr(steps, name)(*(ctypes.c_void_p(array.ctypes.data) for array in arrays))


@pytest.mark.parametrize("mcpu", ["generic", "generic+dotprod"])
def test_it_compiles_for_arm(mcpu, tmp_path):
    (tmp_path / "simd.c").write_text(source() + STEPS)
    command = [*ZIG, "-target", "aarch64-linux-musl", f"-mcpu={mcpu}", *FLAGS, "-c", "simd.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
