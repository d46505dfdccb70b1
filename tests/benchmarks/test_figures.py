"""Ratios and tables of the benchmarks."""

from __future__ import annotations

import pytest
from results import Comparison, Facts, Results, drawn, geometric_mean, matches
from tables import comparison_table, ms, table

OURS, PEER = "chromium/wasm-simd128", "chromium/onnxruntime"


@pytest.fixture
def results():
    return Results(
        networks=[Facts("a", [1, 1]), Facts("b", [1, 1])],
        latency={
            f"{OURS}/a/f32": 2.0,
            f"{OURS}/a/int8": 1.0,
            f"{OURS}/b/int8": 1.0,
            f"{PEER}/a/f32": 4.0,
            f"{PEER}/a/int8": 8.0,
            f"{PEER}/a/a_qop": 6.0,
            f"{PEER}/b/int8": 16.0,
        },
    )


def test_a_geometric_mean_skips_what_is_missing():
    assert geometric_mean([2.0, None, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([None]) is None


@pytest.mark.parametrize(
    ("variant", "form", "expected"),
    [
        ("f32", "f32", True),
        ("f32", "int8", False),
        ("f32", "any", True),
        ("x_qop_u8", "int8", True),
        ("x_qop_u8", "any", True),
    ],
)
def test_every_quantized_file_counts_as_int8(variant, form, expected):
    assert matches(variant, form) is expected


def test_a_peer_is_quoted_at_its_best(results):
    assert results.milliseconds(PEER, "a", "int8") == 6.0
    assert results.milliseconds(PEER, "a", "any") == 4.0
    assert results.milliseconds(PEER, "b", "f32") is None


def test_ratios_say_how_many_times_longer_the_peer_takes(results):
    comparison = Comparison("title", OURS, PEER, (("f32", "f32"), ("int8", "any")))
    assert comparison.ratio(results, "a", ("int8", "any")) == 4.0
    assert comparison.ratio(results, "b", ("f32", "f32")) is None
    text = comparison_table(results, comparison)
    assert "**8.00**" in text.splitlines()[-1]  # of 4 and 16
    assert "**2.00**" in text.splitlines()[-1]


def test_only_comparisons_with_two_sides_are_drawn(results):
    assert [(c.ours, c.peer) for c in drawn(results)] == [(OURS, PEER)]


def test_results_survive_their_file(results, tmp_path):
    path = tmp_path / "figures.json"
    path.write_text(results.to_json())
    assert Results.read(path) == results


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.05, "0.0500")],
)
def test_milliseconds_have_three_figures(value, text):
    assert ms(value) == text


def test_columns_are_aligned():
    lines = table(["name", "ms"], [["a", "1.00"], ["long name", "10"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].endswith(":|")
