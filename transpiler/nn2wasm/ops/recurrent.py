"""Recurrent cells over a sequence: one kernel runs all steps, its scratch is the state of one.

    RNN   h = f(W x + R h + b)
    GRU   z, r = f(W x + R h + b);  n = g(W x + b + R (r h)) or g(W x + b + r (R h + c))
          h = (1 − z) n + z h
    LSTM  i, o, f = f(W x + R h + b + P c);  c = f c + i g(W x + R h + b);  h = o h(c)

ONNX RNN-7.., GRU-7.., LSTM-7..; `ops.recurrent_inputs` reads them. Weights are float32, known at
compile time or not, or constants of 8 bits with a scale for each output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.activations import Activation
from nn2wasm.ops.joining import Concat
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.recurrent_cell import C0, H0, INPUTS, LENGTHS, PACKED, B, C, CellWriter, P, R, W, X
from nn2wasm.ops.recurrent_inputs import (
    Steps,
    gru_bias,
    part,
    read_steps,
    read_steps_of_bytes,
    whole_bias,
)
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.vectors import FLOATS, simd_kernel

PARAMETERS = 4
"""Of a C function, on a line."""
RESULTS = ("y", "y_h", "y_c")


def _lanes_fit(node: Node) -> str:
    if node.input(R).shape[2] < FLOATS:
        return f"it has fewer than {FLOATS} units"
    for index in PACKED:
        tensor = node.optional(index)
        if tensor is not None and not tensor.is_constant:
            return "its weights are computed at run time"
    return ""


def recurrent_kernels(cell: str) -> tuple[Kernel, ...]:
    """The table of a cell."""
    return (
        simd_kernel(f"nn_{cell}_f32_4", f"{cell}/f32", "f32", _lanes_fit, "simd_math",
                    "recurrent_simd"),
        Kernel(
            symbol=f"nn_{cell}_f32__scalar",
            template=f"{cell}/f32__scalar.c.j2",
            dtype="f32",
            headers=("nn2wasm/recurrent.h",),
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Recurrent(KernelOp):
    """Inputs as `recurrent_cell.INPUTS`; outputs y [steps, directions, batch, hidden], y_h and y_c
    [directions, batch, hidden], the batch first where `batch_first`.

    Class attributes:
        cell: folder of its templates.
        gates: rows of gates in w and r.
        defaults: names of its activations.
        more: what a step keeps in scratch beside gates and h.

    Attributes:
        activations: of the cell, in ONNX's order.
        direction: "forward", "reverse" or "bidirectional".
        clip: bound of what activations get, infinite where there is none.
        batch_first: ONNX's layout 1.
        results: which outputs there are, positions in `RESULTS`.
    """

    cell: ClassVar[str] = ""
    gates: ClassVar[int] = 1
    defaults: ClassVar[tuple[str, ...]] = ()
    more: ClassVar[str] = ""

    activations: tuple[Activation, ...]
    direction: str = "forward"
    clip: float = math.inf
    batch_first: bool = False
    results: tuple[int, ...] = (0, 1)

    @classmethod
    def emit(cls, node: OnnxNode, steps: Steps, **fields: Any) -> None:
        """Emits a cell over steps; two, where its directions compute differently."""
        inputs = cls.operands(node, steps, **fields)
        op = cls(
            steps.activations[0], steps.direction, steps.clip, steps.batch_first, **fields
        )  # fmt: skip
        if len(set(steps.activations)) == 1:
            node.emit(op, inputs)
            return
        halves = []
        for index, direction in enumerate(("forward", "reverse")):
            half = replace(op, activations=steps.activations[index], direction=direction)
            halves.append(node.add_all(half, _half(node, inputs, index, op), suffix=direction))
        node.alias(
            *(
                node.add(Concat(op.direction_axis(position)), list(pair), suffix=RESULTS[position])
                for position, pair in enumerate(zip(*halves, strict=True))
            )
        )

    @classmethod
    def operands(cls, node: OnnxNode, steps: Steps, **fields: Any) -> list[Tensor | None]:
        """The inputs in the order of `INPUTS`."""
        b, c = whole_bias(node, steps.b, cls.gates * steps.hidden), None
        if fields.get("linear_before_reset"):
            b, c = gru_bias(node, steps.b, steps.hidden)
        return [
            steps.x, steps.w.matrix, steps.r.matrix, b, c, steps.w.scale, steps.r.scale, steps.p,
            steps.lengths, steps.h0, steps.c0,
        ]  # fmt: skip

    def direction_axis(self, position: int) -> int:
        """The axis of a result that counts directions."""
        if self.batch_first:
            return 2 if position == 0 else 1
        return 1 if position == 0 else 0

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, r = inputs[X], inputs[R]
        assert x is not None
        assert r is not None
        directions, _, hidden = r.shape
        steps, batch = x.shape[:2]
        if self.batch_first:
            batch, steps = steps, batch
            y: Shape = (batch, steps, directions, hidden)
            state: Shape = (batch, directions, hidden)
        else:
            y, state = (steps, directions, batch, hidden), (directions, batch, hidden)
        return [TensorType(DType.F32, y if result == 0 else state) for result in self.results]

    def without(self, unread: frozenset[int]) -> Op | None:
        kept = tuple(result for i, result in enumerate(self.results) if i not in unread)
        return replace(self, results=kept)

    def macs(self, node: Node) -> int:
        x, r = node.input(X), node.input(R)
        lines = x.shape[0] * x.shape[1]
        return lines * r.shape[0] * r.shape[1] * (x.shape[2] + r.shape[2])

    def cell_context(self, node: Node, writer: CellWriter) -> dict[str, Any]:
        """What the cell's template needs beside the walk over steps."""
        raise NotImplementedError

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, r = node.input(X), node.input(R)
        steps, batch = (1, 0) if self.batch_first else (0, 1)
        vectors = bool(kernel.needs)
        hidden = r.shape[2]
        units = -(-hidden // FLOATS) * FLOATS if vectors else hidden
        writer = CellWriter(node, vectors)
        present = [index for index in range(len(INPUTS)) if node.optional(index) is not None]
        packed = [index for index in PACKED if vectors and index in present]
        arguments = tuple(index for index in present if index not in packed)
        names = [*arguments, *packed]
        parameters = [f"const {node.input(i).dtype.c_name} *{INPUTS[i]}" for i in names]
        results = [f"float *{RESULTS[result]}" for result in self.results]
        context = {
            "cell": self.cell,
            "parameters": _lines([*parameters, "float *restrict scratch", *results]),
            "activations": ", ".join(activation.name for activation in self.activations),
            **self._walk(node),
            **writer.context(self.gates, self.clip),
            **self.cell_context(node, writer),
        }
        floats = self.gates * units + units * (2 if self.more else 1)
        return Lowering(
            context=context,
            sizes={
                "directions": r.shape[0], "steps": x.shape[steps], "batch": x.shape[batch],
                "inputs": x.shape[2], "hidden": hidden, "units": units,
            },
            constants={
                INPUTS[i]: _lanes(node.input(i).value, hidden, units, is_matrix=i in (W, R))
                for i in packed
            },
            scratch_bytes=4 * floats,
            scratch_type="float",
            arguments=arguments,
        )  # fmt: skip

    def _walk(self, node: Node) -> dict[str, Any]:
        """Where the lines of x, y and the states begin, in which order steps run."""
        reverse = "length - 1 - s"
        times = {
            "forward": "s", "reverse": reverse, "bidirectional": f"d == 0 ? s : {reverse}",
        }  # fmt: skip
        if self.batch_first:
            line, y, state = (
                "n * steps + t",
                "(n * steps + t) * directions + d",
                "n * directions + d",
            )
        else:
            line, y, state = "t * batch + n", "(t * directions + d) * batch + n", "d * batch + n"
        has_lengths = node.optional(LENGTHS) is not None
        first = {}
        for name, index in (("h", H0), ("c", C0)):
            value = f"{INPUTS[index]}[({state}) * hidden + i]" if node.optional(index) else "0.0f"
            first[f"{name}_first"] = f"length > 0 ? {value} : 0.0f" if has_lengths else value
        return first | {
            "time": times[self.direction],
            "x_line": line,
            "y_line": y,
            "state_line": state,
            "has_lengths": has_lengths,
            "gates_first": "bd[i]" if node.optional(B) is not None else "0.0f",
            "zeros_behind": has_lengths and 0 in self.results,
            "has_more": bool(self.more),
            "more": self.more,
            "has_cell": self.more == "c",
            "has_y": 0 in self.results,
            "has_y_h": 1 in self.results,
            "has_y_c": 2 in self.results,
        }


def _half(
    node: OnnxNode, inputs: Sequence[Tensor | None], index: int, op: Recurrent
) -> list[Tensor | None]:
    """What one direction reads of the inputs."""
    halves = list(inputs)
    for position in (*PACKED, H0, C0):
        tensor = inputs[position]
        axis = op.direction_axis(1) if position in (H0, C0) else 0
        if tensor is not None:
            halves[position] = part(node, tensor, axis, index, 1)
    return halves


def _lines(parameters: Sequence[str]) -> str:
    """Parameters of a C function, some on a line."""
    groups = [parameters[i : i + PARAMETERS] for i in range(0, len(parameters), PARAMETERS)]
    return ",\n    ".join(", ".join(group) for group in groups)


def _lanes(array: Array, hidden: int, units: int, *, is_matrix: bool) -> Array:
    """Constants with each gate's outputs filled up to whole vectors; of matrices, outputs last."""
    rows = array.reshape(array.shape[0], -1, hidden, *array.shape[2:])
    width = [(0, 0)] * rows.ndim
    width[2] = (0, units - hidden)
    filled = np.pad(rows, width).reshape(array.shape[0], -1, *array.shape[2:])
    return np.ascontiguousarray(filled.transpose(0, 2, 1) if is_matrix else filled)


@dataclass(frozen=True)
class LSTM(Recurrent):
    """Gates i, o, f, c; activations f, g, h."""

    onnx_types = ("LSTM", "com.microsoft.DynamicQuantizeLSTM")
    cell = "lstm"
    gates = 4
    more = "c"
    defaults = ("Sigmoid", "Tanh", "Tanh")
    kernels = recurrent_kernels("lstm")

    results: tuple[int, ...] = (0, 1, 2)
    input_forget: bool = False

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        coupled = bool(node.attr_int("input_forget", 0))
        read = read_steps if node.op_type == "LSTM" else read_steps_of_bytes
        cls.emit(node, read(node, cls.gates, cls.defaults), input_forget=coupled)

    def cell_context(self, node: Node, writer: CellWriter) -> dict[str, Any]:
        peeps = {"i": "", "f": "", "o": ""}
        if node.optional(P) is not None:
            for index, gate, state in ((0, "i", writer.at("c")), (1, "o", "cell"),
                                       (2, "f", writer.at("c"))):  # fmt: skip
                pointer = f"pd + {index} * {writer.units}" if index else "pd"
                peeps[gate] = f" + {writer.at(pointer)} * {state}"
        f, g, h = (writer.function(activation) for activation in self.activations)
        return {
            "add_r": writer.add("r", "gates", "h", self.gates),
            "gate_i": writer.gate(0) + peeps["i"],
            "gate_o": writer.gate(1) + peeps["o"],
            "gate_f": writer.gate(2) + peeps["f"],
            "gate_c": writer.gate(3),
            "old_c": writer.at("c"),
            "c_open": "nn_store4(c + i, " if writer.vectors else "c[i] = ",
            "input_forget": self.input_forget,
            "f": f, "g": g, "h": h,
        }  # fmt: skip


@dataclass(frozen=True)
class GRU(Recurrent):
    """Gates z, r, h; activations f, g."""

    onnx_types = ("GRU",)
    cell = "gru"
    gates = 3
    more = "rest"
    defaults = ("Sigmoid", "Tanh")
    kernels = recurrent_kernels("gru")

    linear_before_reset: bool = False

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        after = bool(node.attr_int("linear_before_reset", 0))
        cls.emit(node, read_steps(node, cls.gates, cls.defaults), linear_before_reset=after)

    def cell_context(self, node: Node, writer: CellWriter) -> dict[str, Any]:
        after = self.linear_before_reset
        f, g = (writer.function(activation) for activation in self.activations)
        new = writer.gate(2)
        target, line = ("rest", "h") if after else (f"gates + 2 * {writer.units}", "rest")
        return {
            "add_zr": writer.add("r", "gates", "h", 2),
            "add_n": writer.add("r", target, line, 1, first=2),
            "linear_before_reset": after,
            "rest_first": "cd[i]" if node.optional(C) is not None else "0.0f",
            "gate_z": writer.gate(0),
            "gate_r": writer.gate(1),
            "gate_n": f"{new} + reset * {writer.at('rest')}" if after else new,
            "rest_open": "nn_store4(rest + i, " if writer.vectors else "rest[i] = ",
            "f": f, "g": g,
        }  # fmt: skip


@dataclass(frozen=True)
class RNN(Recurrent):
    """One gate; activation f."""

    onnx_types = ("RNN",)
    cell = "rnn"
    defaults = ("Tanh",)
    kernels = recurrent_kernels("rnn")

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        cls.emit(node, read_steps(node, cls.gates, cls.defaults))

    def cell_context(self, node: Node, writer: CellWriter) -> dict[str, Any]:
        (f,) = (writer.function(activation) for activation in self.activations)
        return {
            "add_r": writer.add("r", "gates", "h", 1),
            "gate": writer.gate(0),
            "f": f,
        }
