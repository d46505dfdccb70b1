"""The C of a recurrent cell: what it reads, on floats one by one or on vectors of outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nn2wasm.ir import DType, Node
from nn2wasm.ops.activations import Activation
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.vectors import FLOATS

INPUTS = (
    "x", "w", "r", "b", "c", "w_scale", "r_scale", "p", "lengths", "h0", "c0",
)  # fmt: skip
"""Inputs by position; all but the first three may be left out.

    x        [steps, batch, inputs], or [batch, steps, inputs] where `batch_first`
    w, r     [directions, gates · hidden, inputs or hidden]; f32, or s8 with their scales
    b        [directions, gates · hidden]: both of ONNX's biases
    c        [directions, hidden]: the bias inside a GRU's reset gate
    w_scale, r_scale  [directions, gates · hidden]
    p        [directions, 3 · hidden]: peepholes to i, o, f
    lengths  [batch] s32: steps of each sequence
    h0, c0   [directions, batch, hidden], or [batch, directions, hidden]
"""
X, W, R, B, C, W_SCALE, R_SCALE, P, LENGTHS, H0, C0 = range(len(INPUTS))
PACKED = (W, R, B, C, W_SCALE, R_SCALE, P)
"""Inputs that kernels on SIMD have as constants, outputs as lanes."""


@dataclass(frozen=True, slots=True)
class CellWriter:
    """C of a cell: on floats one by one, or on vectors of four outputs.

    Attributes:
        node: whose cell.
        vectors: of four.
    """

    node: Node
    vectors: bool

    @property
    def units(self) -> str:
        """The size that counts outputs of a gate."""
        return "units" if self.vectors else "hidden"

    def gate(self, index: int) -> str:
        return self.at(f"gates{self._plus(index)}")

    def at(self, pointer: str) -> str:
        """The number, or numbers, at i."""
        if self.vectors:
            return f"nn_load4({pointer} + i)"
        name, plus, rest = pointer.partition(" + ")
        return f"{name}[{rest}{plus}i]"

    def function(self, activation: Activation) -> str:
        return activation.text(vectors=self.vectors)

    def add(self, what: str, y: str, line: str, gates: int, first: int = 0) -> str:
        """The statement that adds products with some gates' rows of w or r to y."""
        tensor = self.node.input(INPUTS.index(what))
        depth = "inputs" if what == "w" else "hidden"
        all_gates = self.node.input(R).shape[1] // self.node.input(R).shape[2]
        rows = self._plus(first)
        begin = rows if self.vectors or not first else f"{rows} * {depth}"
        arguments = [y, line, f"{what}d{begin}"]
        if tensor.dtype is DType.S8:
            arguments.append(f"{what}_scaled{rows}")
        arguments += [self._times(gates), depth]
        if self.vectors:
            arguments.append(self._times(all_gates))
        name = "columns" if self.vectors else "products"
        return f"nn_{name}_{tensor.dtype.value}({', '.join(arguments)});"

    def context(self, gates: int, clip: float) -> dict[str, Any]:
        """What all cells' templates need."""
        clamp = "nn_clamp4" if self.vectors else "nn_clamp"
        bound = float_literal(clip)
        return {
            "units": self.units,
            "number": "nn_floats" if self.vectors else "float",
            "advance": f"i += {FLOATS}" if self.vectors else "++i",
            "gate_outputs": self._times(gates),
            "clip_open": "" if math.isinf(clip) else f"{clamp}(",
            "clip_close": "" if math.isinf(clip) else f", -{bound}, {bound})",
            "pointers": self._pointers(gates),
            "add_w": self.add("w", "gates", "line", gates),
            "old_h": self.at("h"),
            "h_open": "nn_store4(h + i, " if self.vectors else "h[i] = ",
            "close": ")" if self.vectors else "",
        }

    def _pointers(self, gates: int) -> list[dict[str, str]]:
        """The parts of the inputs that belong to a direction."""
        extents = {
            W: f"{self._times(gates)} * inputs",
            R: f"{self._times(gates)} * hidden",
            P: self._times(3),
            C: self.units,
        }
        return [
            {
                "type": self.node.input(index).dtype.c_name,
                "name": INPUTS[index],
                "extent": extents.get(index, self._times(gates)),
            }
            for index in PACKED
            if self.node.optional(index) is not None
        ]

    def _times(self, count: int) -> str:
        return self.units if count == 1 else f"{count} * {self.units}"

    def _plus(self, count: int) -> str:
        return f" + {self._times(count)}" if count else ""
