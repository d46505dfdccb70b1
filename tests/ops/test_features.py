"""Scaler, Normalizer, Imputer, Binarizer, encoders: what prepares features in ai.onnx.ml."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from cases import ML, Case, compare, folded, in_onnxruntime, model_of, refuse, run
from onnx import TensorProto, helper, numpy_helper
from tolerance import CLOSE, EXACT, Tolerance, ulp

from nn2wasm.api import plan_model
from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.target import find_target

rng = np.random.default_rng(31)


def floats(*shape: int) -> np.ndarray:
    return (rng.normal(size=shape) * 3).astype(np.float32)


def case(
    name: str,
    op: str,
    *inputs: np.ndarray,
    tolerance: Tolerance = EXACT,
    constants: tuple[int, ...] = (),
    ml_opset: int = 3,
    reference: object = "ort",
    **attributes: object,
) -> Case:
    return Case(name, op, attributes, inputs, constants, domain=ML, ml_opset=ml_opset,
                tolerance=tolerance, reference=reference)  # fmt: skip


X = floats(5, 4)
WITH_ZERO = np.concatenate([X, np.zeros((1, 4), np.float32)])
HOLES = X.copy()
HOLES[0, 1] = HOLES[3, 3] = np.nan
HOLES[2, 2] = -7.0
INTEGERS = rng.integers(-3, 4, (5, 4))
SCALING = [
    case("scaler", "Scaler", X, offset=[0.5, -1.0, 2.0, 0.0], scale=[2.0, 0.1, -3.0, 1.0]),
    case("scaler_one", "Scaler", X, offset=[0.5], scale=[0.25]),
    case("scaler_line", "Scaler", X[0], offset=[0.5], scale=[0.25]),
    *(
        case(f"scaler_{dtype}", "Scaler", (X * 9).astype(dtype), offset=[1.0] * 4, scale=[0.3] * 4,
             tolerance=CLOSE)
        for dtype in ("float64", "int64", "int32")
    ),
    *(
        case(f"normalizer_{norm}_{x.dtype}_{x.ndim}", "Normalizer", x, norm=norm, tolerance=ulp(2))
        for norm in ("MAX", "L1", "L2")
        for x in (WITH_ZERO, WITH_ZERO[0], INTEGERS)
    ),
    case("imputer_nan", "Imputer", HOLES, imputed_value_floats=[1.0, 2.0, 3.0, 4.0],
         replaced_value_float=float("nan")),
    case("imputer_value", "Imputer", HOLES, imputed_value_floats=[0.5], replaced_value_float=-7.0),
    case("imputer_int", "Imputer", INTEGERS, imputed_value_int64s=[9], replaced_value_int64=-1),
    case("binarizer", "Binarizer", X, threshold=0.5),
    case("binarizer_default", "Binarizer", WITH_ZERO),
]  # fmt: skip


@pytest.mark.parametrize("case", SCALING, ids=str)
def test_scaling(case: Case) -> None:
    compare(case, SCALING)


VECTORS = [
    case("columns", "FeatureVectorizer", INTEGERS, INTEGERS, inputdimensions=[4, 4]),
    case("widths", "FeatureVectorizer", X, X, inputdimensions=[3, 6]),
    case("single", "FeatureVectorizer", X, inputdimensions=[4]),
    case("pick", "ArrayFeatureExtractor", X, np.int64([3, 0, 0]), constants=(1,)),
    case("pick_scalar", "ArrayFeatureExtractor", X, np.asarray(2), constants=(1,)),
    case("pick_line", "ArrayFeatureExtractor", X[0], np.int64([[1, 2]]), constants=(1,)),
    case("pick_deep", "ArrayFeatureExtractor", floats(2, 3, 4), np.int64([2]), constants=(1,)),
    case("both_computed", "ArrayFeatureExtractor", floats(2, 3, 4), np.int64([2, 0])),
    case("look_up", "ArrayFeatureExtractor", np.float32([2.5, 1.5, 0.5]),
         np.int64([[2, 0, 1, 1]]), constants=(0,)),
    case("look_up_same", "ArrayFeatureExtractor", np.int64([0, 1, 2]), np.int64([2, 0]),
         constants=(0,)),
]  # fmt: skip


@pytest.mark.parametrize("case", VECTORS, ids=str)
def test_vectors(case: Case) -> None:
    compare(case, VECTORS)


def test_lookups_end_at_the_table() -> None:
    """An index computed from anything reads nothing beside the table."""
    wild = case("wild", "ArrayFeatureExtractor", np.float32([2.5, 1.5, 0.5]),
                np.int64([-1, 3, 2**62, -(2**63)]), constants=(0,))  # fmt: skip
    answer = run(model_of([wild]), {"wild_1": wild.inputs[1]})["wild_y0"]
    assert answer.tolist() == [[2.5, 0.5, 0.5, 2.5]]


LABELS = np.int64([[5, -2, 7], [0, 5, 99]])
REALS = np.float32([[0.5, np.nan, -1.5], [2.0, 0.5, -0.0]])


def tensor(values: object, dtype: object) -> object:
    return numpy_helper.from_array(np.asarray(values, dtype), "t")


ENCODERS = [
    case("ints", "LabelEncoder", LABELS, keys_int64s=[5, 7, -2], values_int64s=[1, 2, 3]),
    case("ints_default", "LabelEncoder", LABELS, keys_int64s=[5, 7, -2], values_int64s=[1, 2, 3],
         default_int64=-9),
    case("int_float", "LabelEncoder", LABELS, keys_int64s=[7, 5], values_floats=[0.5, -0.25],
         default_float=3.5),
    case("int_float_plain", "LabelEncoder", LABELS, keys_int64s=[7, 5], values_floats=[0.5, -0.25]),
    case("floats", "LabelEncoder", REALS, keys_floats=[2.0, -1.5, 0.5, 0.0],
         values_floats=[1.0, 2.0, 3.0, 4.0], default_float=-1.0),
    case("float_int", "LabelEncoder", REALS, keys_floats=[0.5, float("nan")], values_int64s=[4, 5]),
    case("cats_ints", "OneHotEncoder", LABELS, cats_int64s=[7, 0, 5], zeros=1),
    case("cats_floats", "OneHotEncoder", np.float32([1, 2, 7]), cats_int64s=[7, 1], zeros=1),
]  # fmt: skip
TENSORS = [
    case("tensors", "LabelEncoder", LABELS, ml_opset=4, keys_tensor=tensor([5, 7], np.int64),
         values_tensor=tensor([50, 70], np.int64), default_tensor=tensor([-5], np.int64)),
    case("doubles", "LabelEncoder", REALS.astype(np.float64), ml_opset=4,
         keys_tensor=tensor([0.5, 2.0], np.float64), values_tensor=tensor([1.5, 2.5], np.float64),
         default_tensor=tensor([0.0], np.float64)),
    case("double_int", "LabelEncoder", REALS.astype(np.float64), ml_opset=4,
         keys_tensor=tensor([0.5, np.nan], np.float64), values_tensor=tensor([3, 9], np.int64),
         default_tensor=tensor([0], np.int64)),
    case("shorts", "LabelEncoder", LABELS.astype(np.int16), ml_opset=4, reference=[
         [[1, 0, 2], [0, 1, 0]]], keys_tensor=tensor([5, 7], np.int16),
         values_tensor=tensor([1, 2], np.int16), default_tensor=tensor([0], np.int16)),
]  # fmt: skip


@pytest.mark.parametrize("case", ENCODERS, ids=str)
def test_encoders(case: Case) -> None:
    compare(case, ENCODERS)


@pytest.mark.parametrize("case", TENSORS[:3], ids=str)
def test_encoders_with_tensors(case: Case) -> None:
    compare(case, TENSORS)


def test_encoder_of_shorts() -> None:
    short = TENSORS[3]
    answer = run(model_of([short]), {"shorts_0": short.inputs[0]})["shorts_y0"]
    assert answer.dtype == np.int16
    assert answer.tolist() == [[1, 0, 2], [0, 1, 0]]


def chain(*nodes: object, x: np.ndarray, ml_opset: int = 3) -> object:
    """Nodes one after the other, x to y."""
    made = []
    for index, (op, attributes) in enumerate(nodes):  # type: ignore[misc]
        source, result = ("x" if not index else f"t{index}"), f"t{index + 1}"
        if index == len(nodes) - 1:
            result = "y"
        domain = ML if op != "Reshape" else ""
        inputs = [source, "shape"] if op == "Reshape" else [source]
        made.append(helper.make_node(op, inputs, [result], domain=domain, **attributes))
    code = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        made,
        "chain",
        [helper.make_tensor_value_info("x", code, x.shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.int64([-1]), "shape")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(ML, ml_opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


TO_STRINGS = ("LabelEncoder", {"keys_int64s": [5, 7, 0], "values_strings": ["a", "b", "a"],
                               "default_string": "?"})  # fmt: skip
FROM_STRINGS = [
    [TO_STRINGS, ("LabelEncoder", {"keys_strings": ["b", "a", "z"], "values_int64s": [1, 2, 3]})],
    [TO_STRINGS, ("LabelEncoder", {"keys_strings": ["b", "?"], "values_floats": [0.5, 1.5]})],
    [TO_STRINGS, ("OneHotEncoder", {"cats_strings": ["?", "b", "z", "a"], "zeros": 1})],
    [TO_STRINGS, ("CategoryMapper", {"cats_strings": ["a", "b"], "cats_int64s": [3, 4],
                                     "default_int64": -8})],
    [("CategoryMapper", {"cats_strings": ["a", "b"], "cats_int64s": [5, 7],
                         "default_string": "no"}),
     ("LabelEncoder", {"keys_strings": ["no", "b"], "values_int64s": [11, 12]})],
    [TO_STRINGS, ("Reshape", {}),
     ("LabelEncoder", {"keys_strings": ["b"], "values_int64s": [1], "default_int64": 0})],
]  # fmt: skip


@pytest.mark.parametrize("nodes", FROM_STRINGS, ids=range(len(FROM_STRINGS)))
def test_strings_between_encoders(nodes: list[object]) -> None:
    model = chain(*nodes, x=LABELS)
    expected = in_onnxruntime(model, {"x": LABELS})[0]
    assert not EXACT(run(model, {"x": LABELS})["y"], expected)


def test_strings_at_the_end_are_indices_with_names() -> None:
    model = chain(TO_STRINGS, x=LABELS)
    labels = plan_model(model, find_target("wasm")).plan.graph.output_labels["y"]
    answer = run(model, {"x": LABELS})["y"]
    expected = in_onnxruntime(model, {"x": LABELS})[0]
    assert np.asarray(labels, object)[answer].tolist() == expected.tolist()


def test_constant_features_are_folded() -> None:
    for one in (ENCODERS[0], SCALING[0], VECTORS[7], SCALING[-2]):
        constant = Case(one.name, one.op, one.attributes, one.inputs, range(len(one.inputs)),
                        domain=ML)  # fmt: skip
        feeds = {f"{one.name}_{i}": x for i, x in enumerate(one.inputs) if i not in one.constants}
        assert not CLOSE(folded(constant), in_onnxruntime(model_of([one]), feeds)[0])


@pytest.mark.parametrize(
    ("broken", "match"),
    [
        (case("s", "Scaler", X, offset=[1.0, 2.0]), "offset has 2 entries"),
        (case("n", "Normalizer", X, norm="L3"), "the norm 'L3'"),
        (case("i", "Imputer", X), "missing"),
        (case("i2", "Imputer", X, imputed_value_floats=[1.0, 2.0]), "2 imputed values"),
        (case("p", "ArrayFeatureExtractor", X, np.int64([4]), constants=(1,)), "outside"),
        (case("q", "ArrayFeatureExtractor", X, np.int64([-1]), constants=(1,)), "outside"),
        (case("v", "FeatureVectorizer", X, X, inputdimensions=[4]), "inputdimensions"),
        (case("v2", "FeatureVectorizer", X, X[:2], inputdimensions=[4, 4]), "differ in length"),
        (case("l", "LabelEncoder", LABELS, keys_int64s=[1, 2], values_int64s=[1]), "2 keys"),
        (case("l2", "LabelEncoder", LABELS, keys_int64s=[1]), "values are given in 0 ways"),
        (case("l3", "LabelEncoder", X, keys_int64s=[1], values_int64s=[1]), "keys of type"),
        (case("l4", "LabelEncoder", X, keys_strings=["a"], values_int64s=[1]), "its keys are not"),
        (case("o", "OneHotEncoder", LABELS), "its categories"),
        (case("o2", "OneHotEncoder", LABELS, cats_strings=["a"]), "its categories"),
        (case("z", "ZipMap", X, classlabels_int64s=[0, 1]), "2 keys for"),
    ],
    ids=str,
)
def test_broken_features_are_refused(broken: Case, match: str) -> None:
    refuse(InvalidModel, broken, match)


def test_what_is_not_compiled_says_so() -> None:
    refuse(UnsupportedFeature, case("odd", "Scaler", np.int8([1]), scale=[2.0]), "type s8")


def test_string_inputs_are_refused_with_one_message() -> None:
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain=ML, keys_strings=["a"],
                            values_int64s=[1])  # fmt: skip
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(ML, 3)], ir_version=8)
    with pytest.raises(UnsupportedFeature, match="input 'x' has elements of type string"):
        plan_model(model, find_target("wasm"))
