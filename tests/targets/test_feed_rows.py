"""Networks whose input comes row by row: the bytes of those that get it whole, in less memory."""

from __future__ import annotations

import numpy as np
import pytest
from cases import run
from engines import run_in_node
from native_gcc import needs_gcc
from streamed_networks import NETWORKS, NetworkWriter

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.errors import TargetError, UnsupportedFeature
from nn2wasm.loaders import load
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact, read_metadata

RNG = np.random.default_rng(9)


def image(name: str, bytes_: bool) -> np.ndarray:
    shape = [d.dim_value for d in NETWORKS[name](bytes_).graph.input[0].type.tensor_type.shape.dim]
    if bytes_:
        return RNG.integers(-128, 128, shape).astype(np.int8)
    return RNG.uniform(-5, 5, shape).astype(np.float32)


@pytest.mark.parametrize("bytes_", [False, True], ids=["f32", "s8"])
@pytest.mark.parametrize("target", ["wasm", "wasm-simd128", "host"])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_bytes(name, target, bytes_):
    model, feeds = NETWORKS[name](bytes_), {"x": image(name, bytes_)}
    expected = run(model, feeds, target, Options(name="n", io_integers=bytes_))
    actual = run(model, feeds, target, Options(name="n", io_integers=bytes_, feed="rows"))
    for output, value in expected.items():
        np.testing.assert_array_equal(actual[output], value)


def test_javascript_feeds_rows_too():
    model, feeds = NETWORKS["inverted"](True), {"x": image("inverted", True)}
    options = Options(name="n", io_integers=True, feed="rows")
    compiled = plan_model(model, find_target("wasm"), options)
    module = build_artifact(generate(compiled), compiled.plan.target, strict=True)
    expected = run(model, feeds, "wasm", options)
    for output, value in run_in_node(module, feeds).items():
        np.testing.assert_array_equal(value, expected[output])


def test_the_image_is_never_whole():
    n = NetworkWriter(4, True)
    model = n.model(
        (1, 3, 64, 64), n.conv(n.conv(n.conv(n.quantized("x"), 3, 4, 3, 2), 4, 8, 3, 2), 8, 8, 3, 2)
    )
    arenas = {
        feed: plan_model(
            model, find_target("wasm"), Options(optimize="memory", io_integers=True, feed=feed)
        ).plan.memory.arena_bytes
        for feed in ("whole", "rows")
    }
    assert arenas["rows"] < 3 * 64 * 64 / 4 < arenas["whole"]


def test_an_image_of_one_plane_is_fed_too():
    n = NetworkWriter(6, True)
    model = n.model((1, 1, 12, 10), n.conv(n.conv(n.quantized("x"), 1, 4), 4, 4, 3, 2))
    feeds = {"x": RNG.uniform(-5, 5, (1, 1, 12, 10)).astype(np.float32)}
    expected, actual = (
        run(model, feeds, "wasm", Options(name="n", feed=feed)) for feed in ("whole", "rows")
    )
    for output, value in expected.items():
        np.testing.assert_array_equal(actual[output], value)


def test_the_next_image_begins_by_itself():
    options = Options(name="n", feed="rows")
    compiled = plan_model(NETWORKS["inverted"](False), find_target("wasm"), options)
    module = build_artifact(generate(compiled), compiled.plan.target)
    about = read_metadata(module)
    assert about["feed"] == {"rows": 21, "shape": [17, 3], "planes": True}
    assert about["inputs"][0]["shape"] == [1, 3, 21, 17]
    with load(module) as session:
        first, second = (RNG.uniform(-5, 5, (1, 3, 21, 17)).astype(np.float32) for _ in range(2))
        answers = [session.run({"x": x}) for x in (first, second, first)]
        for output, value in answers[0].items():
            np.testing.assert_array_equal(answers[2][output], value)
            assert not np.array_equal(answers[1][output], value)
        assert session._call("nn_run") == 2
        assert session._call("nn_feed", 2) < 0
        assert session._call("nn_feed", 1) == 20


def test_the_header_says_how(tmp_path):
    needs_gcc()
    options = Options(name="n", feed="rows")
    tree = generate(plan_model(NETWORKS["residuals"](False), find_target("c"), options))
    header = tree.files["n.h"]
    assert "#define N_ROWS 19\n" in header
    assert f"#define N_ROW_BYTES {13 * 3 * 4}\n" in header


@pytest.mark.parametrize("flaw", ["two inputs", "no image", "whole"])
def test_what_cannot_be_fed_is_refused(flaw):
    n = NetworkWriter(8, False)
    if flaw == "no image":
        model = n.model((1, 24), n.node("Relu", "x"))
    elif flaw == "whole":
        model = n.model((1, 2, 8, 8), n.node("Softmax", n.node("Flatten", "x")))
    else:
        model = n.model((1, 2, 8, 8), n.node("Add", "x", "z"))
        model.graph.input.append(model.graph.input[0])
        model.graph.input[1].name = "z"
    with pytest.raises(UnsupportedFeature, match="row by row"):
        plan_model(model, find_target("wasm"), Options(feed="rows"))


def test_unknown_ways_to_feed_are_refused():
    with pytest.raises(TargetError, match="columns"):
        plan_model(NETWORKS["pools"](False), find_target("wasm"), Options(feed="columns"))  # type: ignore[arg-type]
