"""Finding the verb, help, versions, and what becomes of errors."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from onnx import TensorProto, helper

import nn2wasm as package
from nn2wasm.cli.command import VERBS

HEAVY = ("onnx", "numpy", "wasmtime", "jinja2", "onnxruntime", "nn2wasm.api")


def python(*words: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, check=False, **more
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["targets"], ["compile", "--help"]])
def test_what_needs_nothing_loads_nothing_heavy(words):
    program = (
        "import sys; from nn2wasm.cli import main; code = main(sys.argv[1:]);"
        f"print([m for m in {HEAVY} if m in sys.modules]); sys.exit(code)"
    )
    done = python("-c", program, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_and_help(nn2wasm):
    assert nn2wasm("--version").out == f"nn2wasm {package.__version__}\n"
    text = nn2wasm("--help").out
    assert all(f"  {verb} " in text for verb in VERBS)
    for verb in VERBS:
        assert f"nn2wasm {verb}" in nn2wasm(verb, "--help").out


def test_no_words_are_wrong_usage(nn2wasm):
    outcome = nn2wasm()
    assert outcome.code == 2
    assert "verbs:" in outcome.err
    assert outcome.out == ""


def test_a_misspelt_verb_is_not_taken_for_a_model(nn2wasm):
    outcome = nn2wasm("verfy", "model.onnx")
    assert outcome.code == 2
    assert "did you mean 'verify'?" in outcome.err


def test_unknown_options_are_wrong_usage(nn2wasm, digits):
    outcome = nn2wasm(digits, "-o", "x.wasm", "--no-such-option")
    assert outcome.code == 2
    assert "--no-such-option" in outcome.err


@pytest.mark.parametrize("shape", ["image", "=1,2", "image=1,x", "image=0,1", "image=1,-1"])
def test_shapes_that_are_none(nn2wasm, digits, shape):
    outcome = nn2wasm("inspect", digits, "--shape", shape)
    assert outcome.code == 2
    assert "image=1,3,96,96" in outcome.err


def test_flags_may_stand_before_the_verb(nn2wasm):
    assert nn2wasm("--json", "targets").json[0]["name"] == "wasm"


def test_a_missing_file_is_one_line(nn2wasm, tmp_path):
    outcome = nn2wasm(tmp_path / "no.onnx", "-o", tmp_path / "m.wasm")
    assert outcome.code == 11
    assert outcome.err.startswith("error: ")
    assert "no.onnx" in outcome.err
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


def test_errors_as_json(nn2wasm):
    outcome = nn2wasm("inspect", "no.onnx", "--json")
    assert outcome.code == 11
    assert outcome.err == ""
    error = outcome.json["error"]
    assert error["class"] == "InvalidModel"
    assert sorted(error) == ["class", "facts", "hint", "message"]


def test_debug_shows_the_traceback_with_its_cause(nn2wasm, tmp_path):
    broken = tmp_path / "m.onnx"
    broken.write_bytes(b"\xff" * 50)
    assert "Traceback" not in nn2wasm("inspect", broken).err
    outcome = nn2wasm("inspect", broken, "--debug")
    assert outcome.code == 11
    assert outcome.err.count("Traceback") == 2


def test_a_fault_of_ours_is_one_line_and_asks_for_a_report(nn2wasm, digits, monkeypatch):
    import nn2wasm.tools.inspect as tool

    def fail(*_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(tool, "inspect_model", fail)
    outcome = nn2wasm("inspect", digits)
    assert outcome.code == 70
    assert outcome.err == (
        "internal error: ZeroDivisionError: division by zero; "
        "run with --debug for the traceback, and please report\n"
    )
    assert nn2wasm("inspect", digits, "--json").json["error"]["class"] == "InternalError"
    assert "Traceback" in nn2wasm("inspect", digits, "--debug").err


def test_an_interrupt_has_its_code(nn2wasm, digits, monkeypatch):
    import nn2wasm.tools.inspect as tool

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, "inspect_model", interrupt)
    assert nn2wasm("inspect", digits).code == 130


def test_unsupported_operators_are_listed_all_at_once(nn2wasm, tmp_path):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("ImageDecoder", ["x"], ["a"], "first"),
            helper.make_node("StringNormalizer", ["x"], ["b"], "second"),
        ],
        "g",
        [value("x", TensorProto.FLOAT, [2, 2])],
        [value("a", TensorProto.FLOAT, []), value("b", TensorProto.INT64, [2, None])],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "m.onnx"
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    outcome = nn2wasm(path, "-o", tmp_path / "m.wasm")
    assert outcome.code == 12
    for word in ("ImageDecoder", "'first'", "StringNormalizer", "'second'"):
        assert word in outcome.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes")
def test_a_reader_that_leaves_is_no_error(digits):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nn2wasm", "inspect", str(digits)],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to")
def test_a_full_disk_is_one_line(digits):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nn2wasm", "inspect", str(digits)],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 40
    assert done.stderr.startswith(b"error: No space left")
    assert done.stderr.count(b"error") == 1


def test_a_terminal_that_knows_few_characters(digits):
    done = python(
        "-m", "nn2wasm", "inspect", str(digits), env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    assert "\\xd7" in done.stdout
