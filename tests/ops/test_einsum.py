"""Einstein's sums against numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case, compare, model_of, refuse
from tolerance import CLOSE, EXACT

from nn2wasm.api import Options, plan_model
from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.target import find_target

rng = np.random.default_rng(12)


def einsum(
    equation: str,
    *shapes: tuple[int, ...],
    dtype: Any = np.float32,
    constants: tuple[int, ...] = (),
) -> Case:
    if np.dtype(dtype).kind == "f":
        inputs = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    else:
        inputs = [rng.integers(-9, 9, shape).astype(dtype) for shape in shapes]
    wide = [x.astype(np.float64) for x in inputs]
    expected = np.asarray(np.einsum(equation.replace(" ", ""), *wide)).astype(dtype)
    name = f"e{len(NAMES)}"
    NAMES.append(name)
    tolerance = CLOSE if np.dtype(dtype).kind == "f" else EXACT
    return Case(name, "Einsum", {"equation": equation}, inputs, constants, tolerance=tolerance,
                reference=expected)  # fmt: skip


NAMES: list[str] = []
CASES = [
    einsum("ij->ji", (3, 4)),
    einsum("i j, j k -> i k", (3, 4), (4, 5)),
    einsum("ij,jk", (3, 4), (4, 5), constants=(1,)),
    einsum("oi,bi->bo", (6, 5), (3, 5), constants=(0,)),
    einsum("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    einsum("bhqk,bkhd->bqhd", (2, 3, 4, 6), (2, 6, 3, 5)),
    einsum("nctkv,kvw->nctw", (2, 3, 4, 2, 5), (2, 5, 5), constants=(1,)),
    einsum("ii->i", (4, 4)),
    einsum("ii", (4, 4)),
    einsum("aiia->ia", (2, 3, 3, 2)),
    einsum("iii,i->", (3, 3, 3), (3,)),
    einsum("i,i", (7,), (7,)),
    einsum("i,j->ji", (3,), (4,)),
    einsum("ijk->", (2, 3, 4)),
    einsum("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 6)),
    einsum("...,...->...", (2, 3), (3,)),
    einsum("b...d,d->...b", (2, 3, 4, 5), (5,)),
    einsum("...i", (2, 3)),
    einsum("ij,jk,kl->il", (3, 4), (4, 5), (5, 6)),
    einsum("ab,bc,ac->a", (3, 4), (4, 5), (3, 5)),
    einsum("ab,cd,ef->fa", (2, 3), (4, 2), (3, 5)),
    einsum("ij,ij->ij", (3, 1), (3, 4)),
    einsum("Ab,bA->A", (3, 4), (4, 3)),
    einsum("ij,jk->ik", (3, 4), (4, 5), dtype=np.int32),
    einsum("ij,kj,k->", (3, 4), (5, 4), (5,), dtype=np.int64),
    *(
        einsum(equation, *((3,) * len(term) for term in equation.split("->")[0].split(",")))
        for equation in (
            "".join(rng.choice(list("abcd"), rng.integers(1, 4)))
            + ","
            + "".join(rng.choice(list("abcd"), rng.integers(1, 4)))
            for _ in range(25)
        )
    ),
]


@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "c"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_einsum(case: Case, target: str) -> None:
    compare(case, CASES, target)


def test_products_with_constants_are_layers_with_packed_weights() -> None:
    for equation, x, w in (
        ("bti,oi->bto", (1, 3, 8), (4, 8)),
        ("oi,bti->bto", (4, 8), (1, 3, 8)),
    ):
        at = 1 if x == (1, 3, 8) else 0
        model = model_of([einsum(equation, x, w, constants=(at,))])
        plan = plan_model(model, find_target("wasm"), Options(name="cases")).plan
        assert "Gemm" in [call.node.op.kind for call in plan.calls]


@pytest.mark.parametrize(
    ("equation", "error", "text"),
    [
        ("ij", InvalidModel, "1 operands, the node has 2"),
        ("ijk,j->i", InvalidModel, "rank of the input"),
        ("i,j->i", InvalidModel, "rank of the input"),
        ("ij,kl->mi", InvalidModel, "names what no operand has"),
        ("ij,kl->ii", InvalidModel, "or an axis twice"),
        ("ij,jk->ik", InvalidModel, "label j stands for sizes 3 and 2"),
        ("i1,jk->i", InvalidModel, "no labels"),
        ("i....j,jk->i", InvalidModel, "no labels|rank"),
    ],
)
def test_what_is_no_equation(equation: str, error: type[Exception], text: str) -> None:
    inputs = [np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)]
    refuse(error, Case("bad", "Einsum", {"equation": equation}, inputs), text)


def test_types() -> None:
    bytes_ = [np.zeros((2, 2), np.int8)] * 2
    refuse(UnsupportedFeature, Case("bad", "Einsum", {"equation": "ij,jk"}, bytes_), "type s8")
    mixed = [np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int32)]
    refuse(InvalidModel, Case("bad", "Einsum", {"equation": "ij,jk"}, mixed), "differ in type")
