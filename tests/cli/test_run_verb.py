from __future__ import annotations

import numpy as np
import pytest
from tiny_models import add_one, checked

from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module

IMAGE = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)


@pytest.fixture
def test_images(digits):
    data = np.load(digits.with_name("test_images.npz"))
    return data["pixels"].astype(np.float32) / 16, data["label"]


def test_outputs_are_described(nn2wasm, digits_wasm, tmp_path):
    np.save(tmp_path / "x.npy", IMAGE)
    outcome = nn2wasm("run", digits_wasm, "--input", tmp_path / "x.npy")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("logits  f32 1×10  from ")
    assert len(lines[1].split()) == 10
    assert lines[2].startswith("  top-1 ")


def test_samples_run_one_by_one(nn2wasm, digits_wasm, test_images, tmp_path):
    images, labels = test_images
    np.savez(tmp_path / "x.npz", image=images[:50], label=labels[:50])
    words = ("run", digits_wasm, "--input", tmp_path / "x.npz")
    facts = nn2wasm(*words, "--json").json
    assert facts["samples"] == 50
    assert facts["outputs"][0]["shape"] == [50, 10]
    assert np.count_nonzero(np.array(facts["outputs"][0]["top1"]) == labels[:50]) >= 48
    outcome = nn2wasm(*words, "-o", tmp_path / "y.npz")
    assert outcome.out == f"{tmp_path / 'y.npz'}: 50 samples, logits 50×10\n"
    assert np.load(tmp_path / "y.npz")["logits"].argmax(1).tolist() == facts["outputs"][0]["top1"]


def test_inputs_by_place(nn2wasm, digits_wasm, tmp_path):
    np.savez(tmp_path / "x.npz", in_0=IMAGE[None], out_0=np.zeros(3))
    facts = nn2wasm("run", digits_wasm, "--input", tmp_path / "x.npz", "--json").json
    assert facts["outputs"][0]["shape"] == [1, 1, 10]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((1, 1, 9, 9), np.float32), "wrong shape"),
        (np.zeros((1, 1, 8, 8), np.complex64), "wrong element type"),
    ],
)
def test_arrays_that_do_not_fit(nn2wasm, digits_wasm, tmp_path, array, said):
    np.save(tmp_path / "x.npy", array)
    outcome = nn2wasm("run", digits_wasm, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npz")
    assert outcome.code == 40
    assert said in outcome.err
    assert not (tmp_path / "y.npz").exists()


def test_files_that_are_no_models_or_no_arrays(nn2wasm, digits, digits_wasm, tmp_path):
    np.save(tmp_path / "x.npy", IMAGE)
    assert "compile it first" in nn2wasm("run", digits, "--input", tmp_path / "x.npy").err
    missing = nn2wasm("run", digits_wasm, "--input", tmp_path / "no.npz")
    assert (missing.code, "no.npz" in missing.err) == (40, True)
    junk = tmp_path / "junk.npz"
    junk.write_bytes(b"junk")
    assert nn2wasm("run", digits_wasm, "--input", junk).code == 40
    wrong = nn2wasm("run", digits_wasm, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.txt")
    assert (wrong.code, ".npz" in wrong.err) == (40, True)


def test_a_module_that_wasmtime_would_not_compute_exactly(nn2wasm, tmp_path):
    module = build_module(checked(add_one(), "return 1;", "wasm-relaxed"), find_target("wasm"))
    (tmp_path / "model.relaxed.wasm").write_bytes(module)
    np.save(tmp_path / "x.npy", np.zeros((1, 8), np.int8))
    words = ("run", tmp_path / "model.relaxed.wasm", "--input", tmp_path / "x.npy")
    outcome = nn2wasm(*words)
    assert outcome.code == 40
    assert outcome.err.startswith("error: wasmtime would not compute this module exactly")
    assert "--target wasm-simd128-cranelift" in outcome.err
