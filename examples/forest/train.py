"""Train a forest of decision trees that tells irises apart, with scikit-learn, and export it.

Writes next to this file: iris_forest.onnx and test_flowers.npz. The model takes `flower`, float32
[N, 4] = length and width of sepal and petal in cm, NaN where one was not measured, and returns
`label`, a string, and `probabilities` [N, 3].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

HERE = Path(__file__).resolve().parent
SEED, TREES, DEPTH, MISSING = 0, 20, 4, 0.1


def main() -> None:
    data = load_iris()
    flowers = data.data.astype(np.float32)
    names = data.target_names[data.target]
    chance = np.random.default_rng(SEED)
    flowers[chance.random(flowers.shape) < MISSING] = np.nan
    train, test, known, wanted = train_test_split(
        flowers, names, test_size=50, random_state=SEED, stratify=names
    )
    pipeline = make_pipeline(
        SimpleImputer(strategy="median"),
        RandomForestClassifier(TREES, max_depth=DEPTH, random_state=SEED),
    ).fit(train, known)
    found = pipeline.predict(test)
    print(f"{(found == wanted).sum()} of {len(test)} right")
    model = to_onnx(
        pipeline,
        initial_types=[("flower", FloatTensorType([None, 4]))],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    (HERE / "iris_forest.onnx").write_bytes(model.SerializeToString())
    np.savez_compressed(
        HERE / "test_flowers.npz",
        flower=test[:, None, :],
        species=wanted.astype("U"),
        scikit_learn=found.astype("U"),
        probabilities=pipeline.predict_proba(test).astype(np.float32),
    )


if __name__ == "__main__":
    main()
