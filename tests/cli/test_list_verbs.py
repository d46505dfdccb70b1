"""targets, ops and loader."""

from __future__ import annotations

import re

import pytest
from engines import node

from nn2wasm.cli.table import harmless, markdown, table
from nn2wasm.target import TARGETS


def test_targets(nn2wasm):
    outcome = nn2wasm("targets")
    assert all(target.name in outcome.out for target in TARGETS)
    assert "same bytes on all" in outcome.out
    assert [entry["name"] for entry in nn2wasm("targets", "--json").json] == [
        target.name for target in TARGETS
    ]


def test_operators(nn2wasm):
    assert "Conv " in nn2wasm("ops").out
    assert re.search("^QGemm +com.microsoft ", nn2wasm("ops").out, re.MULTILINE)
    entries = nn2wasm("ops", "--json").json
    assert {"name": "Conv", "domain": "", "op": "Conv", "dtypes": ["s8", "s16", "f32"]} in entries


@pytest.mark.parametrize("place", ["beside", "folder", "name"])
def test_the_loader_runs(nn2wasm, digits_wasm, tmp_path, place):
    words = {
        "beside": (tmp_path / "net.wasm",),
        "folder": ("-o", tmp_path / "new" / "folder"),
        "name": ("-o", tmp_path / "net.mjs"),
    }[place]
    (tmp_path / "net.wasm").write_bytes(digits_wasm.read_bytes())
    outcome = nn2wasm("loader", *words)
    assert outcome.code == 0
    stem = tmp_path / "new" / "folder" / "loader" if place == "folder" else tmp_path / "net"
    assert outcome.out.startswith(f"{stem}.mjs: ")
    assert stem.with_suffix(".d.mts").is_file()
    script = tmp_path / "run.mjs"
    script.write_text(
        f"import {{ load }} from {str(stem) + '.mjs'!r}; import {{ readFile }} from 'fs/promises';"
        f"const net = await load(await readFile({str(tmp_path / 'net.wasm')!r}));"
        "console.log(net.run({ image: new Float32Array(64) }).logits.length);"
    )
    assert node(script).strip() == "10"


def test_the_loader_needs_a_place(nn2wasm, tmp_path):
    assert nn2wasm("loader").code == 2
    (tmp_path / "file").write_bytes(b"")
    outcome = nn2wasm("loader", "-o", tmp_path / "file" / "below")
    assert outcome.code == 40
    assert nn2wasm("loader", "-o", tmp_path / "out", "--json").json["files"][0].endswith(".mjs")


def test_tables_are_aligned():
    text = table(("name", "n"), [("a", "1"), ("日本", "22"), ("e\u0301", "3")], right=(1,))
    assert text.splitlines() == ["name   n", "a      1", "日本  22", "e\u0301      3"]
    assert markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_long_names_keep_their_end():
    assert harmless("short/name") == "short/name"
    assert harmless("x" * 100 + "/end") == "…" + "x" * 43 + "/end"
    assert "\n" not in harmless("a\nb" * 30)
