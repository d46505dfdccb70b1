from __future__ import annotations

import pytest

from nn2wasm.codegen.package_kinds import PACKAGE_KINDS
from nn2wasm.loaders import load


def test_three_lines_for_a_module(nn2wasm, digits, tmp_path):
    path = tmp_path / "m.wasm"
    outcome = nn2wasm(digits, "-o", path)
    assert outcome.code == 0
    assert outcome.err == ""
    first, second, third = outcome.out.splitlines()
    assert (
        first
        == f"{path}: digits_int8 for wasm, optimized for size and memory, 7 layers, 60.5 k MAC"
    )
    assert second.startswith(f"{path.stat().st_size:,} bytes: ")
    assert third.startswith("RAM ")
    assert third.endswith("65,536 linear memory (1 page)")
    with load(path) as session:
        assert session.inputs[0].name == "image"


def test_the_verb_may_be_said(nn2wasm, digits, tmp_path):
    assert nn2wasm("compile", digits, "-o", tmp_path / "a.wasm").code == 0
    assert nn2wasm(digits, "-o", tmp_path / "b.wasm", "--quiet").out == ""
    assert (tmp_path / "a.wasm").read_bytes() == (tmp_path / "b.wasm").read_bytes()


def test_facts_as_json(nn2wasm, digits, tmp_path):
    path = tmp_path / "m.wasm"
    facts = nn2wasm(digits, "-o", path, "--json", "--name", "reader").json
    assert facts["path"] == str(path)
    assert facts["model"] == "reader"
    assert facts["total_bytes"] == path.stat().st_size
    assert facts["weight_bytes"] + facts["runtime_bytes"] == facts["total_bytes"]
    assert facts["kind"] == "wasm"


def test_optimized_for_size(nn2wasm, digits, tmp_path):
    facts = {
        optimize: nn2wasm(
            digits, "-o", tmp_path / "m.wasm", "--target", "wasm-simd128", "--optimize", optimize,
            "--json",
        ).json
        for optimize in ("speed", "size")
    }  # fmt: skip
    assert [each["optimize"] for each in facts.values()] == ["speed", "size"]
    assert facts["size"]["runtime_bytes"] < facts["speed"]["runtime_bytes"]


def test_c_names_its_files(nn2wasm, digits, tmp_path):
    outcome = nn2wasm(digits, "-o", tmp_path / "net.c")
    assert outcome.code == 0
    assert "net.c, net.h" in outcome.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.c", "net.h"]
    facts = nn2wasm(digits, "-o", f"{tmp_path / 'package'}/", "--json").json
    assert facts["kind"] == "c"
    assert all((tmp_path / "package" / name).is_file() for name in facts["files"])


def test_integers_at_the_border(nn2wasm, digits, tmp_path):
    nn2wasm(digits, "-o", tmp_path / "m.wasm", "--io", "int8")
    with load(tmp_path / "m.wasm") as session:
        assert session.inputs[0].dtype.value == "s8"
        assert session.inputs[0].scale is not None


def test_sizes_that_the_model_leaves_open(nn2wasm, digits, tmp_path):
    nn2wasm(digits, "-o", tmp_path / "m.wasm", "--shape", "image=2,1,8,8")
    with load(tmp_path / "m.wasm") as session:
        assert session.inputs[0].shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "m.wasm", "--target", "wsm"], 21, "did you mean 'wasm'?"),
        (["-o", "m.wasm", "--target", "host"], 20, "does not make 'm.wasm'"),
        (["-o", "m.exe"], 20, ".wasm"),
        (["-o", "m.c", "--package", "make"], 20, "a package is a folder"),
        (["-o", "firmware/", "--package", "cmakes"], 20, "did you mean 'cmake'?"),
        (["-o", "no/such/folder/m.wasm"], 40, "cannot write"),
        (["-o", "m.wasm", "--shape", "pixels=1,1,8,8"], 14, "pixels"),
        (["-o", "m.wasm", "--limit", "model-bytes=100"], 11, "bytes"),
        ([], 2, "-o/--output"),
    ],
)
def test_errors_leave_nothing_behind(nn2wasm, digits, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    outcome = nn2wasm(digits, *words)
    assert outcome.code == code, outcome.err
    assert said in outcome.err
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_survives_an_error(nn2wasm, tmp_path):
    (tmp_path / "m.wasm").write_bytes(b"old")
    assert nn2wasm(tmp_path / "no.onnx", "-o", tmp_path / "m.wasm").code == 11
    assert (tmp_path / "m.wasm").read_bytes() == b"old"


def test_help_names_every_kind_of_package(nn2wasm):
    text = nn2wasm("compile", "--help").out
    for kind in PACKAGE_KINDS:
        assert kind.name in text
