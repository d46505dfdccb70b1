"""Single ONNX nodes, compiled many at once and compared with a reference.

    CASES = [Case("mean", "ReduceMean", {"axes": [1]}, [x], opset=13), ...]

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_reduce(case): compare(case, CASES)

All cases of a list that share an opset are one model: compiling is what takes time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from engines import run_in_node, run_in_wasmtime, run_native, skip_without_relaxed
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from outcome import once
from tolerance import CLOSE, Tolerance

from nn2wasm.api import Compiled, Options, generate, plan_model
from nn2wasm.errors import RunError
from nn2wasm.target import ArtifactKind, find_target
from nn2wasm.toolchain import build_artifact
from nn2wasm.tools.unsigned_weights import with_unsigned_weights

MICROSOFT = "com.microsoft"
ML = "ai.onnx.ml"
LINEAR_TARGETS = pytest.mark.parametrize(
    "target",
    [
        "wasm",
        "wasm-simd128",
        "wasm-simd128 size",
        "wasm-simd128-cranelift",
        "wasm-relaxed",
        "wasm-relaxed size",
        "cortex-m4",
        "cortex-m4 size",
        "cortex-m55",
        "cortex-m55 size",
    ],
)
"""Those among which kernels of linear ops differ."""


@dataclass(frozen=True, eq=False)
class Case:
    """A node.

    Attributes:
        name: unique in its list.
        op: operator type.
        attributes: of the node.
        inputs: arrays that are fed at run time, None where an input is left out.
        constants: positions of inputs that are initializers.
        opset: of ONNX.
        ml_opset: of ai.onnx.ml.
        domain: of the operator.
        tolerance: against the reference.
        reference: "ort", "onnx", or the expected output.
        outputs: number of outputs.
    """

    name: str
    op: str
    attributes: Mapping[str, Any]
    inputs: Sequence[np.ndarray | None]
    constants: Sequence[int] = ()
    opset: int = 17
    ml_opset: int = 3
    domain: str = ""
    tolerance: Tolerance = CLOSE
    reference: Any = "ort"
    outputs: int = 1

    def __str__(self) -> str:
        return self.name


def model_of(cases: Sequence[Case]) -> onnx.ModelProto:
    """One model with a node for each case; inputs are <case>_<index>, outputs <case>_y<index>."""
    nodes, inputs, outputs, initializers = [], [], [], []
    for case in cases:
        names = []
        for index, value in enumerate(case.inputs):
            name = "" if value is None else f"{case.name}_{index}"
            names.append(name)
            if value is None:
                continue
            if index in case.constants:
                initializers.append(numpy_helper.from_array(np.asarray(value), name))
            else:
                code = helper.np_dtype_to_tensor_dtype(value.dtype)
                inputs.append(helper.make_tensor_value_info(name, code, value.shape))
        results = [f"{case.name}_y{index}" for index in range(case.outputs)]
        nodes.append(
            helper.make_node(
                case.op, names, results, name=case.name, domain=case.domain, **case.attributes
            )
        )
        outputs += [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph(nodes, "cases", inputs, outputs, initializers)
    imports = [
        helper.make_opsetid("", cases[0].opset),
        helper.make_opsetid(MICROSOFT, 1),
        helper.make_opsetid(ML, cases[0].ml_opset),
    ]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def feeds_of(cases: Sequence[Case]) -> dict[str, np.ndarray]:
    return {
        f"{case.name}_{index}": value
        for case in cases
        for index, value in enumerate(case.inputs)
        if value is not None and index not in case.constants
    }


def run(
    model: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
    target: str = "wasm",
    options: Options | None = None,
) -> dict[str, np.ndarray]:
    """What our module answers.

    `target` may be followed by what to optimize for: "wasm-simd128 size".
    """
    name, _, optimize = target.partition(" ")
    options = options or Options(name="cases")
    if optimize:
        options = replace(options, optimize=optimize)
    return answers_of(plan_model(model, find_target(name), options), feeds)


def answers_of(compiled: Compiled, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a network answers once it is built; warnings of the compiler are errors. Where a build
    ends in C, this machine compiles and runs it.
    """
    tree, target = generate(compiled), compiled.plan.target
    if target.kind is ArtifactKind.C:  # the same C, for this machine
        target = replace(target, kind=ArtifactKind.NATIVE, zig_triple="", zig_flags=())
    artifact = build_artifact(tree, target, strict=True)
    if target.kind is not ArtifactKind.WASM:
        return run_native(artifact, feeds)
    # wasmtime computes the relaxed products of bytes with saturation: modules refuse it
    if "relaxed" not in target.features:
        return run_in_wasmtime(artifact, feeds)
    try:
        return run_in_node(artifact, feeds)
    except RunError as problem:
        skip_without_relaxed(problem)
        raise


def reference_outputs(case: Case) -> list[np.ndarray]:
    if not isinstance(case.reference, str):
        return [np.asarray(case.reference)]
    model, feeds = model_of([case]), feeds_of([case])
    if case.reference == "onnx":
        return list(ReferenceEvaluator(model).run(None, feeds))
    return in_onnxruntime(model, feeds)


def in_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What the model says, node by node: nothing fused."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        with_unsigned_weights(model).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    return list(session.run(None, feeds))


_GROUPS: dict[int, Sequence[Case]] = {}


@once
def _answers(group: int, opset: tuple[int, int], target: str) -> dict[str, np.ndarray]:
    """What the cases of a list give that share opsets; `group` is the list's id."""
    cases = [case for case in _GROUPS[group] if (case.opset, case.ml_opset) == opset]
    return run(model_of(cases), feeds_of(cases), target)


def compare(case: Case, cases: Sequence[Case], target: str = "wasm") -> None:
    """The case's outputs, from the model of all cases of its opset, against the reference."""
    _GROUPS[id(cases)] = cases
    answers = _answers(id(cases), (case.opset, case.ml_opset), target)
    for index, expected in enumerate(reference_outputs(case)):
        actual = answers[f"{case.name}_y{index}"]
        assert actual.dtype == expected.dtype
        assert actual.shape == expected.shape
        complaint = case.tolerance(actual, expected)
        assert not complaint, f"{case}: {complaint}"


def between_quantizers(
    case: Case,
    quants: Mapping[int, tuple[float, int]],
    result: tuple[float, int],
    dtype: Any = np.int8,
) -> onnx.ModelProto:
    """DequantizeLinear → the node → QuantizeLinear, on bytes; `quants` says which inputs and how.

    Weights, bytes too, are constants; a scale that is an array is for each index of axis 1.
    """
    nodes, inputs, initializers, names = [], [], [], []

    def constant(name: str, value: Any) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    for index, value in enumerate(case.inputs):
        assert value is not None
        name = f"x{index}"
        names.append(name)
        if index not in quants:
            constant(name, value)
            continue
        code = helper.np_dtype_to_tensor_dtype(value.dtype)
        if index in case.constants:
            constant(f"q{index}", value)
        else:
            inputs.append(helper.make_tensor_value_info(f"q{index}", code, value.shape))
        scale, zero_point = quants[index]
        scales = np.asarray(scale, np.float32)
        constant(f"s{index}", scales)
        constant(f"z{index}", np.full(scales.shape, zero_point, value.dtype))
        axis = {"axis": 1} if scales.ndim else {}
        operands = [f"q{index}", f"s{index}", f"z{index}"]
        nodes.append(helper.make_node("DequantizeLinear", operands, [name], **axis))
    nodes.append(helper.make_node(case.op, names, ["real"], name=case.name, **case.attributes))
    constant("sy", np.float32(result[0]))
    constant("zy", np.asarray(result[1], dtype))
    nodes.append(helper.make_node("QuantizeLinear", ["real", "sy", "zy"], ["y"]))
    output = onnx.ValueInfoProto(name="y")
    graph = helper.make_graph(nodes, case.name, inputs, [output], initializers)
    imports = [helper.make_opsetid("", max(case.opset, 19))]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def compare_between_quantizers(
    case: Case,
    quants: Mapping[int, tuple[float, int]],
    result: tuple[float, int],
    dtype: Any = np.int8,
) -> None:
    """Against the same graph in floats; the integers must not pass through a float tensor."""
    model = between_quantizers(case, quants, result, dtype)
    feeds = {
        f"q{index}": value
        for index, value in enumerate(case.inputs)
        if index in quants and index not in case.constants and value is not None
    }
    expected = in_onnxruntime(model, feeds)[0]
    plan = plan_model(model, find_target("wasm"), Options(name="cases")).plan
    kernels = [call.node.op.kind for call in plan.calls]
    assert "Dequantize" not in kernels, kernels
    actual = run(model, feeds)["y"]
    assert actual.dtype == expected.dtype
    complaint = case.tolerance(actual, expected)
    assert not complaint, f"{case}: {complaint}"


def refuse(error: type[Exception], case: Case, match: str) -> None:
    """The model is refused, and the message names the node."""
    with pytest.raises(error, match=match) as caught:
        plan_model(model_of([case]), find_target("wasm"), Options(name="cases"))
    assert case.name in str(caught.value)


def folded(case: Case) -> np.ndarray:
    """The value of a case all of whose inputs are constants; only a copy to the output is left."""
    plan = plan_model(model_of([case]), find_target("wasm"), Options(name="cases")).plan
    assert len(plan.graph.nodes) == 1
    return plan.graph.nodes[0].input(0).value
