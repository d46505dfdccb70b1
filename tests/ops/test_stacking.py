"""Scans whose steps do not depend on each other: computed at once, as onnxruntime one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from cases import MICROSOFT, Case, compare, in_onnxruntime, refuse, run
from onnx import helper, numpy_helper
from tolerance import CLOSE

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.target import find_target

rng = np.random.default_rng(91)
STEPS = 6


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def scan(body: str, feeds: dict[str, np.ndarray], **attributes: Any) -> onnx.ModelProto:
    """A model that scans the input x with the state s, which the body, in ONNX's text form, has as
    `x` and `s` beside what is around it; it gives `s_out` and `y`.
    """
    head = '<ir_version: 8, opset_import: ["" : 17]>'
    text = f"{head} body (float[] s, float[] x) => (float[] s_out, float[] y) {{ {body} }}"
    graph = onnx.parser.parse_model(text).graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.ClearField("shape")
    node = helper.make_node("Scan", ["s0", "x0"], ["s1", "y1"], body=graph, num_scan_inputs=1,
                            **attributes)  # fmt: skip
    inputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, feeds[name].shape)
        for name in ("s0", "x0")
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in ("s1", "y1")]
    constants = [numpy_helper.from_array(v, k) for k, v in feeds.items() if k not in ("s0", "x0")]
    whole = helper.make_graph([node], "scan", inputs, outputs, constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(whole, opset_imports=[opset], ir_version=8)


def check(proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> int:
    """The layers of the network, whose answers are right."""
    given = {name: feeds[name] for name in ("s0", "x0")}
    expected = dict(zip(("s1", "y1"), in_onnxruntime(proto, given), strict=True))
    answers = run(proto, given)
    for name, values in expected.items():
        assert answers[name].shape == values.shape
        assert not (complaint := CLOSE(answers[name], values)), complaint
    plan = plan_model(proto, find_target("wasm"), Options(name="scan")).plan
    return len(plan.calls)


SAME = "s_out = Identity (s) "
W, B = floats(4, 3), floats(3)
AT_ONCE = {
    "distances": (SAME + "d = Sub (s, x) y = ReduceSumSquare <axes = [1], keepdims = 0> (d)",
                  (2, 4), (4,), 3),
    "a lower rank": (SAME + "y = Mul (x, s)", (2, 3, 4), (4,), 3),
    "a higher rank": (SAME + "y = Mul (x, s)", (4,), (2, 3, 4), 3),
    "functions": (SAME + "a = Tanh (x) c = Relu (s) y = Max (a, c)", (4,), (3, 4), 5),
    "a product": (SAME + "a = MatMul (x, w) c = Add (a, b) y = Softmax <axis = -1> (c)",
                  (1,), (2, 4), 4),
    "two products": (SAME + "t = Transpose <perm = [1, 0]> (x) y = MatMul (x, t)", (1,), (2, 4), 4),
    "an index": (SAME + "a = Flatten <axis = 0> (x) i = ArgMax <axis = 1> (a) "
                 "y = Cast <to = 1> (i)", (1,), (2, 4), 4),
    "what is the same in all": (SAME + "y = Neg (s)", (2, 3), (4,), 3),
    "a choice": (SAME + "c = Greater (x, s) y = Where (c, x, s)", (2, 4), (4,), 4),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_ONCE)
def test_at_once(name: str) -> None:
    body, state, line, most = AT_ONCE[name]
    feeds = {"s0": floats(*state), "x0": floats(STEPS, *line), "w": W, "b": B}
    assert check(scan(body, feeds), feeds) <= most


@pytest.mark.parametrize(
    "attributes",
    [
        {"scan_input_axes": [1]},
        {"scan_input_directions": [1], "scan_output_axes": [1]},
        {"scan_output_directions": [1], "scan_output_axes": [-1]},
        {"scan_input_axes": [-1], "scan_input_directions": [1], "scan_output_directions": [1]},
    ],
)
def test_axes_and_directions(attributes: dict[str, Any]) -> None:
    axis = attributes.get("scan_input_axes", [0])[0]
    shape = [2, 4]
    shape.insert(axis % 3, STEPS)
    feeds = {"s0": floats(4), "x0": floats(*shape)}
    assert check(scan(SAME + "y = Sub (x, s)", feeds, **attributes), feeds) < STEPS


@pytest.mark.parametrize(
    "body",
    [
        "s_out = Add (s, x) y = Neg (s)",
        "s_out = Identity (x) y = Neg (s)",
        SAME + "y = Concat <axis = 0> (x, s)",
    ],
    ids=["a sum", "the step before", "an operation without such a form"],
)
def test_one_by_one(body: str) -> None:
    feeds = {"s0": floats(4), "x0": floats(STEPS, 4)}
    assert check(scan(body, feeds), feeds) >= STEPS


# -- distances -----------------------------------------------------------------------------------

POINTS = [floats(5, 7), floats(9, 7)]
CDIST = [
    Case(f"{metric}{len(constants)}", "CDist", {"metric": metric}, POINTS, constants,
         domain=MICROSOFT, tolerance=CLOSE,
         reference=(np.square(POINTS[0][:, None] - POINTS[1]).sum(-1)
                    ** (0.5 if metric == "euclidean" else 1)).astype(np.float32))
    for metric in ("sqeuclidean", "euclidean")
    for constants in ((), (1,))
]  # fmt: skip


@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "c"])
@pytest.mark.parametrize("case", CDIST, ids=str)
def test_cdist(case: Case, target: str) -> None:
    compare(case, CDIST, target)


def test_cdist_that_is_refused() -> None:
    def bad(*points: np.ndarray, metric: str = "euclidean") -> Case:
        return Case("bad", "CDist", {"metric": metric}, points, domain=MICROSOFT)

    refuse(UnsupportedFeature, bad(*POINTS, metric="cosine"), "metric 'cosine'")
    refuse(InvalidModel, bad(POINTS[0], floats(9, 6)), "points of one space")
