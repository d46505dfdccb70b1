from __future__ import annotations

from pathlib import Path


def test_prints_the_folder_alone(nn2wasm):
    """As `$(shell …)` and execute_process() want it."""
    outcome = nn2wasm("rules")
    assert outcome.code == 0
    folder = Path(outcome.out.removesuffix("\n"))
    assert folder.is_absolute()
    assert {path.name for path in folder.iterdir()} == {
        "nn2wasm-config.cmake",
        "nn2wasm.cmake",
        "nn2wasm.mk",
    }


def test_copies(nn2wasm, tmp_path):
    source = Path(nn2wasm("rules").out.strip())
    outcome = nn2wasm("rules", "-o", tmp_path / "rules", "--json")
    assert outcome.json["folder"] == str(tmp_path / "rules")
    for name in outcome.json["files"]:
        assert (tmp_path / "rules" / name).read_bytes() == (source / name).read_bytes()
