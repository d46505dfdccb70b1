from __future__ import annotations


def test_a_model_line_by_line(nn2wasm, digits):
    outcome = nn2wasm("inspect", digits)
    assert outcome.code == 0
    for text in ("digits_int8 for wasm", "60.5 k MAC in 7 layers", "channels_last", "conv1"):
        assert text in outcome.out
    headings = next(line for line in outcome.out.splitlines() if line.startswith("#"))
    for heading in ("op", "kernel", "output", "MAC", "weights", "offset", "node"):
        assert heading in headings


def test_reasons_of_refusals(nn2wasm, digits):
    assert "because" not in nn2wasm("inspect", digits).out
    assert "because" in nn2wasm("inspect", digits, "--refused").out


def test_a_model_as_json(nn2wasm, digits):
    report = nn2wasm("inspect", digits, "--json", "--target", "wasm-simd128").json
    assert report["target"] == "wasm-simd128"
    assert sum(layer["macs"] for layer in report["layers"]) == report["macs"]
    assert report["arena_bytes"] >= report["arena_floor_bytes"]


def test_weights_in_parts(nn2wasm, digits):
    options = ("--weights", "flash", "--optimize", "memory")
    lines = nn2wasm("inspect", digits, *options).out.splitlines()
    layers = nn2wasm("inspect", digits, *options, "--json").json["layers"]
    in_parts = [layer for layer in layers if layer["parts"] > 1]
    assert in_parts
    for layer in in_parts:
        weights = f"{layer['weight_bytes']:,} in {layer['parts']} "
        assert any(layer["kernel"] in line and weights in line for line in lines)
        assert 0 < layer["tile_bytes"] < layer["weight_bytes"]


def test_a_module(nn2wasm, digits_wasm):
    outcome = nn2wasm("inspect", digits_wasm)
    assert outcome.code == 0
    assert f"{digits_wasm.stat().st_size:,} bytes" in outcome.out
    assert "1 page fixed" in outcome.out
    assert nn2wasm("inspect", digits_wasm, "--json").json["metadata"]["model"] == "digits_int8"


def test_names_cannot_move_the_cursor(nn2wasm, digits, tmp_path):
    import onnx

    model = onnx.load(digits)
    model.graph.node[0].name = "\x1b[2J" + "long" * 100
    model.producer_name = "\x1b[31mred"
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    assert "\x1b" not in nn2wasm("inspect", path).out
    assert "\x1b" not in nn2wasm("verify", path, "--layers", "--count", 1).out


def test_damaged_modules(nn2wasm, tmp_path):
    path = tmp_path / "m.wasm"
    path.write_bytes(b"\0asm\1\0\0\0\1\xff")
    outcome = nn2wasm("inspect", path)
    assert outcome.code == 40
    assert nn2wasm("inspect", tmp_path).code == 11
