from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, refuse
from tolerance import EXACT

from nn2wasm.errors import DynamicShape, InvalidModel, UnsupportedFeature

rng = np.random.default_rng(41)
X = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
IMAGE = rng.normal(size=(1, 8, 4, 6)).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, np.int64)


def moved(
    name: str, op: str, inputs: list[Any], opset: int = 18, outputs: int = 1, **attributes: Any
) -> Case:
    """Operands behind the first are constants; a list means they are fed."""
    constants = tuple(range(1, len(inputs))) if op != "Concat" else ()
    return Case(name, op, attributes, inputs, constants, opset, tolerance=EXACT, outputs=outputs)


TRANSPOSES = [
    moved("reverse", "Transpose", [X]),
    moved("rotate", "Transpose", [X], perm=[1, 2, 3, 0]),
    moved("channels_last", "Transpose", [X], perm=[0, 2, 3, 1]),
    moved("channels_first", "Transpose", [X], perm=[0, 3, 1, 2]),
    moved("identity", "Transpose", [X], perm=[0, 1, 2, 3]),
    moved("matrix", "Transpose", [X[0, 0]], perm=[1, 0]),
    moved("vector", "Transpose", [X[0, 0, 0]], perm=[0]),
    moved("ones", "Transpose", [X[:1, :, :1]], perm=[2, 1, 0, 3]),
    moved("bytes", "Transpose", [np.arange(24, dtype=np.uint8).reshape(2, 3, 4)], perm=[2, 0, 1]),
    moved("wide_integers", "Transpose", [np.arange(6, dtype=np.int64).reshape(2, 3)]),
]
PADS, BYTES = ints(1, 0, 0, 1, 0, 1, 0, 0), X.astype(np.uint8)
SLICES = [
    moved("slice", "Slice", [X, ints(1, 0), ints(3, 2), ints(1, 2)]),
    moved("slice_steps", "Slice", [X, ints(0, 1), ints(4, 5), ints(2, 3), ints(2, 3)]),
    moved("slice_backward", "Slice", [X, ints(-1), ints(-100), ints(3), ints(-1)]),
    moved("slice_backward_steps", "Slice", [X, ints(3), ints(-9), ints(-2), ints(-2)]),
    moved("slice_negative", "Slice", [X, ints(-3), ints(-1), ints(3)]),
    moved("slice_past_end", "Slice", [X, ints(1), ints(2**62), ints(3)]),
    moved("slice_all_axes", "Slice", [X, ints(0, 1, 1, 2), ints(2, 2, 4, 5)]),
    moved("slice_none", "Slice", [X, ints(0), ints(5), ints(3)]),
    Case(
        "slice_9",
        "Slice",
        {"starts": [1, 0], "ends": [3, -1], "axes": [1, 3]},
        [X],
        opset=9,
        tolerance=EXACT,
    ),
    moved("slice_10", "Slice", [X, ints(1), ints(3), ints(1)], opset=10),
    moved("slice_13", "Slice", [X, ints(1), ints(3), ints(1)], opset=13),
]
SPLITS = [
    moved("split_11", "Split", [X], 11, 2, axis=2, split=[1, 3]),
    moved("split_even_11", "Split", [X], 11, 2, axis=2),
    moved("split_13", "Split", [X, ints(2, 1)], 13, 2, axis=1),
    moved("split_even_13", "Split", [X], 13, 3, axis=1),
    moved("split_18", "Split", [X], 18, 2, axis=3, num_outputs=2),
    moved("split_negative_axis", "Split", [X, ints(1, 4)], 18, 2, axis=-1),
]
JOINS = [
    moved("concat_0", "Concat", [X, X + 1], axis=0),
    moved("concat_1", "Concat", [X, X[:, :1], X[:, 1:]], axis=1),
    moved("concat_last", "Concat", [X, X[..., :2]], axis=-1),
    moved("concat_one", "Concat", [X], axis=2),
    Case("concat_constant", "Concat", {"axis": 1}, [X, X[:, :2]], (1,), 18, tolerance=EXACT),
    Case("concat_twice", "Concat", {"axis": 1}, [X, X], opset=7, tolerance=EXACT),
    moved("expand", "Expand", [X[:, :1, :, :1], ints(2, 3, 4, 5)]),
    moved("expand_rank", "Expand", [X[0, 0], ints(2, 3, 1, 1)]),
    moved("expand_same", "Expand", [X, ints(1)]),
    moved("tile", "Tile", [X[0, 0], ints(2, 3)]),
    moved("tile_1", "Tile", [X, ints(1, 1, 2, 1)]),
]
PADS = [
    moved("pad", "Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 1)]),
    moved("pad_value", "Pad", [X, ints(1, 0, 0, 1, 0, 1, 0, 0), np.float32(2.5)]),
    Case("pad_computed", "Pad", {}, [X, PADS, np.float32([2.5])], (1,), 18, tolerance=EXACT),
    Case("pad_computed_bytes", "Pad", {}, [BYTES, PADS, np.uint8([9])], (1,), 18, tolerance=EXACT),
    moved("pad_axes", "Pad", [X, ints(1, 2, 0, 1), np.float32(-1), ints(-1, 1)], opset=18),
    *(
        moved(f"pad_{mode}", "Pad", [X, ints(1, 0, 2, 3, 0, 2, 3, 1)], 19, mode=mode)
        for mode in ("reflect", "edge", "wrap")
    ),
    moved("pad_reflect_2", "Pad", [X], 9, mode="reflect", pads=[0, 0, 1, 2, 0, 0, 3, 1]),
    moved("pad_edge_bytes", "Pad", [np.arange(6, dtype=np.uint8), ints(2, 3)], mode="edge"),
    moved("pad_negative", "Pad", [X, ints(0, -1, 0, 2, 0, 1, -2, -1), np.float32(7)]),
    moved("pad_edge_negative", "Pad", [X, ints(0, -1, 0, 2, 0, 0, -2, 0)], mode="edge"),
    moved("pad_nothing", "Pad", [X, ints(0, 0, 0, 0, 0, 0, 0, 0)]),
    moved(
        "pad_bytes",
        "Pad",
        [np.arange(6, dtype=np.int8).reshape(2, 3), ints(1, 0, 0, 2), np.int8(-7)],
    ),
    Case(
        "pad_7",
        "Pad",
        {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 1.5},
        [X],
        opset=7,
        tolerance=EXACT,
    ),
    moved("pad_11", "Pad", [X, ints(0, 0, 1, 1, 0, 0, 1, 1)], opset=11),
    moved("pad_13", "Pad", [X, ints(0, 0, 1, 1, 0, 0, 1, 1), np.float32(3)], opset=13),
]
GATHERS = [
    moved("gather", "Gather", [X, ints(2, 0)], axis=1),
    moved("gather_negative", "Gather", [X, ints(-1, 0, -2)], axis=3),
    moved("gather_matrix", "Gather", [X, np.int64([[0, 1], [1, 0]])], axis=0),
    moved("gather_scalar", "Gather", [X, np.asarray(1, np.int64)], axis=2),
    moved("gather_s32", "Gather", [X, np.int32([1, 1])], axis=1, opset=13),
    moved("gather_7", "Gather", [X, ints(1)], opset=7, axis=1),
]
BLOCKS = [
    moved("dcr", "DepthToSpace", [IMAGE], blocksize=2),
    moved("crd", "DepthToSpace", [IMAGE], blocksize=2, mode="CRD"),
    moved("space_to_depth", "SpaceToDepth", [IMAGE], blocksize=2),
    moved("dcr_7", "DepthToSpace", [IMAGE], opset=7, blocksize=2),
]
CASES = TRANSPOSES + SLICES + SPLITS + JOINS + PADS + GATHERS + BLOCKS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_elements_move(case: Case, target: str) -> None:
    compare(case, CASES, target)


def test_refused() -> None:
    refuse(InvalidModel, Case("bad", "Transpose", {"perm": [0, 1, 1, 2]}, [X]), "perm")
    refuse(
        InvalidModel, Case("bad", "Concat", {"axis": 1}, [X, X[:, :, :2]]), "axis|dimension|shape"
    )
    refuse(InvalidModel, moved("bad", "Slice", [X, ints(0), ints(1), ints(3), ints(0)]), "step")
    refuse(InvalidModel, moved("bad", "Pad", [X, ints(0, 0, -3, 0, 0, 0, -1, 0)]), "take more")
    refuse(
        InvalidModel,
        moved("bad", "Pad", [X, ints(0, 0, 1, 1, 0, 0, 1, 1)], mode="mirror"),
        "not one of ONNX's",
    )
    far = ints(0, 0, 0, 2**23, 0, 0, 0, 0)
    refuse(UnsupportedFeature, moved("bad", "Pad", [X, far], mode="edge"), "elements")
    refuse(DynamicShape, Case("bad", "Tile", {}, [X[0, 0], ints(1, 2)]), "run time")
