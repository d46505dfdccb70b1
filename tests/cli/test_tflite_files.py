from __future__ import annotations

from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parents[1] / "frontends" / "tflite" / "image_int8.tflite"


def test_tensorflow_lite_files_are_compiled(nn2wasm, tmp_path) -> None:
    assert nn2wasm(MODEL, "-o", tmp_path / "image.wasm").code == 0
    assert (tmp_path / "image.wasm").read_bytes().startswith(b"\0asm")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("inspect", MODEL), "nn_conv"),
        (("verify", MODEL), "ok"),
        (("verify", MODEL, "--layers"), "CONV_2D_0"),
        (("fit", MODEL, "--flash", "256K", "--ram", "64K"), "fits"),
    ],
    ids=str,
)
def test_other_verbs_take_them_too(nn2wasm, words, text) -> None:
    done = nn2wasm(*words)
    assert done.code == 0, done.err
    assert text in done.out
