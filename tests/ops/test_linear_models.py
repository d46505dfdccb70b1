"""LinearClassifier, LinearRegressor, SVMClassifier, SVMRegressor, ZipMap."""

from __future__ import annotations

import numpy as np
import pytest
from cases import ML, Case, compare, model_of, refuse
from tolerance import CLOSE

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact

rng = np.random.default_rng(13)
X = rng.normal(size=(12, 5)).astype(np.float32)
POSTS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")


def some(count: int) -> list[float]:
    return [float(v) for v in rng.normal(size=count).astype(np.float32)]


def case(name: str, op: str, x: np.ndarray = X, **attributes: object) -> Case:
    outputs = 2 if op.endswith("Classifier") else 1
    return Case(name, op, attributes, [x], domain=ML, tolerance=CLOSE, outputs=outputs)


LINEAR = [
    *(
        case(f"{lines}_{classes}_{post}", "LinearClassifier", coefficients=some(5 * lines),
             intercepts=some(lines), classlabels_ints=list(range(4, 4 + classes)),
             post_transform=post)
        for lines, classes in ((1, 2), (2, 2), (4, 4))
        for post in POSTS
    ),
    *(
        case(f"regressor_{targets}_{post}", "LinearRegressor", coefficients=some(5 * targets),
             intercepts=some(targets), targets=targets, post_transform=post)
        for targets in (1, 3)
        for post in POSTS
    ),
    case("no_intercepts", "LinearRegressor", coefficients=some(10), targets=2),
    case("probit", "LinearRegressor", np.abs(X) / 5, coefficients=[0.2, 0.1, 0.3, 0.1, 0.2],
         intercepts=[0.01], targets=1, post_transform="PROBIT"),
    *(
        case(f"of_{dtype}", "LinearClassifier", (X * 4).astype(dtype), coefficients=some(15),
             intercepts=some(3), classlabels_ints=[0, 1, 2])
        for dtype in ("float64", "int64", "int32")
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_linear_models(case: Case) -> None:
    compare(case, LINEAR)


KERNELS = {
    "LINEAR": [0.0, 0.0, 0.0],
    "POLY": [0.3, 0.5, 3.0],
    "POLY 2": [0.3, -0.5, 2.0],
    "POLY 4": [0.2, 3.0, 4.0],
    "RBF": [0.4, 0.0, 0.0],
    "SIGMOID": [0.3, -0.2, 0.0],
}


def machine(name: str, kernel: str, counts: list[int], **more: object) -> Case:
    classes, total = len(counts), sum(counts)
    attributes = {
        "kernel_type": kernel.split()[0],
        "kernel_params": KERNELS[kernel],
        "vectors_per_class": counts,
        "support_vectors": some(total * 5),
        "coefficients": some((classes - 1) * total),
        "rho": some(classes * (classes - 1) // 2),
        "classlabels_ints": [3 * i - 2 for i in range(classes)],
        **more,
    }
    return case(name, "SVMClassifier", **attributes)


def platt(classes: int) -> dict[str, object]:
    pairs = classes * (classes - 1) // 2
    return {"prob_a": [-abs(v) - 0.5 for v in some(pairs)], "prob_b": some(pairs)}


MACHINES = [
    *(machine(f"scores_{kernel}", kernel, [3, 2, 4]) for kernel in KERNELS),
    *(machine(f"two_{post}", "RBF", [3, 4], post_transform=post) for post in POSTS),
    *(machine(f"three_{post}", "RBF", [3, 4, 1], post_transform=post) for post in POSTS),
    *(
        machine(f"likely_{len(counts)}_{post}", "RBF", counts, post_transform=post,
                **platt(len(counts)))
        for counts in ([3, 4], [3, 2, 4], [2, 1, 3, 2, 4])
        for post in POSTS[:2]
    ),
    machine("none_of_one", "RBF", [3, 0, 4]),
    *(
        case(f"regressor_{kernel}", "SVMRegressor", kernel_type=kernel.split()[0],
             kernel_params=KERNELS[kernel], n_supports=6, support_vectors=some(30),
             coefficients=some(6), rho=some(1), one_class=one)
        for kernel in KERNELS
        for one in (0,)
    ),
    case("outlier", "SVMRegressor", kernel_type="RBF", kernel_params=KERNELS["RBF"], n_supports=6,
         support_vectors=some(30), coefficients=some(6), rho=[-0.1], one_class=1),
    case("linear_regressor", "SVMRegressor", kernel_type="LINEAR", kernel_params=[0.0] * 3,
         n_supports=0, coefficients=some(5), rho=some(1)),
    case("liblinear", "SVMClassifier", kernel_type="LINEAR", kernel_params=[0.0] * 3,
         coefficients=some(15), rho=some(1), classlabels_ints=[7, 8, 9]),
]  # fmt: skip
for _index, _one in enumerate(MACHINES):
    object.__setattr__(_one, "name", _one.name.replace(" ", "_"))


@pytest.mark.parametrize("case", MACHINES, ids=str)
def test_support_vector_machines(case: Case) -> None:
    compare(case, MACHINES)


@pytest.mark.parametrize(
    ("broken", "match"),
    [
        (case("a", "LinearClassifier", coefficients=some(5), intercepts=some(3),
              classlabels_ints=[0, 1, 2]), "5 coefficients"),
        (case("b", "LinearClassifier", coefficients=some(15), intercepts=some(3),
              classlabels_ints=[0, 1]), "3 intercepts"),
        (case("c", "LinearClassifier", coefficients=some(15), intercepts=some(3)), "classlabels"),
        (case("d", "LinearClassifier", coefficients=some(15), intercepts=some(3),
              classlabels_strings=["x", "x", "y"]), "twice"),
        (case("e", "LinearRegressor", coefficients=some(5), targets=-1), "coefficients"),
        (case("f", "LinearRegressor", coefficients=some(5), post_transform="X"), "post_transform"),
        (machine("g", "RBF", [3, 4], rho=some(2)), "rho has 2"),
        (machine("h", "RBF", [3, 4], support_vectors=some(34)), "support_vectors has 34"),
        (machine("i", "RBF", [3, 4], coefficients=some(3)), "coefficients has 3"),
        (machine("j", "RBF", [3, 4], classlabels_ints=[1, 2, 3]), "2 vectors_per_class"),
        (machine("k", "RBF", [3, 4], prob_a=some(1)), "prob_b has 0"),
        (machine("l", "RBF", [3, 4], kernel_type="COSINE"), "COSINE"),
        (machine("m", "RBF", [3, 4], kernel_params=[1.0]), "1 kernel_params"),
        (machine("n", "RBF", [3, 4], vectors_per_class=[-3, 10]), "negative"),
        (case("o", "SVMRegressor", n_supports=-1, coefficients=some(3)), "-1 support"),
    ],
    ids=str,
)  # fmt: skip
def test_broken_models_are_refused(broken: Case, match: str) -> None:
    refuse(InvalidModel, broken, match)


def test_what_onnx_leaves_open_is_refused() -> None:
    two = case("two", "SVMClassifier", coefficients=some(10), rho=[0.5], classlabels_ints=[0, 1],
               kernel_params=[0.0] * 3)  # fmt: skip
    refuse(UnsupportedFeature, two, "two classes without support vectors")
    one = case("one", "LinearClassifier", coefficients=some(5), intercepts=[0.1],
               classlabels_ints=[4])  # fmt: skip
    refuse(UnsupportedFeature, one, "one class")


def test_classes_that_are_counted_need_no_names() -> None:
    plain = case("plain", "LinearClassifier", coefficients=some(15), intercepts=some(3),
                 classlabels_ints=[0, 1, 2])  # fmt: skip
    assert plan_model(model_of([plain]), find_target("wasm")).plan.graph.output_labels == {}
    named = plan_model(model_of([LINEAR[8]]), find_target("wasm")).plan.graph.output_labels
    assert named == {"4_4_NONE_y1": ("4", "5", "6", "7")}


def article() -> Case:
    """Two inputs, two classes, as scikit-learn's LogisticRegression is exported."""
    return case("article", "LinearClassifier", X[:1, :2], classlabels_ints=[0, 1],
                coefficients=[-1.395, 0.474, 1.395, -0.474], intercepts=[-0.846, 0.846],
                post_transform="LOGISTIC")  # fmt: skip


def test_a_logistic_regression_of_two_inputs_is_below_a_kilobyte() -> None:
    compiled = plan_model(model_of([article()]), find_target("wasm"), Options(name="logreg"))
    assert len(build_artifact(generate(compiled), compiled.plan.target)) < 1024


def test_its_label_does_not_lie_over_its_inputs() -> None:
    """A second run on inputs that are not written again would compute with subnormal numbers."""
    plan = plan_model(model_of([article()]), find_target("wasm")).plan
    (x,), (label, _) = plan.graph.inputs, plan.graph.outputs
    offsets = plan.memory.offsets
    assert offsets[label] + label.bytes <= offsets[x] or offsets[x] + x.bytes <= offsets[label]
