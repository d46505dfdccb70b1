"""What callers may feed, and what they are told when they may not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from engines import Wasm3Session
from tiny_models import add_one, checked, copy_of, status_of_input, tensor, two_inputs

from nn2wasm.codegen.source_tree import SourceTree
from nn2wasm.errors import RunError
from nn2wasm.ir.dtype import DType
from nn2wasm.loaders import NativeSession, Session, TensorInfo, WasmtimeSession
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module, build_native

KINDS = ("wasmtime", "wasm3", "native")


def open_session(kind: str, tree: SourceTree) -> Session:
    if kind == "native":
        return NativeSession(build_native(tree, find_target("host")))
    module = build_module(tree, find_target("wasm"))
    return WasmtimeSession(module) if kind == "wasmtime" else Wasm3Session(module)


@pytest.fixture(scope="module")
def adder() -> Iterator[Session]:
    with open_session("wasmtime", add_one()) as session:
        yield session


@pytest.fixture(scope="module")
def pair() -> Iterator[Session]:
    with open_session("wasmtime", two_inputs()) as session:
        yield session


def test_a_session_describes_its_tensors(adder):
    assert adder.inputs == (TensorInfo("x", DType.S8, (1, 8), 0.5, 3),)
    assert adder.outputs[0].name == "y"
    assert adder.metadata["model"] == "add_one"
    assert repr(adder) == "<WasmtimeSession 'add_one'>"


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_copies(kind):
    with open_session(kind, add_one()) as session:
        first = session.run({"x": np.zeros((1, 8), np.int8)})["y"]
        session.run({"x": np.full((1, 8), 7, np.int8)})
        assert first.tolist() == [[1] * 8]
        assert first.flags.writeable
        assert first.flags.owndata or first.base.flags.owndata


def test_one_input_takes_a_bare_array(adder):
    assert adder.run([[1, 2, 3, 4, 5, 6, 7, 8]])["y"].tolist() == [[2, 3, 4, 5, 6, 7, 8, 9]]


@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_infinity_pass_untouched(kind):
    bits = np.array([0x7FC00000, 0xFF800000, 0x80000000], np.uint32)
    with open_session(kind, copy_of("f32", "float", 3)) as session:
        y = session.run(bits.view(np.float32))["y"]
    np.testing.assert_array_equal(y.view(np.uint32), bits)


@pytest.mark.parametrize("dtype", list(DType))
def test_every_element_type(dtype):
    values = np.array([[0.5, 1, 1], [1, 0.5, 1]]).astype(dtype.numpy)
    with open_session("wasmtime", copy_of(dtype.value, dtype.c_name, 2, 3)) as session:
        y = session.run({"x": values})["y"]
    assert y.dtype == dtype.numpy
    np.testing.assert_array_equal(y, values)


def test_a_scalar_model():
    with open_session("wasmtime", copy_of("s64", "int64_t")) as session:
        y = session.run({"x": -(2**63)})["y"]
    assert y.shape == ()
    assert y == -(2**63)


def test_layout_in_memory_does_not_matter(adder):
    x = np.arange(16, dtype=np.int8).reshape(8, 2)[:, :1].T
    np.testing.assert_array_equal(adder.run({"x": x})["y"], x + 1)


def test_byte_order_does_not_matter(pair):
    swapped = np.array([1.5, 2.5, 3.5], ">f4")
    outputs = pair.run({"first": swapped, "second": swapped})
    assert outputs["sum"].tolist() == [3, 5, 7]


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, 3],
        np.arange(3),
        np.float64([1, 2, 3]),
        np.float16([1, 2, 3]),
        np.uint8([1, 2, 3]),
        [True, False, True],
    ],
)
def test_numbers_become_floats(pair, value):
    outputs = pair.run({"first": value, "second": [0, 0, 0]})
    np.testing.assert_array_equal(outputs["sum"], np.float32(value))


@pytest.mark.parametrize(
    "value",
    [
        np.full((1, 8), -128, np.int64),
        np.full((1, 8), 127, np.int16),
        [[True] * 8],
        np.ones((1, 8), bool),
    ],
)
def test_integers_that_fit_are_taken(adder, value):
    np.testing.assert_array_equal(adder.run(value)["y"], (np.asarray(value) + 1).astype(np.int8))


def refused(session: Session, feeds: object) -> str:
    with pytest.raises(RunError) as caught:
        session.run(feeds)
    return str(caught.value)


def test_integers_that_do_not_fit(adder):
    text = refused(adder, np.full((1, 8), 128))
    assert text == (
        "input 'x': wrong element type\n"
        "  expected  s8 [1, 8]\n"
        "  found     int64\n"
        "  hint: values must lie between -128 and 127"
    )


def test_floats_for_a_quantized_input_name_scale_and_zero_point(adder):
    text = refused(adder, np.zeros((1, 8), np.float32))
    assert "scale = 0.5 and zero_point = 3" in text
    assert "round(x / 0.5) + 3" in text


def test_a_picture_for_a_quantized_input(adder):
    """Even where all its values would fit: they mean something else."""
    assert "zero_point = 3" in refused(adder, np.zeros((1, 8), np.uint8))


@pytest.mark.parametrize("value", [["a", "b", "c"], [None] * 3, [1j] * 3, np.ones(3, bool)])
def test_what_is_no_number(pair, value):
    text = refused(pair, {"first": value, "second": [0, 0, 0]})
    assert "input 'first': wrong element type" in text


def test_ragged_lists(pair):
    assert "not an array" in refused(pair, {"first": [[1], [2, 3]], "second": [0, 0, 0]})


def test_floats_that_overflow(pair):
    text = refused(pair, {"first": [1e300, 0, 0], "second": [0, 0, 0]})
    assert text == "input 'first': a finite value is too large for f32"
    assert np.isinf(pair.run({"first": [np.inf, 0, 0], "second": [0, 0, 0]})["sum"][0])


def test_wrong_names(pair):
    text = refused(pair, {"frist": [1, 2, 3], "second": [1, 2, 3]})
    assert text == (
        "the input names do not match the model\n"
        "  unknown  'frist'\n"
        "  missing  'first'  f32 [3]\n"
        "  hint: did you mean 'first'?"
    )


def test_a_superfluous_name(adder):
    assert "unknown  'z'" in refused(adder, {"x": np.zeros((1, 8), np.int8), "z": 1})


def test_one_array_for_two_inputs(pair):
    assert "the model has 2 inputs, one array cannot feed them" in refused(pair, [1, 2, 3])


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((5, 1, 8), "run it once for each element of the first axis"),
        ((4, 8), "compiled for batch size 1"),
        ((8,), "add the batch axis: x[None]"),
        ((1, 9), ""),
    ],
)
def test_wrong_shapes(adder, shape, hint):
    text = refused(adder, np.zeros(shape, np.int8))
    assert text.startswith("input 'x': wrong shape\n  expected  [1, 8]\n  found     ")
    assert hint in text
    assert ("hint" in text) == bool(hint)


@pytest.mark.parametrize("kind", KINDS)
def test_a_status_is_an_error_but_the_session_lives(kind):
    with open_session(kind, status_of_input()) as session:
        assert refused(session, 7) == "the model reports status 7"
        assert session.run(0)["same"] == 0


@pytest.mark.parametrize("kind", ["wasmtime", "wasm3"])
def test_a_trap_ends_the_session(kind):
    with open_session(kind, status_of_input()) as session:
        assert "nn_run trapped" in refused(session, -1)
        assert "trapped before" in refused(session, 0)


def test_a_module_that_is_exact_here():
    with open_session("wasmtime", checked(add_one(), "return 0;")) as session:
        assert session.run(np.zeros((1, 8), np.int8))["y"].tolist() == [[1] * 8]


def test_a_module_that_is_not_exact_here():
    with pytest.raises(RunError) as caught:
        open_session("wasmtime", checked(add_one(), "return 1;", target="wasm-relaxed"))
    assert str(caught.value) == (
        "wasmtime would not compute this module exactly on this machine\n"
        "  compiled for  'wasm-relaxed'\n"
        "  hint: compile the model again with --target wasm-simd128-cranelift"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_session(kind):
    session = open_session(kind, add_one())
    session.close()
    session.close()
    assert "it is closed" in refused(session, np.zeros((1, 8), np.int8))


def test_threads_take_turns(adder):
    wrong = []

    def work(seed: int) -> None:
        chance = np.random.default_rng(seed)
        for _ in range(200):
            x = chance.integers(-128, 127, (1, 8)).astype(np.int8)
            if not np.array_equal(adder.run(x)["y"], x + 1):
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_two_sessions_do_not_share_memory(kind):
    with open_session(kind, add_one()) as one, open_session(kind, add_one()) as two:
        one.run(np.zeros((1, 8), np.int8))
        two.run(np.full((1, 8), 9, np.int8))
        assert one._output_views[0].tolist() == [1] * 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"outputs": []}, "the metadata of the model does not fit its code"),
        ({"inputs": [{"name": "x"}]}, "describes a tensor wrongly"),
        ({"inputs": [tensor("x", "s7", 1)]}, "describes a tensor wrongly"),
        ({"inputs": [tensor("x", "s8", -1)]}, "describes a tensor wrongly"),
        ({"inputs": [3]}, "describes a tensor wrongly"),
    ],
)
def test_metadata_that_lies(kind, metadata, problem):
    tree = add_one()
    with pytest.raises(RunError, match=problem):
        open_session(kind, replace(tree, metadata=dict(tree.metadata) | metadata))


@pytest.mark.parametrize("kind", ["wasmtime", "wasm3"])
def test_a_tensor_outside_the_memory(kind):
    tree = add_one()
    huge = {"inputs": [tensor("x", "s8", 70000)]}
    with pytest.raises(RunError, match="input 0 does not lie in the model's memory"):
        open_session(kind, replace(tree, metadata=dict(tree.metadata) | huge))
