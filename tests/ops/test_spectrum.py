"""Fourier transforms of any length, windows, mel matrices; the same bits as another type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, folded, reference_outputs, refuse
from tolerance import CLOSE, EXACT

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature

rng = np.random.default_rng(31)
REAL = rng.normal(size=(2, 7, 3, 1)).astype(np.float32)
COMPLEX = rng.normal(size=(2, 7, 6, 2)).astype(np.float32)
SIGNAL = rng.normal(size=(2, 50, 1)).astype(np.float32)
WINDOW = rng.uniform(size=12).astype(np.float32)


def one(value: Any, dtype: Any = np.int64) -> np.ndarray:
    return np.asarray(value, dtype)


def case(
    name: str, op: str, inputs: list[Any], constants: Any = (), opset: int = 20, **more: Any
) -> Case:
    reference = more.pop("reference", "onnx")
    return Case(name, op, more, inputs, constants, opset, tolerance=CLOSE, reference=reference)


TRANSFORMS = [
    case("real", "DFT", [REAL, None, one(1)], (2,)),
    case("real_half", "DFT", [REAL, None, one(1)], (2,), onesided=1),
    case("complex_default", "DFT", [COMPLEX]),
    case("complex_shorter", "DFT", [COMPLEX, one(5), one(-2)], (1, 2)),
    case("complex_longer", "DFT", [COMPLEX, one(9), one(1)], (1, 2)),
    case("back", "DFT", [COMPLEX, None, one(0)], (2,), inverse=1),
    case("back_longer", "DFT", [COMPLEX, one(8), one(1)], (1, 2), inverse=1),
    case("to_real", "DFT", [COMPLEX, None, one(1)], (2,), inverse=1, onesided=1),
    case("to_real_odd", "DFT", [COMPLEX, one(9), one(1)], (1, 2), inverse=1, onesided=1),
    case("to_real_longer", "DFT", [COMPLEX, one(16), one(2)], (1, 2), inverse=1, onesided=1),
    case("transform_17", "DFT", [REAL], opset=17, axis=1, reference="ort"),
]
FRAMES = [
    case("frames", "STFT", [SIGNAL, one(5), None, one(16)], (1, 3), 17),
    case("frames_window", "STFT", [SIGNAL, one(7), WINDOW], (1, 2), 17),
    case("frames_window_fed", "STFT", [SIGNAL, one(7), WINDOW, one(12)], (1, 3), 17),
    case("frames_whole", "STFT", [SIGNAL, one(9), None, one(10)], (1, 3), 17, onesided=0),
]
CASES = TRANSFORMS + FRAMES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_spectra(case):
    compare(case, CASES)


CONSTANTS = [
    case(f"{op}_{periodic}_{code}", op, [one(9)], (0,), 17, periodic=periodic, output_datatype=code)
    for op in ("HannWindow", "HammingWindow", "BlackmanWindow")
    for periodic in (0, 1)
    for code in (1, 11)
] + [
    case(
        "mel", "MelWeightMatrix",
        [one(8), one(64), one(16000), one(20, np.float32), one(7900, np.float32)], range(5), 17,
    ),
    case("folded", "DFT", [COMPLEX, None, one(1)], (0, 2)),
    case("folded_real", "DFT", [COMPLEX, one(9), one(1)], (0, 1, 2), inverse=1, onesided=1),
    case("bits", "BitCast", [np.float32([1.5, -0.0, np.inf])], (0,), 26, to=6),
]  # fmt: skip


@pytest.mark.parametrize("case", CONSTANTS, ids=str)
def test_known_while_compiling(case):
    expected = reference_outputs(case)[0]
    actual = folded(case)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert not CLOSE(actual, expected)


BITS = [
    case("to_s32", "BitCast", [SIGNAL], opset=26, to=6),
    case("to_f32", "BitCast", [np.int32([0, -1, 2**30, 7])], opset=26, to=1),
    case("to_u8", "BitCast", [np.int8([-1, 5])], opset=26, to=2),
    case("to_f64", "BitCast", [np.uint64([0, 2**62, 3])], opset=26, to=11),
]


@pytest.mark.parametrize("case", BITS, ids=str)
def test_bits(case):
    compare(Case(**{**vars(case), "tolerance": EXACT}), BITS)


def test_double_and_unsigned_constants_keep_their_digits():
    values = np.float64([1 / 3, 1e300, -0.1])
    wide = np.uint64([2**64 - 1, 2**63, 1])
    joined = [
        Case("doubles", "Concat", {"axis": 0}, [values, values + 1], (0,), 18, tolerance=EXACT),
        Case("wide", "Concat", {"axis": 0}, [wide, wide], (0,), 18, tolerance=EXACT),
    ]
    for each in joined:
        compare(each, joined)


REFUSED = [
    (InvalidModel, case("parts", "DFT", [SIGNAL[..., 0]]), "1 or 2 parts"),
    (InvalidModel, case("axis", "DFT", [REAL, None, one(-1)], (2,)), "real and imaginary"),
    (InvalidModel, case("zero", "DFT", [REAL, one(0)], (1,)), "length 0"),
    (DynamicShape, case("length", "DFT", [REAL, one(4)]), "length is computed"),
    (InvalidModel, case("step", "STFT", [SIGNAL, one(0), WINDOW], (1,), 17), "0 apart"),
    (InvalidModel, case("long", "STFT", [SIGNAL, one(1), None, one(51)], (1, 3), 17), "51"),
    (
        UnsupportedFeature,
        case("both", "STFT", [COMPLEX[0], one(1), None, one(3)], (1, 3), 17),
        "half of the spectrum",
    ),
    (InvalidModel, case("size", "BitCast", [SIGNAL], opset=26, to=7), "has not the size"),
]


@pytest.mark.parametrize(("error", "case", "match"), REFUSED, ids=lambda v: str(v)[:20])
def test_refused(error, case, match):
    refuse(error, case, match)
