"""--depfile, and outputs that are already right: what Make and Ninja rely on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest
from build_tools import build_tool

from nn2wasm.errors import RunError
from nn2wasm.files import depfile_text

LONG_AGO = 1_000_000_000


def run(*command: object, folder: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_external_data(model: Path, folder: Path) -> Path:
    """The model with its constants in a file beside it."""
    place = folder / "model.onnx"
    onnx.save_model(
        onnx.load(model),
        place,
        save_as_external_data=True,
        location="model.data",
        size_threshold=16,
    )
    return place


def test_names_the_model_and_its_data(nn2wasm, digits, tmp_path):
    model = with_external_data(digits, tmp_path)
    depfile = tmp_path / "net.d"
    assert nn2wasm(model, "-o", tmp_path / "net.c", "--depfile", depfile).code == 0
    assert depfile.read_text() == (
        f"{tmp_path}/net.c {tmp_path}/net.h: \\\n"
        f"  {tmp_path}/model.onnx \\\n  {tmp_path}/model.data\n"
        f"{tmp_path}/model.data:\n"
    )


def test_paths_as_they_were_typed(nn2wasm, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(digits, "net.onnx")
    nn2wasm("net.onnx", "-o", "net.wasm", "--depfile", "net.d")
    assert Path("net.d").read_text() == "net.wasm: \\\n  net.onnx\n"
    nn2wasm("net.onnx", "-o", "firmware/", "--depfile", "net.d")
    outputs = Path("net.d").read_text().partition(":")[0].split()
    assert "firmware/net.c" in outputs
    assert all(Path(output).is_file() for output in outputs)


@pytest.mark.parametrize("name", ["plain", "two words", "a#b", "a$b", "a\\ b", "ümlaut", "50%"])
def test_make_and_ninja_read_any_name(name, tmp_path):
    """Nothing to do while the source is old, something once it is new."""
    make, ninja = build_tool("make"), build_tool("ninja")
    source = tmp_path / name
    source.touch()
    os.utime(source, (LONG_AGO, LONG_AGO))
    (tmp_path / "out").touch()
    (tmp_path / "out.d").write_text(depfile_text(["out"], ["first", name]))
    (tmp_path / "first").touch()
    os.utime(tmp_path / "first", (LONG_AGO, LONG_AGO))
    (tmp_path / "Makefile").write_text("out: ; @echo made; touch out\n-include out.d\n")
    (tmp_path / "build.ninja").write_text(
        "rule r\n  command = echo made && touch out\n  depfile = out.d\nbuild out: r first\n"
    )
    run(ninja, folder=tmp_path)
    for command in (make, ninja):
        assert "made" not in run(command, "out", folder=tmp_path)
        os.utime(source)
        os.utime(tmp_path / "out", (LONG_AGO, LONG_AGO + 1))
        assert "made" in run(command, "out", folder=tmp_path)
        os.utime(source, (LONG_AGO, LONG_AGO))
    if "%" not in name:
        source.unlink()
        run(make, "out", folder=tmp_path)  # no "no rule to make target"


def test_a_path_that_make_cannot_read():
    with pytest.raises(RunError, match="depfile"):
        depfile_text(["out"], ["a\nb"])


@pytest.mark.parametrize("output", ["net.c", "net.wasm", "firmware/"])
def test_nothing_is_written_twice(nn2wasm, digits, tmp_path, output):
    """Not even the time changes."""
    shutil.copy(digits, tmp_path / "net.onnx")
    words = (tmp_path / "net.onnx", "-o", f"{tmp_path}/{output}", "--depfile", tmp_path / "net.d")
    nn2wasm(*words)
    before = times(tmp_path)
    nn2wasm(*words)
    assert times(tmp_path) == before
    (tmp_path / "net.d").write_text("old")
    nn2wasm(*words)
    changed = {path for path, time in times(tmp_path).items() if time != before[path]}
    assert changed == {"net.d"}


def test_an_output_older_than_the_model_is_touched(nn2wasm, digits, tmp_path):
    """Else Make would compile the model again each time."""
    shutil.copy(digits, tmp_path / "net.onnx")
    words = (tmp_path / "net.onnx", "-o", tmp_path / "net.c")
    nn2wasm(*words)
    content = (tmp_path / "net.c").read_bytes()
    for name in ("net.c", "net.h"):
        os.utime(tmp_path / name, (LONG_AGO, LONG_AGO))
    nn2wasm(*words)
    assert (tmp_path / "net.c").read_bytes() == content
    model_time = (tmp_path / "net.onnx").stat().st_mtime_ns
    assert all((tmp_path / name).stat().st_mtime_ns >= model_time for name in ("net.c", "net.h"))


def times(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_no_depfile_where_the_model_is_wrong(nn2wasm, tmp_path):
    (tmp_path / "net.onnx").write_text("no")
    outcome = nn2wasm(tmp_path / "net.onnx", "-o", tmp_path / "n.c", "--depfile", tmp_path / "n.d")
    assert outcome.code == 11
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_no_output_where_the_depfile_cannot_be(nn2wasm, digits, tmp_path):
    outcome = nn2wasm(digits, "-o", tmp_path / "n.c", "--depfile", tmp_path / "no" / "n.d")
    assert outcome.code == 40
    assert not list(tmp_path.iterdir())
