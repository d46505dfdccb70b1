from __future__ import annotations

import numpy as np
import pytest
from cases import (
    ML,
    Case,
    compare,
    folded,
    in_onnxruntime,
    model_of,
    reference_outputs,
    refuse,
    run,
)
from onnx import numpy_helper
from random_trees import MODES, hard_rows, random_trees
from tolerance import CLOSE, EXACT

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import InvalidModel, Nn2wasmError, UnsupportedFeature
from nn2wasm.ops.tree_ensemble import TreeEnsemble
from nn2wasm.target import find_target

rng = np.random.default_rng(8)
ANY = (-3.25, -0.1, -0.0, 0.0, 0.1, 0.30000001, 1.5, 7e7, -np.inf, np.inf)
HALVES = tuple(n / 2 for n in range(33))
ROWS = 40


def regressor(
    name: str, thresholds: tuple[float, ...], *, targets: int = 1, **more: object
) -> Case:
    attributes = {
        key: more.pop(key)
        for key in ("aggregate_function", "post_transform", "base_values")
        if key in more
    }
    tolerance = more.pop("tolerance", EXACT)
    trees = random_trees(rng, thresholds=thresholds, targets=targets, **more)  # type: ignore[arg-type]
    x = hard_rows(rng, thresholds, ROWS, 6)
    return Case(
        name, "TreeEnsembleRegressor", {**trees, "n_targets": targets, **attributes}, [x],
        domain=ML, tolerance=tolerance,  # type: ignore[arg-type]
    )  # fmt: skip


REGRESSORS = [
    *(
        regressor(f"{name}_{mode}_{missing}", values, modes=(mode,), missing=missing)
        for name, values in (("any", ANY), ("grid", HALVES))
        for mode in MODES
        for missing in (False, True)
    ),
    regressor("mixed", ANY),
    regressor("many_trees", ANY, trees=60, depth=7),
    regressor("several", ANY, targets=3, base_values=[0.5, -1.0, 2.0]),
    regressor("grid_several", HALVES, targets=3, missing=False, modes=("BRANCH_LEQ",)),
    regressor("some_targets", ANY, targets=4, ids=(1, 3)),
    regressor("base", ANY, base_values=[-3.5]),
    regressor("only_leaf", ANY, depth=0),
    *(
        regressor(f"{rule}_{targets}", ANY, targets=targets, aggregate_function=rule,
                  base_values=[0.25] * targets, tolerance=CLOSE)
        for rule in ("SUM", "AVERAGE", "MIN", "MAX")
        for targets in (1, 3)
    ),
    *(
        regressor(f"{post}_{targets}", ANY, targets=targets, post_transform=post, tolerance=CLOSE)
        for post in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")
        for targets in (1, 3)
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", REGRESSORS, ids=str)
def test_regressor(case: Case) -> None:
    compare(case, REGRESSORS)


@pytest.mark.parametrize("target", ["host", "cortex-m0"])
def test_regressor_is_the_same_everywhere(target: str) -> None:
    cases = REGRESSORS[:24]
    for case in cases:
        compare(case, cases, target)


def classifier(name: str, classes: int, *, labels: list[int] | None = None, **more: object) -> Case:
    attributes = {key: more.pop(key) for key in ("post_transform", "base_values") if key in more}
    thresholds = more.pop("thresholds", ANY)
    trees = random_trees(
        rng,
        thresholds=thresholds,
        kind="class",
        targets=classes,
        **more,  # type: ignore[arg-type]
    )
    attributes["classlabels_int64s"] = labels or list(range(classes))
    x = hard_rows(rng, thresholds, ROWS, 6)  # type: ignore[arg-type]
    return Case(
        name, "TreeEnsembleClassifier", {**trees, **attributes}, [x],
        domain=ML, tolerance=CLOSE, outputs=2,
    )  # fmt: skip


POSTS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")
CLASSIFIERS = [
    *(classifier(f"three_{post}", 3, post_transform=post) for post in POSTS),
    *(
        classifier(f"{kind}_{sign}_{base}_{post}", 2, ids=ids, positive=sign == "pos",
                   post_transform=post, labels=[7, -3],
                   **({"base_values": [0.125]} if base == "base" else {}))
        for kind, ids, bases in (("first", (0,), ("none", "base")), ("second", (1,), ("none",)))
        for sign in ("pos", "mixed")
        for base in bases
        for post in POSTS
    ),
    classifier("both", 2),
    classifier("both_positive", 2, positive=True, post_transform="SOFTMAX"),
    classifier("labels", 4, labels=[10, -20, 2**40, 0]),
    classifier("base", 3, base_values=[0.5, 1.0, -0.25]),
    classifier("sparse", 5, ids=(1, 2, 4), positive=True),
    classifier("grid", 10, thresholds=HALVES, missing=False, modes=("BRANCH_LEQ",), trees=20),
]  # fmt: skip


@pytest.mark.parametrize("case", CLASSIFIERS, ids=str)
def test_classifier(case: Case) -> None:
    compare(case, CLASSIFIERS)


def doubles(op: str, kind: str, dtype: type) -> Case:
    trees = random_trees(rng, thresholds=ANY, kind=kind, targets=3)
    for name in ("nodes_values", f"{kind}_weights"):
        values = np.asarray(trees.pop(name), np.float64)
        if dtype is np.float64:
            values = values + (values != 0) * 1e-12
            values[~np.isfinite(values)] = 1e300
        trees[f"{name}_as_tensor"] = numpy_helper.from_array(values.astype(dtype), name)
    more = {"n_targets": 3} if kind == "target" else {"classlabels_int64s": [0, 1, 2]}
    x = hard_rows(rng, ANY, ROWS, 6).astype(dtype)
    if dtype is np.float64:
        x = np.concatenate([x, x + 1e-12])
    return Case(
        f"{kind}_{dtype.__name__}", op, {**trees, **more}, [x],
        domain=ML, outputs=1 + (kind == "class"),
    )  # fmt: skip


OTHER_TYPES = [
    doubles(op, kind, dtype)
    for op, kind in (("TreeEnsembleRegressor", "target"), ("TreeEnsembleClassifier", "class"))
    for dtype in (np.float64, np.float32)
]
OTHER_TYPES += [
    Case(f"{case}_int", case.op, case.attributes, [x], domain=ML, outputs=case.outputs)
    for case in CLASSIFIERS[:2]
    for x in (rng.integers(-5, 9, (ROWS, 6)),)
]


@pytest.mark.parametrize("case", OTHER_TYPES, ids=str)
def test_element_types(case: Case) -> None:
    compare(case, OTHER_TYPES)


def test_constant_inputs_are_folded() -> None:
    case = REGRESSORS[24]
    constant = Case("folded", case.op, case.attributes, case.inputs, constants=(0,), domain=ML)
    expected = in_onnxruntime(model_of([case]), {"mixed_0": case.inputs[0]})[0]
    assert not EXACT(folded(constant), expected)


# -- TreeEnsemble of version 5 -----------------------------------------------------------------


def newer(name: str, dtype: type = np.float32, **changes: object) -> Case:
    """x[0] <= 2.5 ? (x[1] in {1, 4} ? leaf 0 : leaf 1) : (x[0] > 4.5 ? leaf 2 : leaf 3), and a
    tree of one leaf.
    """
    attributes: dict[str, object] = {
        "n_targets": 2,
        "tree_roots": [0, 3],
        "nodes_featureids": [0, 1, 0, 0],
        "nodes_modes": np.uint8([0, 6, 3, 0]),
        "nodes_splits": np.asarray([2.5, 0, 4.5, 0], dtype),
        "nodes_truenodeids": [1, 0, 2, 4],
        "nodes_trueleafs": [0, 1, 1, 1],
        "nodes_falsenodeids": [2, 1, 3, 4],
        "nodes_falseleafs": [0, 1, 1, 1],
        "leaf_targetids": [0, 1, 0, 1, 0],
        "leaf_weights": np.asarray([1.5, 2.25, -3, 4, 0.125], dtype),
        "membership_values": np.asarray([1, 4, np.nan], dtype),
        **changes,
    }
    written = {
        key: numpy_helper.from_array(value, key) if isinstance(value, np.ndarray) else value
        for key, value in attributes.items()
        if value is not None
    }
    x = np.asarray([[a, b] for a in (2, 2.5, 3, 4.5, 5, np.nan) for b in (0, 1, 4, np.nan)], dtype)
    return Case(name, "TreeEnsemble", written, [x], domain=ML, ml_opset=5, opset=21)


NEWER = [
    newer("plain"),
    newer("double", np.float64),
    newer("missing", nodes_missing_value_tracks_true=[1, 1, 0, 0]),
    newer("average", aggregate_function=0),
]


@pytest.mark.parametrize("case", NEWER, ids=str)
def test_tree_ensemble_5(case: Case) -> None:
    compare(case, NEWER)


def test_post_transforms_have_the_numbers_of_onnx() -> None:
    """onnxruntime has those of its own enumeration, in which 1 and 2 are exchanged."""
    sums = reference_outputs(NEWER[0])[0]
    exps = np.exp(sums - sums.max(1, keepdims=True))
    expected = exps / exps.sum(1, keepdims=True)
    softmax = newer("softmax", post_transform=1)
    answer = run(model_of([softmax]), {"softmax_0": softmax.inputs[0]})["softmax_y0"]
    assert not CLOSE(answer, expected)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"nodes_truenodeids": [0, 0, 2, 4]}, "two parents"),
        ({"nodes_truenodeids": [9, 0, 2, 4]}, "is not there"),
        ({"nodes_falsenodeids": [2, 1, -1, 4]}, "is not there"),
        ({"tree_roots": [0, 7]}, "tree_roots"),
        ({"tree_roots": [0]}, "not below any root"),
        ({"nodes_featureids": [0, 2, 0, 0]}, "feature 2 of 2"),
        ({"nodes_modes": np.uint8([0, 6, 9, 0])}, "nodes_modes"),
        ({"leaf_targetids": [0, 1, 2, 1, 0]}, "targets"),
        ({"leaf_targetids": [0, 1]}, "leaf_targetids has 2"),
        ({"nodes_splits": np.float32([1.0])}, "nodes_splits has 1"),
        ({"nodes_splits": None}, "nodes_splits"),
        ({"membership_values": np.float32([1, 4])}, "membership_values"),
        ({"membership_values": np.float32([1, np.nan, 4, np.nan])}, "membership_values"),
    ],
)
def test_broken_tree_ensemble_5(changes: dict[str, object], match: str) -> None:
    refuse(InvalidModel, newer("broken", **changes), match)


# -- trees that are none -----------------------------------------------------------------------


def stump(**changes: object) -> Case:
    """x[0] <= 0.5 ? (x[1] <= 1.5 ? 1 : 2) : 3."""
    attributes: dict[str, object] = {
        "nodes_treeids": [0, 0, 0, 0, 0],
        "nodes_nodeids": [0, 1, 2, 3, 4],
        "nodes_featureids": [0, 1, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        "nodes_values": [0.5, 1.5, 0.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 2, 0, 0, 0],
        "nodes_falsenodeids": [4, 3, 0, 0, 0],
        "target_treeids": [0, 0, 0],
        "target_nodeids": [2, 3, 4],
        "target_ids": [0, 0, 0],
        "target_weights": [1.0, 2.0, 3.0],
        **changes,
    }
    kept = {key: value for key, value in attributes.items() if value is not None}
    x = np.float32([[0, 1], [0, 2], [1, 0]])
    return Case("stump", "TreeEnsembleRegressor", kept, [x], domain=ML)


def test_stump() -> None:
    answer = run(model_of([stump()]), {"stump_0": stump().inputs[0]})
    assert answer["stump_y0"].tolist() == [[1], [2], [3]]


BROKEN = {
    "cycle": ({"nodes_truenodeids": [1, 0, 0, 0, 0]}, "cycle"),
    "only_a_cycle": ({"nodes_treeids": [1, 1, 1, 1, 0], "nodes_nodeids": [0, 1, 2, 3, 4],
                      "nodes_truenodeids": [1, 0, 0, 0, 0], "nodes_falsenodeids": [2, 3, 0, 0, 0],
                      "target_treeids": [1, 1, 0]}, "tree 1 has no root"),
    "itself": ({"nodes_truenodeids": [1, 1, 0, 0, 0]}, "two parents|two roots"),
    "child": ({"nodes_truenodeids": [1, 9, 0, 0, 0]}, "child 9"),
    "negative_child": ({"nodes_falsenodeids": [-1, 3, 0, 0, 0]}, "child -1"),
    "two_parents": ({"nodes_falsenodeids": [1, 3, 0, 0, 0]}, "two parents|two roots"),
    "twice": ({"nodes_nodeids": [0, 1, 2, 3, 3]}, "node 3 of tree 0 is there twice"),
    "feature": ({"nodes_featureids": [0, 2, 0, 0, 0]}, "feature 2 of 2"),
    "negative_feature": ({"nodes_featureids": [-1, 1, 0, 0, 0]}, "feature -1 of 2"),
    "mode": ({"nodes_modes": ["BRANCH_LEQ", "BR", "LEAF", "LEAF", "LEAF"]}, "the mode 'BR'"),
    "absent_tree": ({"target_treeids": [0, 0, 5]}, "node 4 of tree 5"),
    "absent_leaf": ({"target_nodeids": [2, 3, 40]}, "node 40 of tree 0"),
    "target": ({"target_ids": [0, 0, 1]}, "target 1 of 1"),
    "short": ({"nodes_values": [0.5]}, "nodes_values has 1 entries"),
    "no_modes": ({"nodes_modes": None}, "nodes_modes has 0"),
    "empty": ({"nodes_nodeids": None}, "no nodes"),
    "tracks": ({"nodes_missing_value_tracks_true": [1]}, "missing_value_tracks_true has 1"),
    "bases": ({"base_values": [1.0, 2.0]}, "2 base_values"),
    "rule": ({"aggregate_function": "MEDIAN"}, "MEDIAN"),
    "post": ({"post_transform": "TANH"}, "TANH"),
    "targets": ({"n_targets": 0}, "0 targets"),
    "wrong_kind": ({"nodes_values": [1, 2, 3, 4, 5], "nodes_featureids": [0.5]}, "of type INTS"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_trees_are_refused(name: str) -> None:
    changes, match = BROKEN[name]
    refuse(InvalidModel, stump(**changes), match)


def test_a_cycle_beside_a_tree_is_refused() -> None:
    """Nodes 5 and 6 of tree 0 are each other's children."""
    old = stump().attributes
    changes = {
        "nodes_treeids": [0] * 7,
        "nodes_nodeids": list(range(7)),
        "nodes_featureids": [*old["nodes_featureids"], 0, 0],
        "nodes_modes": [*old["nodes_modes"], "BRANCH_LEQ", "BRANCH_LEQ"],
        "nodes_values": [*old["nodes_values"], 0.0, 0.0],
        "nodes_truenodeids": [*old["nodes_truenodeids"], 6, 5],
        "nodes_falsenodeids": [*old["nodes_falsenodeids"], 2, 3],
    }
    refuse(InvalidModel, stump(**changes), "cycle")


def test_random_damage_is_refused_or_walks_to_an_end() -> None:
    """Any child anywhere: the compiler refuses, or what it makes is a tree."""
    refused = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        trees = random_trees(chance, thresholds=ANY, trees=2, depth=4)
        count = len(trees["nodes_nodeids"])
        for _ in range(int(chance.integers(1, 4))):
            side = str(chance.choice(["nodes_truenodeids", "nodes_falsenodeids"]))
            trees[side][int(chance.integers(count))] = int(chance.integers(-1, count))
        case = Case("damaged", "TreeEnsembleRegressor", trees, [np.zeros((1, 6), np.float32)],
                    domain=ML)  # fmt: skip
        try:
            plan_model(model_of([case]), find_target("wasm"), Options(name="cases"))
        except Nn2wasmError:
            refused += 1
    assert refused > 20


def test_classes_without_scores_are_refused() -> None:
    refuse(UnsupportedFeature, classifier("one", 1), "one class")
    case = classifier("sparse", 4, ids=(0, 2))
    refuse(UnsupportedFeature, case, "give class 1 no weight")
    two_bases = classifier("bases", 2, ids=(0,), base_values=[0.5, 0.5])
    refuse(UnsupportedFeature, two_bases, "2 base_values")
    refuse(UnsupportedFeature, classifier("base", 2, base_values=[0.5]), "base_values")
    refuse(UnsupportedFeature, classifier("probit", 2, ids=(0,), post_transform="PROBIT"), "PROBIT")


def test_least_of_nothing_is_refused() -> None:
    case = regressor("least", ANY, targets=3, ids=(0,), aggregate_function="MIN")
    refuse(UnsupportedFeature, case, "leave out targets")


def test_thresholds_with_more_digits_than_the_inputs_are_refused() -> None:
    values = numpy_helper.from_array(np.float64([0.1, 1.5, 0, 0, 0]), "values")
    case = stump(nodes_values=None, nodes_values_as_tensor=values)
    refuse(UnsupportedFeature, case, "more digits")


def test_equal_subtrees_are_there_once() -> None:
    trees = random_trees(rng, thresholds=HALVES, trees=1, depth=6, missing=False)
    names = [key for key in trees if key.endswith("treeids")]
    twice = {
        key: [*values, *(1 for _ in values)] if key in names else [*values, *values]
        for key, values in trees.items()
    }
    words = []
    for attributes in (trees, twice):
        case = Case("once", "TreeEnsembleRegressor", attributes, [np.zeros((1, 6), np.float32)],
                    domain=ML)  # fmt: skip
        plan = plan_model(model_of([case]), find_target("wasm"), Options(name="cases")).plan
        (op,) = (node.op for node in plan.graph.nodes if isinstance(node.op, TreeEnsemble))
        words.append(len(op.tables.words) - op.trees)
    assert words[1] <= words[0] + 1


def test_string_labels_are_indices_with_names() -> None:
    case = classifier("strings", 3)
    attributes = {k: v for k, v in case.attributes.items() if k != "classlabels_int64s"}
    named = Case("strings", case.op, {**attributes, "classlabels_strings": ["c", "a", "ü"]},
                 case.inputs, domain=ML, outputs=2)  # fmt: skip
    model = model_of([named])
    expected = in_onnxruntime(model, {"strings_0": case.inputs[0]})
    answers = run(model, {"strings_0": case.inputs[0]})
    labels = plan_model(model, find_target("wasm")).plan.graph.output_labels
    assert labels == dict.fromkeys(("strings_y0", "strings_y1"), ("c", "a", "ü"))
    assert [("c", "a", "ü")[i] for i in answers["strings_y0"]] == expected[0].tolist()
