"""Pipelines of scikit-learn: labels as recorded on every sample, numbers within a tolerance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from networks import Built, Network, named
from tolerance import CLOSE, EXACT, Tolerance

from nn2wasm.loaders import WasmtimeSession

Builder = Callable[..., Built]
ABOVE = {"skl_iris_knn"}
"""Needs Scan and TopK."""
SUMS = ("*dtree*", "*_rf*", "*gbr*")
"""Sums of weights, the same floats in the same order as onnxruntime's."""


def compare(network: Network, module: bytes, tolerance: Tolerance) -> None:
    with WasmtimeSession(module) as session:
        infos = session.inputs
        runs = [
            session.run(dict(zip((i.name for i in infos), network.feeds(index), strict=True)))
            for index in range(network.samples)
        ]
        for info, expected in zip(session.outputs, network.outputs(), strict=True):
            actual = np.stack([run[info.name] for run in runs])
            if expected.dtype.kind == "U":
                actual = np.asarray(info.labels)[actual]
            assert actual.shape == expected.shape
            check = tolerance if expected.dtype.kind == "f" else EXACT
            assert not (complaint := check(actual, expected)), f"{info.name}: {complaint}"


@pytest.mark.parametrize("network", named(*(f"skl_{p}" for p in SUMS), without=()))
def test_trees(network: Network, built: Builder) -> None:
    compare(network, built(network).module, EXACT)


@pytest.mark.parametrize("network", named("skl_*", without=(*(f"skl_{p}" for p in SUMS), *ABOVE)))
def test_other_models(network: Network, built: Builder) -> None:
    compare(network, built(network).module, CLOSE)


@pytest.mark.parametrize("network", named("skl_article_logreg*", without=()))
def test_a_logistic_regression_is_a_kilobyte(network: Network, built: Builder) -> None:
    assert len(built(network).module) < 1024


@pytest.mark.parametrize("network", named("skl_digits_rf", without=()))
def test_a_forest_takes_few_bytes_a_node(network: Network, built: Builder) -> None:
    """11,200 nodes, two of them a word at most since equal pairs are there once."""
    assert len(built(network).module) < 3.5 * 11_200


@pytest.mark.parametrize("network", named("skl_iris_logreg_strings", without=()))
def test_labels_are_named(network: Network, built: Builder) -> None:
    with WasmtimeSession(built(network).module) as session:
        names = ("setosa", "versicolor", "virginica")
        assert [info.labels for info in session.outputs] == [names, names]
