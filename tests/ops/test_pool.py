from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from bench import Bench, Quant, rng
from cases import MICROSOFT, Case, compare, refuse
from tolerance import EXACT, ONE_STEP

from nn2wasm.errors import InvalidModel, UnsupportedFeature

S8, U8 = np.int8, np.uint8
Window = tuple[tuple[int, ...], Mapping[str, Any]]


def window(x: tuple[int, ...], kernel: list[int], **attributes: Any) -> Window:
    return x, {"kernel_shape": kernel} | attributes


WINDOWS: dict[str, Window] = {
    "2x2": window((1, 3, 8, 8), [2, 2], strides=[2, 2]),
    "2x2_odd": window((1, 3, 7, 9), [2, 2], strides=[2, 2]),
    "3x3_padded": window((1, 5, 8, 8), [3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    "3x3_stride_1": window((1, 2, 6, 6), [3, 3], pads=[1, 1, 1, 1]),
    "uneven_pads": window((1, 2, 6, 7), [3, 2], pads=[0, 1, 2, 0]),
    "stride_over_kernel": window((1, 4, 9, 9), [2, 2], strides=[3, 4]),
    "whole_image": window((1, 4, 5, 6), [5, 6]),
    "batch": window((3, 2, 6, 6), [3, 3], strides=[2, 2]),
    "line": window((1, 3, 11), [3], strides=[2], pads=[1, 0]),
    "wide": window((1, 2, 4, 12), [1, 5], pads=[0, 2, 0, 2]),
    "one": window((1, 1, 4, 4), [1, 1]),
    "same_upper": window((1, 3, 7, 8), [3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "same_lower": window((1, 3, 8, 7), [2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
    "same_lower_odd": window((1, 3, 7, 7), [2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
    "valid": window((1, 3, 7, 7), [2, 2], auto_pad="VALID"),
    "many_channels": window((1, 17, 4, 4), [2, 2], strides=[2, 2]),
}
CEIL = {
    "ceil": window((1, 2, 7, 8), [3, 3], strides=[2, 2], ceil_mode=1),
    "ceil_padded": window((1, 2, 6, 6), [3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    "ceil_drops_a_window": window(
        (1, 1, 4, 4), [2, 2], strides=[3, 3], pads=[0, 0, 1, 1], ceil_mode=1
    ),
}


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def pool(name: str, op: str, window: Window, opset: int = 19, **more: Any) -> Case:
    return Case(name, op, {**window[1], **more}, [floats(*window[0])], opset=opset)


DILATED = window((1, 2, 9, 9), [3, 3], dilations=[2, 2], pads=[2, 2, 2, 2])
MAX = [
    *(pool(f"max_{name}", "MaxPool", one) for name, one in (WINDOWS | CEIL).items()),
    pool("max_dilated", "MaxPool", DILATED),
    Case(
        "max_infinite",
        "MaxPool",
        {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]},
        [np.full((1, 1, 3, 3), -np.inf, np.float32)],
        opset=19,
        tolerance=EXACT,
        reference=np.full((1, 1, 4, 4), -np.inf, np.float32),
    ),  # onnxruntime: the lowest finite number
    Case("global_max", "GlobalMaxPool", {}, [floats(2, 5, 3, 4)], opset=19),
    Case("global_max_line", "GlobalMaxPool", {}, [floats(1, 5, 7)], opset=19),
    *(pool(f"max_{opset}", "MaxPool", WINDOWS["3x3_padded"], opset) for opset in (8, 10, 12)),
]
AVERAGE = [
    *(pool(f"avg_{name}", "AveragePool", one) for name, one in (WINDOWS | CEIL).items()),
    *(
        pool(f"avg_pad_{name}", "AveragePool", one, count_include_pad=1)
        for name, one in WINDOWS.items()
    ),
    pool("avg_dilated", "AveragePool", DILATED),
    Case("global_avg", "GlobalAveragePool", {}, [floats(2, 5, 3, 4)], opset=19),
    Case("global_avg_line", "GlobalAveragePool", {}, [floats(1, 5, 7)], opset=19),
    *(
        pool(f"avg_{opset}", "AveragePool", WINDOWS["3x3_padded"], opset)
        for opset in (7, 10, 11, 22)
    ),
]
CASES = MAX + AVERAGE


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float(case: Case, target: str) -> None:
    compare(case, CASES, target)


def quant(dtype: Any, scale: float = 0.05) -> Quant:
    return Quant(dtype, np.float32(scale), (128 if dtype is U8 else 0) + int(rng.integers(-60, 60)))


def add_pool(bench: Bench, name: str, op: str, window: Window, dtype: Any, **more: Any) -> None:
    """A pooling between quantizers: one scale around a maximum, two around an average."""
    x_quant = quant(dtype)
    y_quant = x_quant if "Max" in op else quant(dtype, 0.031)
    real = bench.dequantized(f"{name}_x", x_quant.integers(*window[0]), x_quant)
    attributes = {} if op.startswith("Global") else {**window[1], **more}
    bench.finish(name, bench.node(op, [real], f"{name}_pool", **attributes), y_quant, None)


def bench_between_quantizers() -> Bench:
    bench = Bench()
    for dtype in (S8, U8):
        label = np.dtype(dtype).name
        for name, one in (WINDOWS | CEIL).items():
            add_pool(bench, f"max_{label}_{name}", "MaxPool", one, dtype)
            add_pool(bench, f"avg_{label}_{name}", "AveragePool", one, dtype)
            if name not in CEIL:
                add_pool(
                    bench, f"pad_{label}_{name}", "AveragePool", one, dtype, count_include_pad=1
                )
        for size in ((2, 5, 3, 4), (1, 3, 7, 7), (1, 4, 9)):
            rank = f"{label}_{'_'.join(map(str, size))}"
            add_pool(bench, f"global_avg_{rank}", "GlobalAveragePool", (size, {}), dtype)
            add_pool(bench, f"global_max_{rank}", "GlobalMaxPool", (size, {}), dtype)
    return bench


BENCH = bench_between_quantizers()


@pytest.mark.parametrize("name", BENCH.names)
def test_between_quantizers(name: str, target: str) -> None:
    answer = BENCH.answers(target)[name]
    near = EXACT if "max" in name else ONE_STEP
    assert not (complaint := near(answer.result, answer.reference)), complaint


def bench_of_qlinear() -> Bench:
    bench = Bench()

    def add(name: str, op: str, shape: tuple[int, ...], dtype: Any, **attributes: Any) -> None:
        x_quant, y_quant = quant(dtype), quant(dtype, 0.043)
        x = bench.input(f"{name}_x", x_quant.integers(*shape))
        operands = [x, *bench.pair(f"{name}_x", x_quant), *bench.pair(f"{name}_y", y_quant)]
        bench.done(name, bench.node(op, operands, name, MICROSOFT, **attributes))

    for dtype in (S8, U8):
        label = np.dtype(dtype).name
        for size in ((1, 5, 3, 4), (1, 3, 7, 7), (2, 16, 2, 2), (1, 40, 12, 12)):
            add(
                f"global_{label}_{size[2]}",
                "QLinearGlobalAveragePool",
                size,
                dtype,
                channels_last=0,
            )
        for name, one in WINDOWS.items():
            add(f"avg_{label}_{name}", "QLinearAveragePool", one[0], dtype, **one[1])
        add(
            f"pad_{label}",
            "QLinearAveragePool",
            WINDOWS["3x3_padded"][0],
            dtype,
            **WINDOWS["3x3_padded"][1],
            count_include_pad=1,
        )
    return bench


QLINEAR = bench_of_qlinear()


@pytest.mark.parametrize("name", QLINEAR.names)
def test_qlinear(name: str, target: str) -> None:
    """The global average is onnxruntime's to the byte; in the other it averages floats."""
    answer = QLINEAR.answers(target)[name]
    near = EXACT if name.startswith("global") else ONE_STEP
    assert not (complaint := near(answer.result, answer.reference)), complaint


BYTES = [
    Case(
        f"max_plain_{np.dtype(dtype).name}",
        "MaxPool",
        {"kernel_shape": [2, 2], "pads": [1, 0, 0, 1]},
        [quant(dtype).integers(1, 3, 5, 5)],
        opset=19,
        tolerance=EXACT,
    )
    for dtype in (S8, U8)
]


@pytest.mark.parametrize("case", BYTES, ids=str)
def test_bytes_without_a_meaning(case: Case) -> None:
    compare(case, BYTES)


def test_refused() -> None:
    x = [floats(1, 1, 4, 4)]
    refuse(InvalidModel, Case("bad", "MaxPool", {"kernel_shape": [5, 5]}, x), "kernel")
    refuse(
        UnsupportedFeature,
        Case("bad", "AveragePool", {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, x),
        "padding",
    )
    tesseract = [floats(1, 1, 4, 4, 4, 4)]
    refuse(
        UnsupportedFeature,
        Case("bad", "MaxPool", {"kernel_shape": [2, 2, 2, 2]}, tesseract),
        "spatial axes",
    )
