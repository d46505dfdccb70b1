from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from cases import LINEAR_TARGETS, MICROSOFT, Case, compare, refuse
from tolerance import EXACT, ONE_STEP

from nn2wasm.errors import InvalidModel
from nn2wasm.quant.arithmetic import ratio, requantize

SIZES = [
    (1, 1, 1),
    (1, 5, 3),
    (1, 7, 4),
    (2, 8, 5),
    (3, 3, 8),
    (1, 640, 128),
    (4, 1, 9),
    (1, 9, 1),
    (5, 17, 6),
    (1, 64, 7),
    (9, 37, 29),
    (1, 70, 83),
]
"""m, k, n"""


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def gemm(
    name: str,
    m: int,
    k: int,
    n: int,
    bias: tuple[int, ...] | None,
    opset: int = 17,
    **attributes: Any,
) -> Case:
    a = floats(*((k, m) if attributes.get("transA") else (m, k)))
    b = floats(*((n, k) if attributes.get("transB") else (k, n)))
    inputs = [a, b] + ([] if bias is None else [floats(*bias)])
    return Case(name, "Gemm", attributes, inputs, constants=(1, 2), opset=opset)


CASES = [
    *(gemm(f"gemm_{m}_{k}_{n}", m, k, n, (n,), transB=1) for m, k, n in SIZES),
    gemm("plain", 2, 5, 3, (3,)),
    gemm("no_bias", 2, 5, 3, None),
    gemm("trans_a", 2, 5, 3, (3,), transA=1),
    gemm("trans_both", 2, 5, 3, (3,), transA=1, transB=1),
    gemm("alpha", 2, 5, 3, (3,), alpha=0.5),
    gemm("beta", 2, 5, 3, (3,), beta=0.25),
    gemm("beta_0", 2, 5, 3, (3,), beta=0.0),
    gemm("alpha_beta_no_bias", 2, 5, 3, None, alpha=-2.0, beta=3.0),
    gemm("bias_row", 2, 5, 3, (1, 3)),
    gemm("bias_column", 2, 5, 3, (2, 1)),
    gemm("bias_matrix", 2, 5, 3, (2, 3)),
    gemm("bias_scalar", 2, 5, 3, (1,)),
    Case("computed_matrix", "Gemm", {"transB": 1}, [floats(2, 5), floats(3, 5), floats(3)]),
    Case("computed_bias", "Gemm", {}, [floats(2, 5), floats(5, 3), floats(3)], constants=(1,)),
    *(gemm(f"gemm_{opset}", 2, 5, 3, (3,), opset=opset, transB=1) for opset in (7, 9, 11, 13)),
    Case("matmul", "MatMul", {}, [floats(3, 5), floats(5, 4)], constants=(1,)),
    Case("matmul_3d", "MatMul", {}, [floats(2, 3, 5), floats(5, 4)], constants=(1,)),
    Case("matmul_4d", "MatMul", {}, [floats(2, 1, 3, 5), floats(5, 7)], constants=(1,)),
    Case("matmul_vector", "MatMul", {}, [floats(5), floats(5, 4)], constants=(1,)),
    Case("matmul_13", "MatMul", {}, [floats(3, 5), floats(5, 4)], constants=(1,), opset=13),
    Case("matmul_7", "MatMul", {}, [floats(3, 5), floats(5, 4)], constants=(1,), opset=7),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@LINEAR_TARGETS
def test_float(case: Case, target: str) -> None:
    compare(case, CASES, target)


S8, U8 = np.int8, np.uint8


def add_gemm(
    bench: Bench,
    name: str,
    size: tuple[int, int, int],
    x_dtype: Any,
    kind: str,
    w_dtype: Any = S8,
    channels: bool = False,
    w_zero: int = 0,
    bias: bool = True,
    relu: bool = False,
) -> None:
    """A product on integers: kind is Gemm or MatMul between quantizers, QGemm, or QLinearMatMul."""
    m, k, n = size
    rows = kind in ("Gemm", "QGemm")  # w [n, k]
    bias = bias and kind != "QLinearMatMul"
    x_quant = Quant(
        x_dtype,
        np.float32(rng.uniform(0.01, 0.1)),
        (128 if x_dtype is U8 else 0) + int(rng.integers(-60, 60)),
    )
    scales = np.asarray(rng.uniform(0.002, 0.02, n if channels else None), np.float32)
    zero = np.full(scales.shape, w_zero + (128 if w_dtype is U8 else 0))
    w_quant = Quant(w_dtype, scales, zero)
    x, w = x_quant.integers(m, k), w_quant.integers(*((n, k) if rows else (k, n)))
    matrix = (w.T if rows else w).astype(np.int64)
    sums = (x.astype(np.int64) - x_quant.zero_point) @ (matrix - zero)
    b = rng.integers(-3000, 3000, n).astype(np.int32)
    sums = sums + b if bias else sums
    y_scale = np.float32(
        max(float(np.percentile(np.abs(sums * x_quant.scale * scales), 97)), 1e-6) / 127
    )
    y_quant = Quant(x_dtype, y_scale, (128 if x_dtype is U8 else 0) + int(rng.integers(-30, 30)))
    low, high = y_quant.limits
    low = max(low, y_quant.zero_point) if relu else low
    expected = requantize(
        sums, ratio(x_quant.scale, scales, y_scale), y_quant.zero_point, low, high
    ).astype(x_dtype)
    b_scale = np.asarray(x_quant.scale * scales, np.float32)
    if kind.startswith("Q"):
        operands = [bench.input(f"{name}_x", x), *bench.pair(f"{name}_x", x_quant)]
        operands += [bench.constant(f"{name}_w", w), *bench.pair(f"{name}_w", w_quant)]
        if kind == "QGemm":
            operands += [bench.constant(f"{name}_b", b)] if bias else [""]
            operands += bench.pair(f"{name}_y", y_quant)
            output = bench.node(kind, operands, name, MICROSOFT, transB=1)
        else:
            output = bench.node(kind, operands + bench.pair(f"{name}_y", y_quant), name)
        bench.done(name, output, expected)
        return
    operands = [
        bench.dequantized(f"{name}_x", x, x_quant),
        bench.dequantized(f"{name}_w", w, w_quant, constant=True, axis=0 if rows else 1),
    ]
    b_name = ""
    if bias:
        b_name = bench.dequantized(
            f"{name}_b", b, Quant(np.int32, b_scale, np.zeros(b_scale.shape)), constant=True
        )
    if kind == "Gemm":
        real = bench.node("Gemm", operands + [b_name] * bias, f"{name}_gemm", transB=1)
    else:
        real = bench.node("MatMul", operands, f"{name}_matmul")
        real = bench.node("Add", [real, b_name], f"{name}_add") if bias else real
    real = bench.node("Relu", [real], f"{name}_relu") if relu else real
    bench.finish(name, real, y_quant, expected)


def benches() -> dict[str, Bench]:
    made = {key: Bench() for key in ("qdq", "qop")}
    for index, size in enumerate(SIZES):
        label = "_".join(map(str, size))
        for dtype in (S8, U8):
            stem = f"{np.dtype(dtype).name}_{label}"
            extra: dict[str, Any] = {"channels": index % 2 == 0, "bias": index % 4 != 3}
            add_gemm(made["qdq"], f"gemm_{stem}", size, dtype, "Gemm", relu=index % 3 == 1, **extra)
            add_gemm(
                made["qdq"], f"matmul_{stem}", size, dtype, "MatMul", relu=index % 3 == 2, **extra
            )
            add_gemm(made["qop"], f"qgemm_{stem}", size, dtype, "QGemm", **extra)
            add_gemm(made["qop"], f"qmatmul_{stem}", size, dtype, "QLinearMatMul")
    for zero in (0, 17):
        add_gemm(made["qdq"], f"u8_weights_{zero}", (2, 9, 6), U8, "Gemm", U8, w_zero=zero)
        add_gemm(made["qdq"], f"u8_matmul_{zero}", (2, 9, 6), U8, "MatMul", U8, w_zero=zero)
        add_gemm(made["qop"], f"u8_qgemm_{zero}", (2, 9, 6), U8, "QGemm", U8, w_zero=zero)
        add_gemm(made["qop"], f"u8_qmatmul_{zero}", (2, 9, 7), U8, "QLinearMatMul", U8, w_zero=zero)
        add_gemm(made["qop"], f"s8_qmatmul_{zero}", (2, 9, 3), S8, "QLinearMatMul", S8, w_zero=zero)
    return made


BENCHES = benches()
INTEGER = [(key, name) for key, bench in BENCHES.items() for name in bench.names]


@pytest.mark.parametrize(("key", "name"), INTEGER)
@LINEAR_TARGETS
def test_integers(key: str, name: str, target: str) -> None:
    answer = BENCHES[key].answers(target)[name]
    assert answer.expected is not None
    assert not (complaint := EXACT(answer.result, answer.expected)), complaint
    near = EXACT if key == "qop" else ONE_STEP
    assert not (complaint := near(answer.result, answer.reference)), complaint


def test_a_batch_of_constant_matrices() -> None:
    one, zero = np.float32(1), np.int8(0)
    x, w = (rng.integers(-99, 99, shape).astype(S8) for shape in ((3, 2), (2, 2, 2)))
    inputs = [x, one, zero, w, np.float32(0.5), zero, np.float32(3), zero]
    compare(case := Case("batch", "QLinearMatMul", {}, inputs, constants=range(1, 8)), [case])


def test_refused() -> None:
    pick = {"constants": (1, 2)}
    refuse(
        InvalidModel,
        Case("bad", "Gemm", {}, [floats(2, 3), floats(4, 5)], **pick),
        "inner sizes|dimension|Dimension|shape",
    )
