"""examples/forest does what its README says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from engines import node
from tolerance import CLOSE

import nn2wasm
from nn2wasm.cli.command import main
from nn2wasm.toolchain.zig import zig_path

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "forest"
MODEL, FLOWERS = FOLDER / "iris_forest.onnx", FOLDER / "test_flowers.npz"
BLOCKS = [block.strip() for block in (FOLDER / "README.md").read_text().split("```")[1::2]]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forest") / "iris_forest.wasm"
    assert main([str(MODEL), "-o", str(path)]) == 0
    return path


def test_the_command_prints_labels(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(module), "--input", str(FLOWERS)]) == 0
    assert "\n".join(capsys.readouterr().out.splitlines()[:2]) == BLOCKS[1]


def test_labels_are_those_of_scikit_learn(module: Path) -> None:
    with np.load(FLOWERS) as told, nn2wasm.load(module) as session:
        label, probabilities = session.outputs
        answers = [session.run(flower) for flower in told["flower"]]
        found = np.asarray(label.labels)[[answer["label"][0] for answer in answers]]
        assert found.tolist() == told["scikit_learn"].tolist()
        assert (found == told["species"]).sum() == 47
        likely = np.concatenate([answer["probabilities"] for answer in answers])
        assert not CLOSE(likely, told["probabilities"])
        assert probabilities.labels == label.labels


def test_labels_in_javascript(module: Path) -> None:
    assert main(["loader", str(module)]) == 0
    script = module.with_name("labels.mjs")
    script.write_text(
        'import { load } from "./iris_forest.mjs";\n'
        'const net = await load(new URL("./iris_forest.wasm", import.meta.url));\n'
        "const { label } = net.run({ flower: new Float32Array([6.9, 3.1, 5.4, NaN]) });\n"
        "console.log(net.outputs[0].labels[label[0]]);\n"
    )
    assert node(script).strip() == "virginica"


def test_the_program_in_c(tmp_path: Path) -> None:
    nn2wasm.compile_model(MODEL, tmp_path / "iris_forest.c")
    program = tmp_path / "classify"
    command = [zig_path(), "cc", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{tmp_path}"]
    sources = [FOLDER / "classify.c", tmp_path / "iris_forest.c"]
    subprocess.run([*command, *sources, "-o", program], check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert said.strip() == BLOCKS[3]
