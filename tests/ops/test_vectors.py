"""Every kernel for SIMD gives the bits of the scalar one: all lengths of tails, in place, beside
its neighbours in memory.

One model holds all graphs. Its outputs are alive together, so whoever writes beyond its own tensor
changes another's.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from cases import MICROSOFT, run

from nn2wasm.api import Options, plan_model
from nn2wasm.ir import Tensor
from nn2wasm.ops.unary import VECTORS
from nn2wasm.plan import Plan
from nn2wasm.target import find_target

S8 = np.int8
LENGTHS = range(1, 41)
CHANNELS = (1, 3, 4, 5, 7, 8, 11, 15, 16, 17, 20, 23, 31, 32, 33, 35)
SPECIAL = np.float32(
    [
        0,
        -0.0,
        1e-45,
        -1e-45,
        1e-39,
        3e38,
        -3e38,
        np.inf,
        -np.inf,
        np.nan,
        88.72,
        88.9,
        -87.4,
        -103.9,
    ]
)
SIMD = ("wasm-simd128", "wasm-relaxed", "host", "cortex-m55")


def floats(*shape: int) -> np.ndarray:
    return rng.normal(scale=2, size=shape).astype(np.float32)


def integers(*shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(S8)


def quant(scale: float | None = None) -> Quant:
    return Quant(S8, np.float32(scale or rng.uniform(0.02, 0.08)), int(rng.integers(-60, 60)))


def add_plain(bench: Bench, name: str, op: str, *operands: np.ndarray, **attributes: Any) -> None:
    names = [bench.input(f"{name}_{index}", value) for index, value in enumerate(operands)]
    bench.done(name, bench.node(op, names, name, **attributes))


def add_bytes(
    bench: Bench,
    name: str,
    op: str,
    *operands: np.ndarray,
    constants: tuple[str, ...] = (),
    quants: tuple[Quant, ...] = (),
    **attributes: Any,
) -> None:
    """A node between quantizers; `constants` are names of further inputs."""
    every = quants or tuple(quant() for _ in range(len(operands) + 1))
    real = [
        bench.dequantized(f"{name}_{index}", value, every[index])
        for index, value in enumerate(operands)
    ]
    result = bench.node(op, [*real, *constants], f"{name}_real", **attributes)
    bench.finish(name, result, every[-1], None)


def add_elementwise(bench: Bench) -> None:
    every = rng.integers(0, 2**32, 6001).astype(np.uint32).view(np.float32)
    special = np.concatenate([SPECIAL, floats(231), floats(31) * 40, every])
    for function in VECTORS:
        domain, op = ("", function)
        attributes: dict[str, Any] = {}
        if function.startswith("Gelu") and function != "Gelu":
            op, attributes = "Gelu", {"approximate": "tanh"}
        add_plain(bench, f"special_{function}", op, special, domain=domain, **attributes)
    for n in LENGTHS:
        add_plain(bench, f"exp_{n}", "Exp", floats(n))
        add_bytes(bench, f"table_{n}", "Sigmoid", integers(n))
        add_plain(bench, f"softmax_{n}", "Softmax", floats(3, n), axis=1)
        pair = (quant(), Quant(S8, 1 / 256, -128))
        add_bytes(bench, f"softmax_s8_{n}", "Softmax", integers(3, n), quants=pair, axis=1)
        add_bytes(bench, f"add_{n}", "Add", integers(n), integers(n))
        add_bytes(bench, f"mul_{n}", "Mul", integers(n), integers(n))
        add_bytes(bench, f"rows_{n}", "Add", integers(3, n), integers(n))
        add_bytes(bench, f"columns_{n}", "Mul", integers(3, n), integers(3, 1))
        add_bytes(bench, f"swapped_{n}", "Sub", integers(n), integers(3, n))
        add_bytes(bench, f"single_{n}", "Mul", integers(1), integers(n))
    for op in ("Sub", "Div", "Min", "Max", "PRelu", "Mul"):
        add_bytes(bench, f"pair_{op}", op, integers(5, 37), integers(37))
        loud = (quant(0.9), quant(0.7), quant(0.001))
        add_bytes(bench, f"loud_{op}", op, integers(67), integers(67), quants=loud)
    pairs = np.meshgrid(np.arange(-128, 128, dtype=S8), np.arange(-128, 128, dtype=S8))
    for index in range(4):
        add_bytes(bench, f"all_mul_{index}", "Mul", *pairs)
        add_bytes(bench, f"all_add_{index}", "Add", *pairs)


def add_qlinear(bench: Bench) -> None:
    for dtype in (np.int8, np.uint8):
        for op in ("QLinearAdd", "QLinearMul"):
            name = f"{op}_{np.dtype(dtype).name}"
            zero = 0 if dtype is np.int8 else 128
            every = [Quant(dtype, rng.uniform(0.01, 0.1), zero + i) for i in (7, -20, 31)]
            operands = []
            for index, one in enumerate(every[:2]):
                q = bench.input(f"{name}_{index}", one.integers(3, 45))
                operands += [q, *bench.pair(f"{name}_{index}", one)]
            operands += bench.pair(f"{name}_y", every[2])
            bench.done(name, bench.node(op, operands, name, domain=MICROSOFT))


def add_normalization(bench: Bench) -> None:
    for rows in range(1, 10):
        for n in (4, 8, 20):
            name = f"normalized_{rows}_{n}"
            factors = [bench.constant(f"{name}_{part}", floats(n)) for part in ("scale", "bias")]
            x = bench.input(f"{name}_x", floats(rows, n))
            operands = [x, *factors[: 1 + rows % 2]]
            bench.done(name, bench.node("LayerNormalization", operands, name, axis=-1))


def add_quantizers(bench: Bench) -> None:
    for n in (*LENGTHS, 63, 64, 65, 200):
        x = np.resize(np.concatenate([SPECIAL, floats(190) * 3, np.float32([0.5, 1.5, -0.5])]), n)
        for scale in (0.037, 0.25):
            name = f"quantize_{n}_{scale}".replace(".", "_")
            bench.finish(name, bench.input(f"{name}_x", x), quant(scale), None)
        bench.done(f"real_{n}", bench.dequantized(f"real_{n}", integers(n), quant()))


def add_windows(bench: Bench) -> None:
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 1]}
    inner = {"kernel_shape": [2, 2]}
    for c in CHANNELS:
        x = (1, c, 5, 6)
        for label, op, attributes in (
            ("max", "MaxPool", window),
            ("max_inner", "MaxPool", inner),
            ("average", "AveragePool", window),
            ("average_inner", "AveragePool", inner),
            ("global", "GlobalAveragePool", {}),
        ):
            add_plain(bench, f"{label}_{c}", op, floats(*x), **attributes)
            both = (quant(0.05), quant(0.05 if op == "MaxPool" else 0.03))
            if op == "MaxPool":
                both = both[:1] * 2
            add_bytes(bench, f"{label}_s8_{c}", op, integers(*x), quants=both, **attributes)
    big = {"kernel_shape": [20, 15]}
    add_bytes(bench, "average_big", "AveragePool", integers(1, 16, 20, 16), **big)
    add_plain(bench, "max_nothing", "MaxPool", np.resize(SPECIAL, (1, 5, 7, 6)), **window)


def add_products(bench: Bench) -> None:
    for m, k, n in ((1, 5, 4), (2, 3, 7), (3, 8, 9), (4, 1, 8), (5, 7, 13), (9, 16, 33), (6, 4, 3)):
        add_plain(bench, f"product_{m}_{k}_{n}", "MatMul", floats(2, m, k), floats(2, k, n))
    add_plain(bench, "product_vector", "MatMul", floats(5), floats(5, 12))
    for ic, oc in ((3, 4), (8, 12), (16, 20), (8, 36), (24, 32), (8, 6), (8, 44)):
        stem = f"transposed_{ic}_{oc}"
        name = bench.constant(f"{stem}_w", floats(ic, oc, 3, 3))
        x = bench.input(f"{stem}_x", floats(1, ic, 4, 5))
        near = {"strides": [2, 2], "pads": [1, 1, 0, 1]}
        bench.done(stem, bench.node("ConvTranspose", [x, name], stem, **near))
        stem, x_quant = f"transposed_s8_{ic}_{oc}", quant()
        w_quant = Quant(S8, rng.uniform(0.01, 0.02, oc).astype(np.float32), np.zeros(oc, S8))
        w = integers(ic, oc, 2, 3)
        real = [
            bench.dequantized(f"{stem}_x", integers(1, ic, 4, 5), x_quant),
            bench.dequantized(f"{stem}_w", w, w_quant, constant=True, axis=1),
        ]
        result = bench.node("ConvTranspose", real, f"{stem}_real", strides=[2, 2])
        bench.finish(stem, result, quant(0.5), None)


def add_movement(bench: Bench) -> None:
    for mode in ("nearest", "linear", "cubic"):
        for c in (1, 3, 4, 5, 8, 11, 16, 23):
            name = f"{mode}_{c}"
            rest = ("", bench.constant(f"{name}_scales", np.float32([1, 2, 1.5, 1])))
            x = bench.input(f"{name}_x", floats(1, 4, 5, c))
            bench.done(name, bench.node("Resize", [x, *rest], name, mode=mode))
            same = (quant(0.05),) * 2 if mode == "nearest" else ()
            add_bytes(
                bench, f"{name}_s8", "Resize", integers(1, 4, 5, c),
                constants=rest, quants=same, mode=mode,
            )  # fmt: skip
    for n in LENGTHS:
        parts = (integers(3, n), integers(3, 2 * n), integers(3, 7))
        names = [bench.input(f"concat_{n}_{index}", part) for index, part in enumerate(parts)]
        bench.done(f"concat_{n}", bench.node("Concat", names, f"concat_{n}", axis=1))
        add_plain(bench, f"heads_{n}", "Transpose", floats(3, 2, n), perm=[1, 0, 2])
        add_plain(bench, f"columns_f32_{n}", "Transpose", floats(2, n, 7), perm=[0, 2, 1])
        add_plain(bench, f"columns_s8_{n}", "Transpose", integers(2, 11, n), perm=[0, 2, 1])
    for c in range(2, 9):
        for n in (16, 17, 31, 40):
            add_plain(bench, f"pixels_{c}_{n}", "Transpose", integers(1, c, n), perm=[0, 2, 1])


def make_bench() -> Bench:
    bench = Bench()
    add_elementwise(bench)
    add_qlinear(bench)
    add_normalization(bench)
    add_quantizers(bench)
    add_windows(bench)
    add_products(bench)
    add_movement(bench)
    return bench


BENCH = make_bench()


@functools.cache
def results(target: str) -> Mapping[str, np.ndarray]:
    return run(BENCH.model(), BENCH.feeds, target)


@functools.cache
def plan(target: str) -> Plan:
    return plan_model(BENCH.model(), find_target(target), Options(name="vectors")).plan


@pytest.mark.parametrize("target", SIMD)
@pytest.mark.parametrize("name", BENCH.names)
def test_bits_are_those_of_the_scalar_kernel(name: str, target: str) -> None:
    actual, expected = results(target)[name], results("wasm")[name]
    assert actual.dtype == expected.dtype
    if actual.dtype == np.float32:
        assert np.array_equal(np.isnan(actual), np.isnan(expected))
        actual, expected = (
            np.where(np.isnan(values), np.float32(0), values).view(np.int32)
            for values in (actual, expected)
        )
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    "symbol",
    [
        "nn_binary_s8_int_16__simd128",
        "nn_binary_s8_16__simd128",
        "nn_unary_f32_16__simd128",
        "nn_table_s8_16__simd128",
        "nn_quantize_s8_16__simd128",
        "nn_dequantize_s8_16__simd128",
        "nn_softmax_f32_4__simd128",
        "nn_maxpool_s8_16__simd128",
        "nn_maxpool_f32_4__simd128",
        "nn_avgpool_s8_16__simd128",
        "nn_avgpool_f32_4__simd128",
        "nn_matmul_f32_4x8__simd128",
        "nn_conv_transpose_s8_1x32__simd128",
        "nn_conv_transpose_f32_1x32__simd128",
        "nn_resize_linear_s8_8__simd128",
        "nn_resize_linear_f32_4__simd128",
        "nn_resize_nearest__simd128",
        "nn_copy__simd128",
        "nn_softmax_s8_16__simd128",
        "nn_normalize_f32_4__simd128",
        "nn_transpose__simd128",
        "nn_interleave_16__simd128",
        "nn_binary_s8_int_4__mve",
        "nn_binary_s8_4__mve",
        "nn_table_s8_16__mve",
        "nn_maxpool_s8_16__mve",
        "nn_avgpool_s8_4__mve",
    ],
)
def test_the_kernel_is_among_them(symbol: str) -> None:
    target = "cortex-m55" if symbol.endswith("__mve") else SIMD[0]
    assert any(call.choice.kernel.symbol == symbol for call in plan(target).calls)


def float_chain() -> Bench:
    bench, one = Bench(), quant(0.04)
    real = bench.node("Exp", [bench.input("x", floats(3, 47))], "real")
    q = bench.node("QuantizeLinear", [real, *bench.pair("q", one)], "q")
    real = bench.node("DequantizeLinear", [q, *bench.pair("q", quant(0.03), "_other")], "after")
    bench.done("y", bench.node("Softmax", [real], "y", axis=1))
    return bench


def byte_chain() -> Bench:
    bench = Bench()
    operands = [
        bench.dequantized("b", integers(3, 47), quant(0.01)),
        bench.dequantized("a", integers(3, 47), quant(0.05)),
    ]
    mid = bench.node("Sigmoid", operands[1:], "mid")
    pair = Quant(S8, 1 / 256, -128)
    q = bench.node("QuantizeLinear", [mid, *bench.pair("mid", pair)], "q")
    mid = bench.node("DequantizeLinear", [q, *bench.pair("mid", pair, "_again")], "again")
    bench.finish("y", bench.node("Mul", [mid, operands[0]], "product"), quant(0.02), None)
    return bench


def normalizer() -> Bench:
    bench = Bench()
    real = bench.node("Exp", [bench.input("x", floats(7, 20))], "real")
    scale = bench.constant("scale", floats(20))
    bench.done("y", bench.node("LayerNormalization", [real, scale], "y", axis=-1))
    return bench


def dequantizer() -> Bench:
    bench = Bench()
    real = bench.dequantized("x", integers(3, 47), quant(0.05))
    bench.done("y", bench.node("Exp", [real], "y"))
    return bench


@pytest.mark.parametrize(
    ("bench", "kinds"),
    [
        (float_chain(), ("Exp", "Quantize", "Softmax")),
        (byte_chain(), ("Table", "Mul")),
        (dequantizer(), ("Dequantize", "Exp")),
        (normalizer(), ("Exp", "Normalize")),
    ],
    ids=["floats", "bytes", "dequantizer", "normalizer"],
)
def test_overlapping_tensors(bench: Bench, kinds: tuple[str, ...]) -> None:
    """Each kernel writes over what it reads; rows end in vectors that overlap the one before."""
    compiled = plan_model(bench.model(), find_target(SIMD[0]), Options(name="chain")).plan
    offsets = compiled.memory.offsets

    def share(x: Tensor, y: Tensor) -> bool:
        return offsets[x] < offsets[y] + y.bytes and offsets[y] < offsets[x] + x.bytes

    shared = [
        call
        for call in compiled.calls
        if any(share(x, call.node.output) for x in call.node.activations)
    ]
    assert tuple(call.node.op.kind for call in shared) == kinds
    assert all("simd128" in call.choice.kernel.symbol for call in shared)
    expected = run(bench.model(), bench.feeds)["y"]
    for target in SIMD:
        np.testing.assert_array_equal(run(bench.model(), bench.feeds, target)["y"], expected)
