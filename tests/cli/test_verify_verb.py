from __future__ import annotations

import numpy as np
import pytest


def test_an_exact_model_passes(nn2wasm, digits):
    outcome = nn2wasm("verify", digits, "--count", 3)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "random, seed 0" in outcome.out
    last = outcome.out.splitlines()[-1].split()
    assert last == ["logits", "f32", "1×10", "0", "0", "none", "3", "of", "3", "ok"]


def test_a_module_and_samples_from_files(nn2wasm, digits, digits_wasm, tmp_path):
    images = np.load(digits.with_name("test_images.npz"))["pixels"].astype(np.float32) / 16
    np.save(tmp_path / "x.npy", images)
    words = ("verify", digits, digits_wasm, "--samples", tmp_path / "x.npy", "--json")
    report = nn2wasm(*words).json
    assert report["passed"]
    assert report["sample_count"] == 360
    assert report["outputs"][0]["difference"]["top1"] == 360
    assert nn2wasm(*words, "--count", 5).json["sample_count"] == 5


def test_beyond_the_tolerance(nn2wasm, digits_f32):
    words = ("verify", digits_f32, "--count", 2, "--tolerance", 0)
    outcome = nn2wasm(*words)
    assert outcome.code == 50
    assert "differs" in outcome.out
    assert outcome.err.startswith("error: 'digits_f32' differs from ")
    as_json = nn2wasm(*words, "--json")
    assert as_json.code == 50
    assert as_json.json["passed"] is False
    assert as_json.err == ""


def test_layers_as_a_table_and_as_json(nn2wasm, digits):
    outcome = nn2wasm("verify", digits, "--layers", "--count", 1)
    assert outcome.code == 0
    assert "7, of which 0 beyond the tolerance" in outcome.out
    assert outcome.out.count("nn_conv_s8") + outcome.out.count("nn_depthwise_s8") == 3
    report = nn2wasm("verify", digits, "--layers", "--count", 1, "--json").json
    assert [layer["index"] for layer in report["layers"]] == list(range(7))


def test_the_first_layer_beyond_the_tolerance_is_named(nn2wasm, digits_f32):
    words = ("verify", digits_f32, "--layers", "--count", 2, "--tolerance", 0)
    outcome = nn2wasm(*words)
    assert outcome.code == 50
    assert " first " in outcome.out
    assert "is the first that differs" in outcome.err
    report = nn2wasm(*words, "--json").json
    assert report["layers"][report["first"]]["difference"]["passed"] is False


def test_what_does_not_go_together(nn2wasm, digits, digits_wasm):
    assert nn2wasm("verify", digits, digits_wasm, "--layers").code == 2
    assert nn2wasm("verify", digits, "--target", "c").code == 20
    assert nn2wasm("verify", digits, "--count", 0).code == 2
    assert nn2wasm("verify", digits, "--steps", -1).code == 2
    assert nn2wasm("verify", digits_wasm).code == 11


@pytest.mark.parametrize("name", ["hello_sine_int8_tflite", "kws_dscnn_int8_tflite"])
def test_shared_models(nn2wasm, shared, name):
    path = shared(name)
    outcome = nn2wasm("verify", path, "--samples", path.with_suffix(".npz"), "--count", 5)
    assert outcome.code == 0, outcome.out + outcome.err
