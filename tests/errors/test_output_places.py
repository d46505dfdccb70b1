"""Where outputs may go: files are put in place whole, or nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nn2wasm.errors import RunError
from nn2wasm.files import write_file, write_files

FILES = {"a.c": "new", "b.c": "new"}


def test_a_folder_in_the_place_of_one_file_leaves_all_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("old")
    (tmp_path / "b.c").mkdir()
    with pytest.raises(RunError, match="it is a folder"):
        write_files(tmp_path, FILES)
    assert (tmp_path / "a.c").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.c", "b.c"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_and_devices_are_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "x.wasm"
    os.mkfifo(pipe)
    with pytest.raises(RunError, match="it is a device or a pipe"):
        write_file(pipe, b"module")
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["x.wasm"]


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "x.c"
    other.write_text("mine")
    try:
        link.symlink_to(other)
    except OSError:
        pytest.skip("no symbolic links on this system")
    write_file(link, "new")
    assert other.read_text() == "mine"
    assert link.read_text() == "new"
    assert not link.is_symlink()


def test_an_interrupt_leaves_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, FILES)
    assert os.listdir(tmp_path) == []
