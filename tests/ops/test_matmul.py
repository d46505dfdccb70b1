from __future__ import annotations

import numpy as np
import pytest
from cases import Case, compare

rng = np.random.default_rng(31)


def matmul(name: str, a: tuple[int, ...], b: tuple[int, ...], opset: int = 17) -> Case:
    operands = [rng.normal(size=shape).astype(np.float32) for shape in (a, b)]
    return Case(name, "MatMul", {}, operands, opset=opset)


CASES = [
    matmul("matrices", (3, 5), (5, 4)),
    matmul("batch", (2, 3, 5), (2, 5, 4)),
    matmul("broadcast_first", (3, 5), (2, 5, 4)),
    matmul("broadcast_second", (2, 3, 5), (5, 4)),
    matmul("broadcast_both", (2, 1, 3, 5), (1, 4, 5, 2)),
    matmul("heads", (2, 4, 7, 3), (2, 4, 3, 7)),
    matmul("vector_matrix", (5,), (5, 4)),
    matmul("matrix_vector", (3, 5), (5,)),
    matmul("batch_vector", (2, 3, 5), (5,)),
    matmul("vector_batch", (5,), (2, 5, 4)),
    matmul("vectors", (5,), (5,)),
    matmul("outer", (4, 1), (1, 6)),
    matmul("one", (1, 1), (1, 1)),
    matmul("version_7", (3, 5), (5, 4), 7),
    matmul("version_13", (3, 5), (5, 4), 13),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_computed_matrices(case: Case, target: str) -> None:
    compare(case, CASES, target)
