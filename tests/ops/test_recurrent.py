"""RNN, GRU and LSTM against onnxruntime: directions, layouts, activations, states, lengths."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from cases import MICROSOFT, Case, compare, feeds_of, in_onnxruntime, model_of, refuse, run
from onnx import helper, numpy_helper
from tolerance import CLOSE, EXACT, ROUNDED_STATES

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import InvalidModel
from nn2wasm.target import find_target

rng = np.random.default_rng(34)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, INPUTS = 5, 2, 3


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def case(
    name: str,
    op: str,
    *,
    hidden: int = 6,
    optional: str = "b",
    constants: bool = True,
    lengths: Any = None,
    steps: int = STEPS,
    batch: int = BATCH,
    inputs: int = INPUTS,
    **attributes: Any,
) -> Case:
    """A node; `optional` names the optional operands that it has."""
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[op] * hidden
    state = (directions, batch, hidden)
    operands: list[np.ndarray | None] = [
        floats(steps, batch, inputs),
        floats(directions, rows, inputs),
        floats(directions, rows, hidden),
        floats(directions, 2 * rows) if "b" in optional else None,
        None if lengths is None else np.asarray(lengths, np.int32),
        floats(*state) if "h" in optional else None,
    ]
    if op == "LSTM":
        operands.append(floats(*state) if "c" in optional else None)
        operands.append(floats(directions, 3 * hidden) if "p" in optional else None)
    while operands[-1] is None:
        operands.pop()
    return Case(
        name,
        op,
        {"hidden_size": hidden, **attributes},
        operands,
        constants=(1, 2, 3, 7) if constants else (),
        tolerance=CLOSE,
        outputs=3 if op == "LSTM" else 2,
    )


def activations(op: str, names: list[str], **more: Any) -> dict[str, Any]:
    """Names repeated as often as a cell has activations."""
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
    return {"activations": (names * 3)[:count], **more}


CASES = [
    case(f"{op}_{direction}_{hidden}_{'constant' if constants else 'fed'}", op,
         direction=direction, hidden=hidden, constants=constants, optional="bhc")
    for op, direction, hidden, constants in itertools.product(
        GATES, ("forward", "reverse", "bidirectional"), (1, 6, 8), (True, False)
    )
] + [
    case(f"{op}_{number}", op, **more)
    for op in GATES
    for number, more in enumerate((
        {"optional": ""},
        {"lengths": [3, 5], "optional": "bhc"},
        {"lengths": [0, 2], "optional": "bhc", "direction": "bidirectional"},
        {"lengths": [4, 1], "direction": "reverse"},
        {"lengths": [5, 5], "direction": "reverse"},
        {"clip": 0.4, "optional": "bhcp"},
        {"batch": 1, "steps": 1},
        {"batch": 1, "steps": 9, "inputs": 7, "hidden": 5},
        {"hidden": 20, "inputs": 17},
        {"activations": ["Relu", "Sigmoid", "Tanh"][: {"LSTM": 3, "GRU": 2, "RNN": 1}[op]]},
    ))
] + [
    case(f"{op}_{name}", op, **activations(op, [name], **more))
    for op in GATES
    for name, more in (
        ("Relu", {}), ("Tanh", {}), ("Sigmoid", {}), ("Softsign", {}), ("Softplus", {"clip": 3.0}),
        ("Elu", {}), ("HardSigmoid", {}), ("LeakyRelu", {}),
        ("ThresholdedRelu", {"activation_alpha": [0.5] * 3}),
        ("Affine", {"activation_alpha": [0.3] * 3, "activation_beta": [0.1] * 3}),
        ("ScaledTanh", {"activation_alpha": [1.7] * 3, "activation_beta": [0.6] * 3}),
    )
    if op != "RNN" or "activation_alpha" not in more
] + [
    case("RNN_Affine", "RNN", activations=["Affine"], activation_alpha=[0.3],
         activation_beta=[0.1]),
    case("RNN_ThresholdedRelu", "RNN", activations=["ThresholdedRelu"], activation_alpha=[0.5]),
    case("RNN_ScaledTanh", "RNN", activations=["ScaledTanh"], activation_alpha=[1.7],
         activation_beta=[0.6]),
    case("RNN_taken_in_order", "RNN", direction="bidirectional", activations=["Tanh", "LeakyRelu"],
         activation_alpha=[0.5, 0.2]),
    case("GRU_taken_in_order", "GRU", direction="bidirectional",
         activations=["Sigmoid", "LeakyRelu", "HardSigmoid", "Elu"],
         activation_alpha=[0.3, 0.25, 0.8], activation_beta=[0.4]),
    case("LSTM_directions_differ", "LSTM", direction="bidirectional", optional="bhcp",
         lengths=[5, 3], activations=["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Softsign",
                                      "Relu"]),
    case("LSTM_peepholes", "LSTM", optional="bhcp", direction="bidirectional"),
    case("LSTM_peepholes_fed", "LSTM", optional="bp", constants=False),
    case("LSTM_input_forget", "LSTM", input_forget=1, optional="bp"),
    *(case(f"GRU_after_{i}", "GRU", linear_before_reset=1, **more) for i, more in enumerate((
        {"optional": "bh", "direction": "bidirectional"}, {"optional": ""},
        {"constants": False}, {"clip": 0.3}, {"hidden": 5},
        {"direction": "bidirectional", "activations": ["Sigmoid", "Tanh", "Relu", "Tanh"]},
    ))),
]  # fmt: skip


@pytest.mark.parametrize("example", CASES, ids=str)
def test_like_onnxruntime(example: Case, target: str) -> None:
    compare(example, CASES, target)


def turned(example: Case) -> Case:
    """The same with layout 1; the expected results turned likewise."""
    model, feeds = model_of([example]), feeds_of([example])
    y, *states = in_onnxruntime(model, feeds)
    inputs = [
        array.swapaxes(0, 1) if index in (0, 5, 6) and array is not None else array
        for index, array in enumerate(example.inputs)
    ]
    attributes = {**example.attributes, "layout": 1}
    expected = [y.transpose(2, 0, 1, 3), *(state.swapaxes(0, 1) for state in states)]
    found = Case(f"{example}_turned", example.op, attributes, inputs, example.constants)
    _EXPECTED[found.name] = expected
    return found


_EXPECTED: dict[str, list[np.ndarray]] = {}


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("differ", [False, True])
def test_batch_first(op: str, direction: str, differ: bool) -> None:
    """onnxruntime does not run layout 1: it gets layout 0."""
    more: dict[str, Any] = {}
    if differ and direction == "bidirectional":
        count = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
        more["activations"] = ["Sigmoid"] * count + ["Tanh"] * count
    example = case(
        "layout", op, direction=direction, optional="bhc", lengths=[5, 2], batch=2, **more
    )
    found = turned(example)
    found = Case(**{f: getattr(found, f) for f in ("name", "op", "attributes", "inputs",
                                                    "constants")},
                 outputs=example.outputs)  # fmt: skip
    answers = run(model_of([found]), feeds_of([found]))
    for index, expected in enumerate(_EXPECTED[found.name]):
        complaint = CLOSE(answers[f"{found.name}_y{index}"], expected)
        assert not complaint, complaint


@pytest.mark.parametrize("lengths", [[-3, 5], [2**31 - 1, 9], [-(2**31), 0]])
def test_lengths_are_bounded_at_run_time(lengths: list[int]) -> None:
    """onnxruntime refuses to run these; here they are clamped, and nothing stray is touched."""
    example = case("bounded", "GRU", lengths=lengths, optional="bh", direction="bidirectional")
    inside = [min(max(length, 0), STEPS) for length in lengths]
    inputs = list(example.inputs)
    inputs[4] = np.asarray(inside, np.int32)
    reference = Case("bounded", "GRU", example.attributes, inputs, example.constants, outputs=2)
    answers = run(model_of([example]), feeds_of([example]))
    for index, expected in enumerate(in_onnxruntime(model_of([reference]), feeds_of([reference]))):
        assert not CLOSE(answers[f"bounded_y{index}"], expected)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2)], ids=str)
def test_only_outputs_that_are_read_are_computed(wanted: tuple[int, ...]) -> None:
    example = case("part", "LSTM", optional="bhc")
    model = model_of([example])
    expected = in_onnxruntime(model, feeds_of([example]))
    for index in reversed(range(3)):
        if index not in wanted:
            del model.graph.output[index]
    plan = plan_model(model, find_target("wasm"), Options(name="part")).plan
    assert len(plan.calls[0].node.outputs) == len(wanted)
    answers = run(model, feeds_of([example]))
    for index in wanted:
        assert not CLOSE(answers[f"part_y{index}"], expected[index])
    for index in range(3):
        if index not in wanted:
            model.graph.node[0].output[index] = ""
    left_out = run(model, feeds_of([example]))
    for index in wanted:
        assert not EXACT(left_out[f"part_y{index}"], answers[f"part_y{index}"])


def test_constant_sequences_run() -> None:
    example = case("constant", "LSTM")
    everything = Case("constant", "LSTM", example.attributes, example.inputs, range(8), outputs=3)
    answers = run(model_of([everything]), {})
    for index, expected in enumerate(in_onnxruntime(model_of([example]), feeds_of([example]))):
        assert not CLOSE(answers[f"constant_y{index}"], expected)


# -- weights of 8 bits -----------------------------------------------------------------------

BYTES = [
    (np.int8, 0, None),
    (np.int8, 0, 1),
    (np.int8, 0, 0),
    (np.uint8, 128, 1),
    (np.uint8, 128, None),
]


def dequantized(stem: str, dtype: Any, zero_point: int, axis: int | None, *shape: int) -> Any:
    """DequantizeLinear of a constant, and its operands."""
    count = 1 if axis is None else shape[axis]
    low, high = max(np.iinfo(dtype).min, zero_point - 127), zero_point + 128
    values = {
        "q": rng.integers(low, min(high, np.iinfo(dtype).max), shape).astype(dtype),
        "s": rng.uniform(0.003, 0.009, count).astype(np.float32),
        "z": np.full(count, zero_point, dtype),
    }
    if axis is None:
        values |= {key: values[key].reshape(()) for key in "sz"}
    extra = {} if axis is None else {"axis": axis}
    names = [f"{stem}{key}" for key in values]
    constants = [numpy_helper.from_array(values[key], f"{stem}{key}") for key in values]
    return helper.make_node("DequantizeLinear", names, [stem], **extra), constants


def quantized(variants: Any) -> onnx.ModelProto:
    """Bidirectional nodes (operator, type, zero point, axis, hidden) with such weights."""
    constants, nodes, outputs = [], [], []
    for number, (op, dtype, zero_point, axis, hidden) in enumerate(variants):
        rows, names = GATES[op] * hidden, [f"w{number}", f"r{number}"]
        for name, depth in zip(names, (4, hidden), strict=True):
            node, operands = dequantized(name, dtype, zero_point, axis, 2, rows, depth)
            nodes.append(node)
            constants += operands
        constants.append(numpy_helper.from_array(floats(2, 2 * rows), f"b{number}"))
        results = [f"y{number}", f"h{number}"]
        attributes = {"direction": "bidirectional", "hidden_size": hidden}
        nodes.append(helper.make_node(op, ["x", *names, f"b{number}"], results, **attributes))
        outputs += [onnx.ValueInfoProto(name=name) for name in results]
    x = helper.make_tensor_value_info("x", 1, (5, 2, 4))
    graph = helper.make_graph(nodes, "quantized", [x], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_weights_of_8_bits_stay_bytes(target: str) -> None:
    variants = [(op, *weights, hidden) for op in GATES for weights in BYTES for hidden in (6, 8)]
    model = quantized(variants)
    plan = plan_model(model, find_target(target), Options(name="quantized")).plan
    for call, (op, *_, hidden) in zip(plan.calls, variants, strict=True):
        count = sum(array.size for array in call.constants if array.dtype == np.int8)
        assert count >= 2 * GATES[op] * hidden * (4 + hidden)
        assert all(array.ndim < 3 for array in call.constants if array.dtype == np.float32)
    feeds = {"x": floats(5, 2, 4)}
    answers = run(model, feeds, target)
    expected = in_onnxruntime(model, feeds)
    for output, values in zip(model.graph.output, expected, strict=True):
        complaint = CLOSE(answers[output.name], values)
        assert not complaint, f"{output.name}: {complaint}"


@pytest.mark.parametrize(("zero_point", "axis"), [(5, None), (40, 1)])
def test_weights_that_bytes_cannot_hold_become_floats(zero_point: int, axis: int | None) -> None:
    model = quantized([("GRU", np.int8, zero_point, axis, 6)])
    for tensor in model.graph.initializer:
        if tensor.name in ("w0q", "r0q"):
            array = numpy_helper.to_array(tensor).copy()
            array.flat[0] = -128
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    feeds = {"x": floats(5, 2, 4)}
    answers = run(model, feeds)
    for name, expected in zip(("y0", "h0"), in_onnxruntime(model, feeds), strict=True):
        assert not CLOSE(answers[name], expected)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, 0), (np.uint8, 128), (np.uint8, 90)])
def test_dynamically_quantized(per_row: bool, dtype: Any, zero_point: int) -> None:
    """onnxruntime rounds states to 8 bits at each step: results differ by a few such steps."""
    hidden = 8
    operands: list[Any] = [floats(5, 2, 4)]
    quants = []
    for depth in (4, hidden):
        weights = rng.normal(size=(2, depth, 4 * hidden)) * 20 + zero_point
        info = np.iinfo(dtype)
        operands.append(weights.round().clip(info.min, info.max).astype(dtype))
        shape = (2, 4 * hidden) if per_row else (2,)
        quants += [rng.uniform(0.01, 0.02, shape).astype(np.float32),
                   np.full(shape, zero_point, dtype)]  # fmt: skip
    operands += [floats(2, 8 * hidden), None, None, None, None, *quants]
    example = Case(
        "dynamic",
        "DynamicQuantizeLSTM",
        {"hidden_size": hidden, "direction": "bidirectional"},
        operands,
        constants=range(1, 12),
        domain=MICROSOFT,
        outputs=3,
    )
    answers = run(model_of([example]), feeds_of([example]))
    expected = in_onnxruntime(model_of([example]), feeds_of([example]))
    for index, values in enumerate(expected):
        complaint = ROUNDED_STATES(answers[f"dynamic_y{index}"], values)
        assert not complaint, complaint


# -- what is refused -------------------------------------------------------------------------


def broken(index: int, *shape: int, op: str = "LSTM", dtype: Any = np.float32, **more: Any) -> Case:
    """A case with an operand of another shape or type."""
    example = case("broken", op, optional="bhcp", lengths=[5, 2], **more)
    inputs = list(example.inputs)
    inputs[index] = np.ones(shape, dtype)
    return Case("broken", op, example.attributes, inputs, example.constants)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (broken(0, 5, 2), "three axes"),
        (broken(1, 1, 24, 4), "W has shape"),
        (broken(1, 2, 24, 3), "W has shape"),
        (broken(2, 1, 23, 6), "R has shape"),
        (broken(2, 1, 24, 5), "hidden_size"),
        (broken(2, 24, 6), "three axes"),
        (broken(3, 1, 24), "B has shape"),
        (broken(4, 3, dtype=np.int32), "sequence_lens has shape"),
        (broken(4, 2, dtype=np.int64), "sequence_lens are s64"),
        (broken(5, 2, 2, 6), "initial_h has shape"),
        (broken(6, 1, 2, 7), "initial_c has shape"),
        (broken(7, 1, 24), "P has shape"),
        (case("broken", "LSTM", direction="sideways"), "direction"),
        (case("broken", "LSTM", activations=["Tanh"]), "1 activations, 3"),
        (case("broken", "RNN", activations=["Sine"]), "the activation 'Sine'"),
        (case("broken", "RNN", activations=["Affine"]), "without alpha or beta"),
        (case("broken", "RNN", clip=-1.0), "clip"),
        (case("broken", "RNN", clip=float("nan")), "clip"),
        (
            case("broken", "RNN", activations=["Elu"], activation_alpha=[float("nan")]),
            "the activation Elu with nan",
        ),
        (case("broken", "GRU", layout=2), "layout 2"),
    ],
)
def test_contradictions_are_refused(example: Case, message: str) -> None:
    refuse(InvalidModel, example, message)
