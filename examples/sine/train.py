"""Train and quantize the smallest useful network: y = sin(x) for one turn, x from 0 to 2 pi.

Writes sine_int8.onnx (QDQ) next to this file. Its input is `x`, float32 [1, 1]; its output `y`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from sklearn.neural_network import MLPRegressor

HERE = Path(__file__).resolve().parent
INT8 = HERE / "sine_int8.onnx"
LARGEST, WIDTH, SEED = 2 * np.pi, 16, 2


def train() -> MLPRegressor:
    """Two hidden layers of 16."""
    x = np.linspace(0, LARGEST, 2000).reshape(-1, 1)
    network = MLPRegressor(
        hidden_layer_sizes=(WIDTH, WIDTH),
        solver="lbfgs",
        alpha=1e-3,
        max_iter=20000,
        random_state=SEED,
    )
    return network.fit(x, np.sin(x).reshape(-1))


def export(network: MLPRegressor) -> onnx.ModelProto:
    """The layers as Gemm and Relu."""
    nodes, constants, name = [], [], "x"
    last = len(network.coefs_) - 1
    for index, (weights, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        for kind, value in (("w", weights), ("b", bias)):
            constants.append(numpy_helper.from_array(value.astype(np.float32), f"{kind}{index}"))
        dense = "y" if index == last else f"dense{index}"
        nodes.append(
            helper.make_node("Gemm", [name, f"w{index}", f"b{index}"], [dense], name=dense)
        )
        name = dense
        if index < last:
            name = f"relu{index}"
            nodes.append(helper.make_node("Relu", [dense], [name], name=name))
    graph = helper.make_graph(
        nodes,
        "sine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Calibration(CalibrationDataReader):
    """Inputs all over the range."""

    def __init__(self) -> None:
        self.values = iter(np.linspace(0, LARGEST, 200, dtype=np.float32))

    def get_next(self) -> dict[str, np.ndarray] | None:
        value = next(self.values, None)
        return None if value is None else {"x": np.full((1, 1), value)}


def largest_error(path: Path) -> float:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    xs = np.linspace(0, LARGEST, 500, dtype=np.float32)
    ys = [session.run(None, {"x": np.full((1, 1), x)})[0].item() for x in xs]
    return float(np.abs(np.asarray(ys) - np.sin(xs)).max())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        float_path = Path(folder) / "sine.onnx"
        quant_pre_process(export(train()), float_path, skip_symbolic_shape=True)
        quantize_static(
            float_path,
            INT8,
            Calibration(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        errors = largest_error(float_path), largest_error(INT8)
        print("largest error: float32 {:.3f}, int8 {:.3f}".format(*errors))


if __name__ == "__main__":
    main()
