"""Spectra of signals: ONNX DFT-17.., STFT-17.., HannWindow-17.., HammingWindow, BlackmanWindow,
MelWeightMatrix-17..

    y[k] = sum_i x[i] · e^(∓ 2πj · i·k / length) [/ length]

A transform reads its cosines and sines from one turn of the circle and sums in float64; a matrix of
them all would be `length` times as large. Windows and mel matrices are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.cast import ONNX_DTYPES
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gathering import Gather
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp, KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import shape_text


@dataclass(frozen=True)
class Dft(KernelOp):
    """Along one axis of x [… , 1 or 2], real or complex numbers.

    Elements behind `length` are left out, missing ones are 0. `onesided`: of a forward transform
    the first half of the results; a backward one takes such a half and gives real numbers.
    """

    onnx_types = ("DFT",)
    kernels = (
        Kernel(symbol="nn_dft_f32__scalar", template="spectrum/dft_f32__scalar.c.j2", dtype="f32"),
    )

    axis: int
    length: int
    inverse: bool = False
    onesided: bool = False

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, rank = node.input(0), len(node.input(0).shape)
        _check_signal(node, x)
        axis = _one(node, 2, "axis", -2) if node.opset >= 20 else node.attr_int("axis", 1)
        axis = node.axis(axis, rank)
        if axis == rank - 1:
            raise node.invalid("its axis is that of real and imaginary parts")
        inverse = bool(node.attr_int("inverse", 0))
        onesided = bool(node.attr_int("onesided", 0))
        default = 2 * (x.shape[axis] - 1) if inverse and onesided else x.shape[axis]
        length = _one(node, 1, "length", default)
        if not 1 <= length <= node.fold_elements:
            raise node.invalid(f"a transform of length {length}")
        node.emit(cls(axis, length, inverse, onesided), [x])

    @property
    def to_real(self) -> bool:
        """Whether the results are real numbers."""
        return self.inverse and self.onesided

    @property
    def half(self) -> int:
        return self.length // 2 + 1

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        results = self.half if self.onesided and not self.inverse else self.length
        parts = 1 if self.to_real else 2
        shape = (*x.shape[: self.axis], results, *x.shape[self.axis + 1 : -1], parts)
        return [TensorType(x.dtype, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0], np.float64)
        signal = x[..., 0] + 1j * x[..., 1] if x.shape[-1] == 2 else x[..., 0]
        if self.to_real:
            return [np.fft.irfft(signal, self.length, self.axis)[..., None].astype(np.float32)]
        transform = np.fft.ifft if self.inverse else np.fft.fft
        y = transform(signal, self.length, self.axis)
        if self.onesided:
            y = np.take(y, np.arange(self.half), self.axis)
        return [np.stack([y.real, y.imag], -1).astype(np.float32)]

    def macs(self, node: Node) -> int:
        return node.output.element_count * node.input(0).shape[self.axis] * 2

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        inner, parts = prod(x.shape[self.axis + 1 : -1]), x.shape[-1]
        used = min(x.shape[self.axis], self.half if self.to_real else self.length)
        angle = 2 * np.pi * np.arange(self.length) / self.length
        context = {
            "outer": prod(x.shape[: self.axis]), "inner": inner, "parts": parts,
            "used": used, "length": self.length, "results": y.shape[self.axis],
            "x_step": inner * parts, "slab": x.shape[self.axis] * inner * parts,
            "y_step": inner * y.shape[-1], "y_slab": y.shape[self.axis] * inner * y.shape[-1],
            "out_parts": y.shape[-1], "complex": parts == 2, "to_real": self.to_real,
            "middle": self.length // 2 if self.length % 2 == 0 else self.length,
            "divided": f" / {self.length}.0" if self.inverse else "",
            "direction": "inverse" if self.inverse else "forward",
            "shape": shape_text(x.shape), "out_shape": shape_text(y.shape),
        }  # fmt: skip
        sine = np.sin(angle) if self.inverse else -np.sin(angle)
        return Lowering(context=context, constants={"cosine": np.cos(angle), "sine": sine})


class Stft(ImportOp):
    """Of frames of a signal [batch, length, 1 or 2]; the result is [batch, frames, bins, 2]."""

    onnx_types = ("STFT",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, window = node.input(0), node.optional(2)
        _check_signal(node, x)
        step = _one(node, 1, "frame_step", 0)
        default = x.shape[1] if window is None else window.element_count
        length = _one(node, 3, "frame_length", default)
        onesided = bool(node.attr_int("onesided", 1))
        if len(x.shape) != 3 or step < 1 or not 1 <= length <= x.shape[1]:
            raise node.invalid(f"frames of {length} elements, {step} apart, of {list(x.shape)}")
        if window is not None and (window.shape != (length,) or window.dtype is not DType.F32):
            raise node.invalid(f"a window of {list(window.shape)} for frames of {length}")
        if onesided and x.shape[2] == 2:
            raise node.unsupported("half of the spectrum of a complex signal")
        count = 1 + (x.shape[1] - length) // step
        if count * length > node.fold_elements:
            raise node.unsupported(f"frames of more than {node.fold_elements:,} elements")
        places = np.arange(count)[:, None] * step + np.arange(length)
        frames = node.add(
            Gather(1, tuple(places.reshape(-1).tolist()), places.shape), [x], suffix="frames"
        )
        if window is not None:
            shaped = node.add(Reshape((length, 1)), [window], suffix="window")
            frames = node.add(Binary("Mul"), [frames, shaped], suffix="weighted")
        node.emit(Dft(2, length, onesided=onesided), [frames])


def _check_signal(node: OnnxNode, x: Tensor) -> None:
    if x.dtype is not DType.F32:
        raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
    if len(x.shape) < 2 or x.shape[-1] not in (1, 2):
        raise node.invalid(f"a signal of shape {list(x.shape)}; its last axis has 1 or 2 parts")


def _one(node: OnnxNode, index: int, what: str, default: int) -> int:
    """A constant integer, the default where it is left out."""
    values = node.constant(index, what).reshape(-1) if node.optional(index) else [default]
    if len(values) != 1:
        raise node.invalid(f"its {what} is not one number")
    return int(values[0])


def _cosines(*factors: float) -> Callable[[Array], Array]:
    """Sum of factor k times the cosine of k times the angle."""

    def window(angle: Array) -> Array:
        total = np.zeros_like(angle)
        for k, factor in enumerate(factors):
            total = total + factor * np.cos(k * angle)
        return total

    return window


WINDOWS = {
    "HannWindow": _cosines(0.5, -0.5),
    "HammingWindow": _cosines(25 / 46, -21 / 46),
    "BlackmanWindow": _cosines(0.42, -0.5, 0.08),
}


class Window(ImportOp):
    """A constant of the given size."""

    onnx_types = tuple(WINDOWS)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        size = _one(node, 0, "size", 0)
        span = size if node.attr_int("periodic", 1) else size - 1
        if size < 1 or span < 1 or size > node.fold_elements:
            raise node.invalid(f"a window of {size} elements")
        values = WINDOWS[node.op_type](2 * np.pi * np.arange(size) / span)
        node.alias(node.value(values.astype(_output_type(node).numpy), "window"))


def _output_type(node: OnnxNode) -> DType:
    code = node.attr_int("output_datatype", 1)
    if code not in ONNX_DTYPES or ONNX_DTYPES[code] is DType.BOOL:
        raise node.unsupported(f"the element type of code {code}")
    return ONNX_DTYPES[code]


class MelWeightMatrix(ImportOp):
    """Triangles over the bins of a spectrum, evenly spaced on the mel scale; a constant."""

    onnx_types = ("MelWeightMatrix",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        names = ("num_mel_bins", "dft_length", "sample_rate", "lower edge", "upper edge")
        values = [node.constant(i, name).reshape(-1) for i, name in enumerate(names)]
        if any(len(value) != 1 for value in values):
            raise node.invalid("an input is not one number")
        bins, length, rate = (int(value[0]) for value in values[:3])
        lower, upper = (float(value[0]) for value in values[3:])
        rows = length // 2 + 1
        if min(bins, length, rate) < 1 or bins * rows > node.fold_elements:
            raise node.invalid(f"{bins} bins of a transform of {length} at {rate} Hz")
        if not 0 <= lower < upper <= rate / 2:
            raise node.invalid(f"edges of {lower} and {upper} Hz at {rate} Hz")
        low, high = (2595 * np.log10(1 + edge / 700) for edge in (lower, upper))
        mels = np.arange(bins + 2) * ((high - low) / (bins + 2)) + low
        hertz = 700 * (10 ** (mels / 2595) - 1)
        edges = np.floor((length + 1) * hertz / rate).astype(np.int64)
        matrix = np.zeros((rows, bins))
        for i in range(bins):
            left, centre, right = (int(edge) for edge in edges[i : i + 3])
            if left == centre:
                matrix[centre, i] = 1
            else:
                matrix[left : centre + 1, i] = np.arange(centre - left + 1) / (centre - left)
            if right > centre:
                matrix[centre:right, i] = np.arange(right - centre, 0, -1) / (right - centre)
        node.alias(node.value(matrix.astype(_output_type(node).numpy), "mel"))
