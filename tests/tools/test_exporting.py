"""Estimators and modules from Python, through the exporters of their libraries."""

from __future__ import annotations

import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

import nn2wasm
from nn2wasm.api import Options
from nn2wasm.errors import InstallError, InvalidModel, UnsupportedFeature

X = np.random.default_rng(4).normal(size=(120, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.5)


def estimators() -> dict[str, Any]:
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return {
        "forest": make_pipeline(StandardScaler(), RandomForestClassifier(12, random_state=1)),
        "linear": make_pipeline(StandardScaler(), LogisticRegression()),
        "neighbours": KNeighborsClassifier(3),
        "network": MLPClassifier((12,), max_iter=60, random_state=1),
        "vectors": SVC(),
    }


NAMES = ("forest", "linear", "neighbours", "network", "vectors")


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_those_of_the_estimator(name: str, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    estimator = estimators()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, Y)
        artifact = nn2wasm.from_sklearn(estimator, tmp_path / f"{name}.wasm")
    session = nn2wasm.load(artifact.path)
    labels = [int(session.run(row[None])[session.outputs[0].name][0]) for row in X]
    assert labels == estimator.predict(X).tolist()


def test_classes_that_are_names_reach_the_module(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    estimator = estimators()["linear"].fit(X, np.asarray(["low", "mid", "top"])[Y])
    path = nn2wasm.from_sklearn(estimator, tmp_path / "named.wasm", example=X[:1]).path
    session = nn2wasm.load(path)
    assert session.outputs[0].labels == ("low", "mid", "top")


def test_estimators_that_are_not_fitted(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    with pytest.raises(InvalidModel, match="how many features"):
        nn2wasm.from_sklearn(estimators()["vectors"], tmp_path / "x.wasm")
    with pytest.raises(UnsupportedFeature, match="skl2onnx cannot export this SVC") as caught:
        nn2wasm.from_sklearn(estimators()["vectors"], tmp_path / "x.wasm", example=X[:1])
    assert caught.value.facts
    assert not list(tmp_path.iterdir())


def test_without_skl2onnx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(InstallError, match="needs skl2onnx"):
        nn2wasm.from_sklearn(object(), tmp_path / "x.wasm")


# -- torch: its interface, not itself --------------------------------------------------------------


class Module:
    """As much of a torch.nn.Module as the exporter of `fake_torch` wants."""

    def __init__(self) -> None:
        self.training = True

    def eval(self) -> None:
        self.training = False

    def train(self, mode: bool) -> None:
        self.training = mode


@pytest.fixture
def fake_torch(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    torch = types.ModuleType("torch")

    def export(module: Module, arguments: tuple[Any, ...], path: str, **more: Any) -> None:
        assert not module.training
        if more.get("broken"):
            raise RuntimeError("no such operator")
        (x,) = arguments
        shape = ",".join(map(str, x.shape))
        head = '<ir_version: 8, opset_import: ["" : 18]>'
        name = more.get("input_names", ["x"])[0]
        model = parser.parse_model(f"{head} g (float[{shape}] {name}) => (float[N,2] y)"
                                   f"{{ y = MatMul ({name}, w) }}")  # fmt: skip
        model.graph.initializer.append(numpy_helper.from_array(np.eye(4, 2, dtype=np.float32), "w"))
        onnx.save(model, path)

    torch.onnx = types.SimpleNamespace(export=export)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


def test_modules(fake_torch: types.ModuleType, tmp_path: Path) -> None:
    module = Module()
    artifact = nn2wasm.from_torch(module, X[:1], tmp_path / "m.wasm", input_names=["sample"],
                                  options=Options(name="mine"))  # fmt: skip
    assert module.training
    found = nn2wasm.load(artifact.path).run({"sample": X[:1]})["y"]
    np.testing.assert_array_equal(found, X[:1, :2])


def test_modules_that_cannot_be_exported(fake_torch: types.ModuleType, tmp_path: Path) -> None:
    module = Module()
    with pytest.raises(UnsupportedFeature, match="cannot export this Module") as caught:
        nn2wasm.from_torch(module, (X[:1],), tmp_path / "m.wasm", broken=True)
    assert "no such operator" in str(caught.value)
    assert module.training
    assert not list(tmp_path.iterdir())


def test_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InstallError, match="needs torch"):
        nn2wasm.from_torch(Module(), X[:1], tmp_path / "m.wasm")
