"""Taking networks apart, and finding the layer that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import TargetError, VerificationFailed
from nn2wasm.ir.check import check
from nn2wasm.target import find_target
from nn2wasm.tools.difference import Tolerance
from nn2wasm.tools.layers import LARGEST_BATCH, take_apart
from nn2wasm.tools.reference import open_reference
from nn2wasm.tools.samples import random_samples
from nn2wasm.tools.verify import signature
from nn2wasm.tools.verify_layers import (
    compare_layers,
    require_layers_passed,
    tensor_names,
    verify_layers,
)

WASM = find_target("wasm")


def pieces_of(batches):
    return [piece for batch in batches for piece in batch.pieces.values()]


def test_each_layer_stands_alone_where_everything_is_known(chain):
    graph = plan_model(chain(3), WASM).plan.graph
    before = [(node.name, list(node.inputs), list(node.outputs)) for node in graph.nodes]
    batches = take_apart(graph, lambda tensor: True)
    assert [len(piece.nodes) for piece in pieces_of(batches)] == [1, 1, 1]
    for batch in batches:
        check(batch.graph, "take_apart")
        assert len(batch.graph.inputs) == len(batch.given) == 3
        assert not set(batch.graph.inputs) & set(batch.graph.outputs)
    assert before == [(node.name, node.inputs, node.outputs) for node in graph.nodes]


def test_layers_stay_together_around_a_tensor_that_nobody_knows(chain):
    graph = plan_model(chain(3), WASM).plan.graph
    hidden = graph.nodes[1].output
    (batch,) = take_apart(graph, lambda tensor: tensor is not hidden)
    check(batch.graph, "take_apart")
    assert [len(piece.nodes) for piece in pieces_of([batch])] == [1, 2]


def test_large_networks_come_in_batches(chain):
    graph = plan_model(chain(LARGEST_BATCH + 5), WASM).plan.graph
    batches = take_apart(graph, lambda tensor: True)
    assert len(batches) > 1
    assert len(pieces_of(batches)) == LARGEST_BATCH + 5
    names = [node.name for batch in batches for node in batch.graph.nodes]
    assert len(names) == len(set(names))


def test_layers_of_a_quantized_network_are_exact(digits):
    report = verify_layers(digits, count=3)
    assert report.passed
    assert report.layer_count == len(report.layers) == 7
    assert report.unchecked == ()
    assert max(layer.difference.maximum for layer in report.layers) == 0
    assert [layer.index for layer in report.layers] == list(range(7))
    require_layers_passed(report)


def test_layers_on_another_target_and_engine(digits_f32):
    report = verify_layers(digits_f32, count=2, target="host", engine="onnx")
    assert report.passed
    assert report.target == "host"
    assert report.reference.startswith("onnx ")


@pytest.mark.parametrize(
    "name", ["ic_resnet8_ptq_qop_u8", "kw_conv1d_ptq_qdq_s8", "effnet_se_64_f32"]
)
def test_layers_of_shared_models(shared, name):
    path = shared(name)
    report = verify_layers(path, samples=path.with_suffix(".npz"), count=1)
    assert report.passed
    assert report.unchecked == ()


def test_only_the_layer_that_is_wrong_differs(digits):
    """The reference has the right weights; ours are changed in one layer in the middle."""
    import onnx

    wrong = onnx.load(digits)
    convs = [node for node in wrong.graph.node if node.op_type == "Conv"]
    makers = {name: node for node in wrong.graph.node for name in node.output}
    weights = makers[convs[1].input[1]].input[0]
    for tensor in wrong.graph.initializer:
        if tensor.name == weights:
            values = onnx.numpy_helper.to_array(tensor).copy()
            values.reshape(-1)[0] ^= 0x40
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, weights))
    compiled = plan_model(wrong, WASM)
    graph = compiled.plan.graph
    reference = open_reference(digits, wanted=list(tensor_names(graph).values()))
    drawn = random_samples([signature(tensor) for tensor in graph.inputs], 2)
    report = compare_layers(compiled, reference, drawn, Tolerance())
    differing = [layer for layer in report.layers if not layer.difference.passed]
    assert [layer.op for layer in differing] == ["Conv"]
    assert report.layers[report.first] is differing[0]
    assert convs[1].name in differing[0].nodes
    with pytest.raises(VerificationFailed, match=f"layer {differing[0].index} "):
        require_layers_passed(report)


def test_sources_cannot_be_run(chain):
    with pytest.raises(TargetError, match="nothing to run"):
        verify_layers(chain(), target="c")


def test_more_inputs_and_a_tensor_read_twice():
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["a", "b"], ["s"], "sum"),
            helper.make_node("Mul", ["s", "s"], ["q"], "square"),
            helper.make_node("Sub", ["q", "s"], ["d"], "difference"),
        ],
        "g",
        [value("a", TensorProto.FLOAT, [2, 3]), value("b", TensorProto.FLOAT, [2, 3])],
        [value("d", TensorProto.FLOAT, [2, 3]), value("s", TensorProto.FLOAT, [2, 3])],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    report = verify_layers(
        model,
        samples={"a": np.ones((2, 3), np.float32), "b": np.full((2, 3), 2, np.float32)},
        options=Options(name="three"),
    )
    assert report.passed
    assert report.model == "three"
    assert [layer.tensor for layer in report.layers] == ["s", "q", "d"]
