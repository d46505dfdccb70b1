"""Layer by layer: each fed with the reference's own tensors, so that no difference adds up.

The model is cut at every quantized tensor: what read it reads a new input of the network
instead. The cut
network is one module; its outputs are all quantized tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from networks import Network, build_model, named
from onnx import helper

from nn2wasm.api import Options
from nn2wasm.loaders import WasmtimeSession
from nn2wasm.tools.unsigned_weights import with_unsigned_weights

SAMPLES = 2
CUT = "cut_"


@dataclass
class Cut:
    """The reference's quantized tensors by name for each sample, and the cut model."""

    reference: list[dict[str, np.ndarray]]
    model: onnx.ModelProto


def reference_tensors(
    network: Network, model: onnx.ModelProto, names: list[str]
) -> list[dict[str, np.ndarray]]:
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    present = {output.name for output in whole.graph.output}
    whole.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in present)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        with_unsigned_weights(whole).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    inputs = [info.name for info in session.get_inputs()]
    return [
        dict(
            zip(
                names,
                session.run(names, dict(zip(inputs, network.feeds(index), strict=True))),
                strict=True,
            )
        )
        for index in range(min(SAMPLES, network.samples))
    ]


def cut(network: Network) -> Cut:
    model = onnx.load(network.path)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer} | {
        name for node in graph.node if node.op_type == "Constant" for name in node.output
    }
    names = [
        node.output[0]
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants
    ]
    reference = reference_tensors(network, model, names)
    quantized = set(names)
    read = set()
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in quantized:
                read.add(name)
                node.input[index] = CUT + name
    for info, array in zip(graph.input, network.feeds(0), strict=False):
        code = helper.np_dtype_to_tensor_dtype(array.dtype)
        info.CopyFrom(helper.make_tensor_value_info(info.name, code, array.shape))
    del graph.value_info[:]
    del graph.output[:]
    for name in names:
        array = reference[0][name]
        code = helper.np_dtype_to_tensor_dtype(array.dtype)
        if name in read:
            graph.input.append(helper.make_tensor_value_info(CUT + name, code, array.shape))
        graph.output.append(helper.make_tensor_value_info(name, code, array.shape))
    return Cut(reference, model)


@pytest.mark.parametrize("network", named("*_int8_tflite", "*_ptq_qdq_*", "*_qat_qdq"))
def test_each_layer_is_within_one_step(
    network: Network, module_cache: Path, record_property: Callable[[str, object], None]
) -> None:
    made = cut(network)
    built = build_model(made.model, f"{network.name}-layers", module_cache, Options(name="layers"))
    count, off, worst = 0, 0, (0, "")
    with WasmtimeSession(built.module) as session:
        own = [info.name for info in session.inputs if not info.name.startswith(CUT)]
        for index, tensors in enumerate(made.reference):
            feeds = dict(zip(own, network.feeds(index), strict=True))
            feeds |= {
                i.name: tensors[i.name[len(CUT) :]] for i in session.inputs if i.name not in feeds
            }
            for name, result in session.run(feeds).items():
                steps = np.abs(result.astype(np.int64) - tensors[name].astype(np.int64))
                count, off = count + steps.size, off + int((steps > 0).sum())
                worst = max(worst, (int(steps.max(initial=0)), name))
    record_property(
        "layers",
        f"{network.name:38s} {len(made.reference[0]):3d} tensors {count:10,d} bytes"
        f"  differ {off:7,d} ({off / count:.4%})  most {worst[0]}",
    )
    assert worst[0] <= 1, worst
