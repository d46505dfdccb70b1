"""Decision trees with random shapes, comparisons and weights, as attributes of ai.onnx.ml."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


def random_trees(
    rng: np.random.Generator,
    *,
    thresholds: Sequence[float],
    trees: int = 4,
    depth: int = 5,
    features: int = 6,
    targets: int = 1,
    modes: Sequence[str] = MODES,
    missing: bool = True,
    positive: bool = False,
    kind: str = "target",
    ids: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Attributes of the nodes and weights of a TreeEnsembleRegressor or TreeEnsembleClassifier.

    Args:
        rng: where chance comes from.
        thresholds: what nodes compare with.
        trees, depth, features, targets: how many at most.
        modes: comparisons to choose from.
        missing: NaN goes to the true child of some nodes.
        positive: no weight is below 0.
        kind: "target" or "class".
        ids: targets that leaves have weights for; all where left out.
    """
    nodes: dict[str, list[Any]] = {
        f"nodes_{name}": []
        for name in (
            "treeids nodeids featureids modes values truenodeids falsenodeids "
            "missing_value_tracks_true"
        ).split()
    }
    leaves: dict[str, list[Any]] = {
        f"{kind}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")
    }

    def grow(tree: int, number: list[int], level: int) -> int:
        own = number[0]
        number[0] += 1
        leaf = level >= depth or (level > 0 and rng.random() < 0.25)
        at = len(nodes["nodes_nodeids"])
        for name, value in (
            ("treeids", tree),
            ("nodeids", own),
            ("featureids", 0 if leaf else int(rng.integers(features))),
            ("modes", "LEAF" if leaf else str(rng.choice(list(modes)))),
            ("values", 0.0 if leaf else float(rng.choice(list(thresholds)))),
            ("truenodeids", 0),
            ("falsenodeids", 0),
            ("missing_value_tracks_true", int(missing and not leaf and rng.random() < 0.4)),
        ):
            nodes[f"nodes_{name}"].append(value)
        if leaf:
            for target in range(targets) if ids is None else ids:
                weight = float(np.float32(rng.normal() * 0.3))
                leaves[f"{kind}_treeids"].append(tree)
                leaves[f"{kind}_nodeids"].append(own)
                leaves[f"{kind}_ids"].append(target)
                leaves[f"{kind}_weights"].append(abs(weight) if positive else weight)
        else:
            nodes["nodes_truenodeids"][at] = grow(tree, number, level + 1)
            nodes["nodes_falsenodeids"][at] = grow(tree, number, level + 1)
        return own

    for tree in range(trees):
        grow(tree, [0], 0)
    if not missing:
        del nodes["nodes_missing_value_tracks_true"]
    return {**nodes, **leaves}


def hard_rows(
    rng: np.random.Generator, thresholds: Sequence[float], rows: int, features: int
) -> np.ndarray:
    """Inputs that are thresholds, their neighbours, zeros of both signs, infinities and NaN."""
    base = np.asarray(thresholds, np.float32)
    values = np.concatenate(
        [
            base,
            np.nextafter(base, np.float32(np.inf)),
            np.nextafter(base, np.float32(-np.inf)),
            np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e-45, -1e-45, 3e38]),
            rng.normal(size=20).astype(np.float32) * 10,
        ]
    )
    values[np.isnan(values)] *= rng.choice([-1, 1])
    return rng.choice(values, (rows, features)).astype(np.float32)
