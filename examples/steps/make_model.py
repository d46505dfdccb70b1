"""Writes steps.onnx: one sample of an accelerometer and what is remembered in, steps so far out."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
CONSTANTS = {
    "slow": np.float32(0.02),  # of 50 samples a second: a second
    "fast": np.float32(0.3),
    "threshold": np.float32(0.08),  # g above the mean
}
NODES = [
    node("ReduceL2", ["sample"], ["size"], axes=[1], keepdims=1),
    # Two running means, mean + factor * (size - mean): gravity, and the movement without noise.
    node("Sub", ["size", "gravity_in"], ["above_gravity"]),
    node("Mul", ["above_gravity", "slow"], ["gravity_step"]),
    node("Add", ["gravity_in", "gravity_step"], ["gravity_out"]),
    node("Sub", ["above_gravity", "movement_in"], ["above_movement"]),
    node("Mul", ["above_movement", "fast"], ["movement_step"]),
    node("Add", ["movement_in", "movement_step"], ["movement_out"]),
    # A step is where the movement rises above the threshold.
    node("Greater", ["movement_out", "threshold"], ["up_out"]),
    node("Not", ["up_in"], ["was_down"]),
    node("And", ["up_out", "was_down"], ["is_step"]),
    node("Cast", ["is_step"], ["new_steps"], to=TensorProto.INT32),
    node("Add", ["steps_in", "new_steps"], ["steps"]),
]
STATES = {
    "gravity": TensorProto.FLOAT,
    "movement": TensorProto.FLOAT,
    "up": TensorProto.BOOL,
    "steps": TensorProto.INT32,
}


def value(name: str, code: int, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, code, shape)


inputs = [value("sample", TensorProto.FLOAT, [1, 3])]
inputs += [value(f"{name}_in", code, [1, 1]) for name, code in STATES.items()]
outputs = [value("steps", TensorProto.INT32, [1, 1])]
outputs += [value(f"{name}_out", code, [1, 1]) for name, code in STATES.items() if name != "steps"]
constants = [numpy_helper.from_array(data, name) for name, data in CONSTANTS.items()]

graph = helper.make_graph(NODES, "steps", inputs, outputs, constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.save(model, Path(__file__).with_name("steps.onnx"))
