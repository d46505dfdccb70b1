"""Inputs that nobody should give a network: indices far outside, NaN and infinities where integers
come out, the extremes of integers as divisors. gcc's sanitizers see what reads or writes outside a
tensor, and what C leaves undefined.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import native_gcc
import numpy as np
import onnx
import pytest
from native_gcc import needs_sanitizers, run_program, sanitized_program
from onnx import TensorProto, helper

from nn2wasm.api import generate, plan_model
from nn2wasm.target import find_target

F, I32, I64, U8 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8
REALS = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e20, -1e20, 1e-40, -0.0, 2.5)
ATTEMPTS = 5

NODES: dict[str, tuple[str, list[tuple[int, list[int]]], int, dict[str, Any]]] = {
    # operator, type and shape of each input, type of the output, attributes
    "gather": ("Gather", [(F, [5, 3]), (I64, [4])], F, {}),
    "gather_elements": ("GatherElements", [(F, [5, 3]), (I32, [4, 3])], F, {}),
    "gather_nd": ("GatherND", [(F, [5, 3]), (I64, [4, 2])], F, {}),
    "scatter_elements": ("ScatterElements", [(F, [5, 3]), (I64, [2, 3]), (F, [2, 3])], F, {}),
    "scatter_nd": ("ScatterND", [(F, [5, 3]), (I64, [2, 1]), (F, [2, 3])], F, {}),
    "div": ("Div", [(I32, [40]), (I32, [40])], I32, {}),
    "div_64": ("Div", [(I64, [40]), (I64, [40])], I64, {}),
    "mod": ("Mod", [(I32, [40]), (I32, [40])], I32, {}),
    "mod_64": ("Mod", [(I64, [40]), (I64, [40])], I64, {}),
    "fmod": ("Mod", [(F, [40]), (F, [40])], F, {"fmod": 1}),
    "shift": ("BitShift", [(U8, [40]), (U8, [40])], U8, {"direction": "LEFT"}),
    "add": ("Add", [(I32, [40]), (I32, [40])], I32, {}),
    "mul": ("Mul", [(I64, [40]), (I64, [40])], I64, {}),
    "abs": ("Abs", [(I32, [9])], I32, {}),
    "neg": ("Neg", [(I64, [9])], I64, {}),
    "cast": ("Cast", [(F, [40])], I32, {"to": I32}),
    "cast_64": ("Cast", [(F, [40])], I64, {"to": I64}),
    "cast_byte": ("Cast", [(F, [40])], U8, {"to": U8}),
    "dynamic": ("DynamicQuantizeLinear", [(F, [40])], U8, {}),
    "grid": ("GridSample", [(F, [1, 1, 4, 4]), (F, [1, 3, 3, 2])], F, {}),
}


@pytest.mark.parametrize("name", NODES)
def test_hostile_inputs_stay_in_bounds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_sanitizers()
    monkeypatch.setattr(
        native_gcc, "SANITIZERS", (*native_gcc.SANITIZERS, "-fsanitize=float-cast-overflow")
    )
    tree = generate(plan_model(_model(*NODES[name]), find_target("c")))
    program = sanitized_program(tree, tmp_path)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng(attempt)
        feeds = {
            f"x{i}": _hostile(rng, kind, shape) for i, (kind, shape) in enumerate(NODES[name][1])
        }
        run_program(program, tree, feeds)


def _model(
    op: str, inputs: list[tuple[int, list[int]]], result: int, attributes: dict[str, Any]
) -> bytes:
    names = [f"x{i}" for i in range(len(inputs))]
    outputs = ["y", "s", "z"] if op == "DynamicQuantizeLinear" else ["y"]
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, **attributes)],
        "g",
        [
            helper.make_tensor_value_info(name, *port)
            for name, port in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("y", result, None)],
    )
    opsets = [helper.make_opsetid("", 20)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return model.SerializeToString()


def _hostile(rng: np.random.Generator, kind: int, shape: list[int]) -> np.ndarray:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if kind == F:
        return rng.choice(np.asarray(REALS, np.float32), shape)
    ends = np.iinfo(dtype)
    few = (ends.min, ends.max, ends.min + 1, ends.max - 1, 0, 1, 64, -1 if ends.min else 33)
    return rng.choice(np.asarray(few, dtype), shape)
