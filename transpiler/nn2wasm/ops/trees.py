"""Decision trees as a file has them: read from ai.onnx.ml's attributes, and checked.

TreeEnsembleClassifier-1.. and TreeEnsembleRegressor-1.. list nodes with an id in a tree;
TreeEnsemble-5 lists inner nodes and leaves apart. Both become a `Forest`, whose walk ends: every
node has one parent at most, and none is left that the roots do not reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nn2wasm.ir import Array
from nn2wasm.ops.onnx_node import OnnxNode

LEQ, LT, GTE, GT, EQ, NEQ, MEMBER, LEAF = range(8)
"""What sends an input to the true child: x <= value and so on; MEMBER: x is in a set."""

MODES = {
    "BRANCH_LEQ": LEQ,
    "BRANCH_LT": LT,
    "BRANCH_GTE": GTE,
    "BRANCH_GT": GT,
    "BRANCH_EQ": EQ,
    "BRANCH_NEQ": NEQ,
    "LEAF": LEAF,
}
MODES_BY_CODE = (LEQ, LT, GTE, GT, EQ, NEQ, MEMBER)
"""TreeEnsemble-5 has numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees, and what their leaves add to which target.

    Attributes:
        roots: the node where each tree begins, in the order in which leaves are added.
        modes: of each node, LEQ to LEAF.
        features: the input that a node looks at.
        values: what it compares with.
        missing_true: NaN goes to the true child.
        children: [nodes, 2]: the true child and the false one.
        leaf_targets, leaf_weights: for each node, what it adds; nothing but for leaves.
        members: the set of each MEMBER node.
    """

    roots: tuple[int, ...]
    modes: Array
    features: Array
    values: Array
    missing_true: Array
    children: Array
    leaf_targets: Sequence[tuple[int, ...]]
    leaf_weights: Sequence[tuple[float, ...]]
    members: dict[int, tuple[float, ...]] = field(default_factory=dict)

    def leaves_of_tree(self, root: int) -> list[int]:
        """The leaves below a node."""
        found, stack = [], [root]
        while stack:
            one = stack.pop()
            if self.modes[one] == LEAF:
                found.append(one)
            else:
                stack += (int(self.children[one, 1]), int(self.children[one, 0]))
        return found

    def always_given(self) -> set[int]:
        """Targets to which some tree gives a weight whatever its inputs are."""
        given: set[int] = set()
        for root in self.roots:
            leaves = [set(self.leaf_targets[leaf]) for leaf in self.leaves_of_tree(root)]
            given |= leaves[0].intersection(*leaves)
        return given


def read_forest(node: OnnxNode, target: str, targets: int, features: int, real: type) -> Forest:
    """Trees of a TreeEnsembleClassifier or TreeEnsembleRegressor.

    Args:
        node: the ONNX node.
        target: "class" or "target", as the attributes about leaves begin.
        targets: how many there are.
        features: elements of an input row.
        real: numpy type of the inputs.

    Raises:
        InvalidModel: these are not trees.
    """
    ids = _numbers(node, "nodes_nodeids")
    count = len(ids)
    if not count:
        raise node.invalid("it has no nodes")
    trees = _numbers(node, "nodes_treeids", count)
    place: dict[tuple[int, int], int] = {}
    for index, key in enumerate(zip(trees, ids, strict=True)):
        if place.setdefault(key, index) != index:
            raise node.invalid(f"node {key[1]} of tree {key[0]} is there twice")
    names = node.attr_strings("nodes_modes") or ()
    if len(names) != count:
        raise node.invalid(f"nodes_modes has {len(names)} entries for {count} nodes")
    unknown = next((name for name in names if name not in MODES), None)
    if unknown is not None:
        raise node.invalid(f"a node of the mode {unknown!r}")
    modes = np.asarray([MODES[name] for name in names], np.uint8)
    children = np.zeros((count, 2), np.int64)
    for side, attribute in enumerate(("nodes_truenodeids", "nodes_falsenodeids")):
        for index, child in enumerate(_numbers(node, attribute, count)):
            if modes[index] == LEAF:
                continue
            if (trees[index], child) not in place:
                raise node.invalid(
                    f"node {ids[index]} of tree {trees[index]} has the child {child}, "
                    "which is not there"
                )
            children[index, side] = place[trees[index], child]
    leaf_targets, leaf_weights = _leaves(node, target, targets, place, modes, real)
    missing = _numbers(node, "nodes_missing_value_tracks_true") or (0,) * count
    forest = Forest(
        _roots(node, trees, modes, children),
        modes,
        np.asarray(_numbers(node, "nodes_featureids", count), np.int64),
        read_reals(node, "nodes_values", count, real),
        _same_length(node, "nodes_missing_value_tracks_true", missing, count) != 0,
        children,
        leaf_targets,
        leaf_weights,
    )
    check_forest(node, forest, features)
    return forest


def _numbers(node: OnnxNode, name: str, count: int | None = None) -> tuple[int, ...]:
    values = node.attr_ints(name) or ()
    if count is not None:
        _same_length(node, name, values, count)
    return values


def _same_length(node: OnnxNode, name: str, values: Sequence[int], count: int) -> Array:
    if len(values) != count:
        raise node.invalid(f"{name} has {len(values)} entries for {count} nodes")
    return np.asarray(values, np.int64)


def read_reals(node: OnnxNode, name: str, count: int | None, real: type) -> Array:
    """Numbers of an attribute, or of the tensor that takes its place from version 3 on."""
    tensor = node.attr_tensor(f"{name}_as_tensor")
    values = node.attr_floats(name)
    if tensor is not None and values:
        raise node.invalid(f"{name} and {name}_as_tensor are both there")
    found = np.asarray(tensor if tensor is not None else values or ())
    if found.dtype.kind not in "fiu":
        raise node.invalid(f"{name}_as_tensor does not hold numbers")
    found = found.reshape(-1)
    if count is not None and len(found) != count:
        raise node.invalid(f"{name} has {len(found)} entries, {count} are needed")
    return exactly(node, found, real, name)


def exactly(node: OnnxNode, values: Array, real: type, what: str) -> Array:
    """The numbers in the type that is computed in; a comparison with other ones is another."""
    converted: Array = values.astype(real)
    if not np.array_equal(converted.astype(values.dtype), values, equal_nan=True):
        raise node.unsupported(
            f"its {what} have more digits than the inputs, of type {np.dtype(real).name}",
            hint="export the model for inputs of type double",
        )
    return converted


def _leaves(
    node: OnnxNode,
    target: str,
    targets: int,
    place: dict[tuple[int, int], int],
    modes: Array,
    real: type,
) -> tuple[list[tuple[int, ...]], list[tuple[float, ...]]]:
    ids = _numbers(node, f"{target}_nodeids")
    trees = _numbers(node, f"{target}_treeids", len(ids))
    chosen = _numbers(node, f"{target}_ids", len(ids))
    weights = read_reals(node, f"{target}_weights", len(ids), real)
    entries: list[list[tuple[int, float]]] = [[] for _ in modes]
    for tree, one, index, weight in zip(trees, ids, chosen, weights.tolist(), strict=True):
        leaf = place.get((tree, one))
        if leaf is None:
            raise node.invalid(f"a weight is for node {one} of tree {tree}, which is not there")
        if not 0 <= index < targets:
            raise node.invalid(f"a weight is for {target} {index} of {targets}")
        if modes[leaf] == LEAF:  # what inner nodes are given is never added
            entries[leaf].append((index, weight))
    return (
        [tuple(index for index, _ in entry) for entry in entries],
        [tuple(weight for _, weight in entry) for entry in entries],
    )


def _roots(node: OnnxNode, trees: Sequence[int], modes: Array, children: Array) -> tuple[int, ...]:
    """The node of each tree that is nobody's child, in the order of the trees' first nodes."""
    inner = modes != LEAF
    is_child = np.zeros(len(modes), bool)
    is_child[children[inner].reshape(-1)] = True
    roots: dict[int, int | None] = dict.fromkeys(trees)
    for index in np.flatnonzero(~is_child).tolist():
        tree = trees[index]
        if roots[tree] is not None:
            raise node.invalid(f"tree {tree} has two roots")
        roots[tree] = index
    for tree, root in roots.items():
        if root is None:
            raise node.invalid(f"tree {tree} has no root: its nodes are a cycle")
    return tuple(root for root in roots.values() if root is not None)


def check_forest(node: OnnxNode, forest: Forest, features: int) -> None:
    """Walks all trees once: no cycle, no node with two parents, none that nobody reaches."""
    inner = forest.modes != LEAF
    looked_at = forest.features[inner]
    if looked_at.size and not (looked_at.min() >= 0 and looked_at.max() < features):
        wrong = looked_at[(looked_at < 0) | (looked_at >= features)][0]
        raise node.invalid(f"a node looks at feature {wrong} of {features}")
    parents = np.bincount(forest.children[inner].reshape(-1), minlength=len(forest.modes))
    parents[list(forest.roots)] += 1
    many = np.flatnonzero((parents > 1) & inner)
    if many.size:
        raise node.invalid(f"its node {many[0]} (counted from 0) has two parents")
    seen = 0
    stack = list(forest.roots)
    while stack:
        one = stack.pop()
        if inner[one]:
            seen += 1
            stack += forest.children[one].tolist()
    if seen != int(inner.sum()):
        raise node.invalid("some of its nodes are not below any root: they are a cycle")


def read_tree_ensemble(node: OnnxNode, targets: int, features: int, real: type) -> Forest:
    """Trees of a TreeEnsemble-5, whose inner nodes and leaves are numbered apart.

    Raises:
        InvalidModel: these are not trees.
    """
    looked_at = _numbers(node, "nodes_featureids")
    count = len(looked_at)
    weights = _tensor(node, "leaf_weights", real)
    leaf_targets = _numbers(node, "leaf_targetids", len(weights))
    codes = _tensor(node, "nodes_modes", np.uint8)
    if not count or len(codes) != count or codes.max() >= len(MODES_BY_CODE):
        raise node.invalid("its nodes_modes are missing, or not a mode for each node")
    if not len(weights) or not all(0 <= target < targets for target in leaf_targets):
        raise node.invalid(f"a leaf is for none of the {targets} targets, or there are no leaves")
    modes = np.concatenate([codes, np.full(len(weights), LEAF, np.uint8)])
    children = np.zeros((len(modes), 2), np.int64)
    for side, kind in enumerate(("true", "false")):
        ids = np.asarray(_numbers(node, f"nodes_{kind}nodeids", count), np.int64)
        leaf = np.asarray(_numbers(node, f"nodes_{kind}leafs", count), np.int64) != 0
        if ((ids < 0) | (ids >= np.where(leaf, len(weights), count))).any():
            raise node.invalid(f"a child in nodes_{kind}nodeids is not there")
        children[:count, side] = np.where(leaf, count + ids, ids)
    roots = _numbers(node, "tree_roots")
    if not roots or not all(0 <= root < count for root in roots):
        raise node.invalid("its tree_roots are missing, or not nodes")
    missing = _numbers(node, "nodes_missing_value_tracks_true") or (0,) * count
    behind = np.zeros(len(weights), np.int64)
    splits = _tensor(node, "nodes_splits", real)
    if len(splits) != count:
        raise node.invalid(f"nodes_splits has {len(splits)} entries for {count} nodes")
    nothing: list[tuple[int, ...]] = [()] * count
    forest = Forest(
        roots,
        modes,
        np.concatenate([np.asarray(looked_at, np.int64), behind]),
        np.concatenate([splits, behind.astype(real)]),
        np.concatenate(
            [_same_length(node, "nodes_missing_value_tracks_true", missing, count) != 0,
             behind != 0]
        ),
        children,
        [*nothing, *((target,) for target in leaf_targets)],
        [*((),) * count, *((weight,) for weight in weights.tolist())],
        _members(node, codes, real),
    )  # fmt: skip
    check_forest(node, forest, features)
    return forest


def _tensor(node: OnnxNode, name: str, dtype: type) -> Array:
    values = node.attr_tensor(name)
    if values is None or values.ndim != 1 or values.dtype.kind not in "fiu":
        raise node.invalid(f"{name} must be a tensor of one axis")
    return exactly(node, values, dtype, name)


def _members(node: OnnxNode, codes: Array, real: type) -> dict[int, tuple[float, ...]]:
    """The sets of MEMBER nodes: in order, each ended by a NaN."""
    nodes = np.flatnonzero(codes == MEMBER).tolist()
    if not nodes:
        return {}
    sets: list[list[float]] = [[]]
    for value in _tensor(node, "membership_values", real).tolist():
        if value != value:
            sets.append([])
        else:
            sets[-1].append(value)
    if len(sets) != len(nodes) + 1 or sets[-1]:
        raise node.invalid(f"membership_values has {len(sets) - 1} sets for {len(nodes)} nodes")
    return {one: tuple(values) for one, values in zip(nodes, sets, strict=False)}
