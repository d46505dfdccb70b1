"""Attention, rotary embeddings and layers with a state, against the onnx package's definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench import rng
from cases import Case, compare, refuse
from tolerance import CLOSE

from nn2wasm.errors import InvalidModel

OPSET = 25


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def truths(*shape: int) -> np.ndarray:
    return rng.integers(0, 2, shape).astype(np.bool_)


def operands(heads: int = 4, groups: int = 4, queries: int = 5, keys: int = 6) -> list[Any]:
    return [floats(2, heads, queries, 8), floats(2, groups, keys, 8), floats(2, groups, keys, 3)]


def joined(heads: int = 4, groups: int = 2, queries: int = 5, keys: int = 6) -> list[Any]:
    return [floats(2, queries, heads * 8), floats(2, keys, groups * 8), floats(2, keys, groups * 3)]


PAST = [None, floats(2, 4, 3, 8), floats(2, 4, 3, 3)]
EVERY = {"outputs": 4}
HEADS = {"q_num_heads": 4, "kv_num_heads": 2}


def case(name: str, inputs: list[Any], outputs: int = 1, **attributes: Any) -> Case:
    return Case(
        name, "Attention", attributes, inputs, opset=OPSET, tolerance=CLOSE, reference="onnx",
        outputs=outputs,
    )  # fmt: skip


CASES = [
    case("plain", operands()),
    case("groups", operands(4, 2)),
    case("one_key_head", operands(4, 1)),
    case("joined", joined(), **HEADS),
    case("scaled", operands(), scale=0.7),
    case("capped", operands(), softcap=0.5),
    case("causal", operands(), is_causal=1),
    case("causal_groups", operands(4, 2), is_causal=1),
    case("window", operands(), left_window_size=2, right_window_size=1),
    case("left_window", operands(), left_window_size=1),
    case("more_queries", operands(queries=7, keys=3), left_window_size=0, right_window_size=0),
    case("mask_2", [*operands(), truths(5, 6)]),
    case("mask_4", [*operands(), truths(2, 4, 5, 6)], is_causal=1),
    case("mask_heads", [*operands(), truths(4, 1, 6)]),
    case("mask_floats", [*operands(), floats(5, 6)]),
    case("short_mask", [*operands(), truths(5, 4)]),
    case("short_floats", [*operands(), floats(4, 5, 4)], is_causal=1),
    case("nothing", [*operands(), np.zeros((5, 6), np.bool_)], 4, qk_matmul_output_mode=3),
    case("past", [*operands(), *PAST], 3),
    case("past_causal", [*operands(), *PAST], 3, is_causal=1),
    case("past_window", [*operands(), *PAST], 3, left_window_size=2),
    case("past_mask", [*operands(), truths(5, 9), *PAST[1:]], 3),
    *(
        case(f"scores_{mode}", [*operands(), floats(5, 6)], 4, qk_matmul_output_mode=mode,
             softcap=2.0 if mode else 0.0)
        for mode in range(4)
    ),
    case("padding", [*operands(), None, None, None, np.int64([3, 6])]),
    case("padding_causal", [*operands(), None, None, None, np.int64([3, 6])], is_causal=1),
    case("padding_window", [*operands(4, 2), truths(5, 6), None, None, np.int64([2, 5])],
         left_window_size=1, right_window_size=1),
]  # fmt: skip
COS, SIN = floats(9, 4), floats(9, 4)
PLACES = rng.integers(0, 9, (2, 5))
ROTARY = [
    Case(name, "RotaryEmbedding", attributes, inputs, opset=23, tolerance=CLOSE, reference="onnx")
    for name, attributes, inputs in (
        ("rotary", {}, [floats(2, 3, 5, 8), COS, SIN, PLACES]),
        ("rotary_joined", {"num_heads": 3}, [floats(2, 5, 24), COS, SIN, PLACES]),
        ("rotary_woven", {"interleaved": 1}, [floats(2, 3, 5, 8), COS, SIN, PLACES]),
        ("rotary_part", {"rotary_embedding_dim": 4}, [floats(2, 3, 5, 8), COS[:, :2], SIN[:, :2],
                                                      PLACES]),
        ("rotary_whole", {}, [floats(2, 3, 5, 8), floats(2, 5, 4), floats(2, 5, 4)]),
    )
]  # fmt: skip
STATES = [
    Case(name, op, attributes, inputs, opset=28, tolerance=CLOSE, reference="onnx", outputs=outputs)
    for name, op, attributes, inputs, outputs in (
        ("conv", "CausalConvWithState", {}, [floats(2, 3, 7), floats(3, 1, 4)], 2),
        ("conv_state", "CausalConvWithState", {"activation": "silu"},
         [floats(2, 3, 2), floats(3, 1, 4), floats(3), floats(2, 3, 3)], 2),
        ("conv_one", "CausalConvWithState", {}, [floats(2, 3, 7), floats(3, 1, 1)], 2),
        *(
            (f"linear_{rule}", "LinearAttention",
             {"q_num_heads": 4, "kv_num_heads": 2, "update_rule": rule},
             [floats(2, 5, 32), floats(2, 5, 16), floats(2, 5, 6), floats(2, 2, 8, 3),
              floats(2, 5, width) if "gated" in rule else None,
              floats(2, 5, 2) if "delta" in rule else None], 2)
            for rule, width in (("linear", 0), ("gated", 2), ("delta", 0), ("gated_delta", 16))
        ),
        ("swiglu", "SwiGLU", {"alpha": 1.7}, [floats(3, 4), floats(3, 4)], 1),
    )
]  # fmt: skip


@pytest.mark.parametrize("one", CASES, ids=str)
@pytest.mark.parametrize("target", ["wasm", "wasm-simd128"])
def test_attention(one, target):
    compare(one, CASES, target)


@pytest.mark.parametrize("one", ROTARY, ids=str)
def test_rotary_embedding(one):
    compare(one, ROTARY)


@pytest.mark.parametrize("one", STATES, ids=str)
def test_layers_with_a_state(one):
    compare(one, STATES)


@pytest.mark.parametrize(
    ("inputs", "attributes", "error", "text"),
    [
        (operands(4, 3), {}, InvalidModel, "do not belong together"),
        (joined(), {}, InvalidModel, "of 0 heads"),
        (joined(), {"q_num_heads": 5, "kv_num_heads": 2}, InvalidModel, "of 5 heads"),
        (operands(), {"qk_matmul_output_mode": 4}, InvalidModel, "mode 4"),
        (operands(), {"left_window_size": -2}, InvalidModel, "window"),
        ([*operands(), floats(7, 6)], {}, InvalidModel, "a mask of shape"),
        ([*operands(), truths(5, 7)], {}, InvalidModel, "a mask of shape"),
        ([*operands(), None, PAST[1]], {}, InvalidModel, "without a past value"),
        ([*operands(), None, floats(2, 4, 3, 7), PAST[2]], {}, InvalidModel, "past key"),
        ([*operands(), None, None, None, np.int64([1])], {}, InvalidModel, "one number for each"),
    ],
)
def test_what_is_no_attention(inputs, attributes, error, text):
    refuse(error, Case("bad", "Attention", attributes, inputs, opset=OPSET), text)
