"""The same model, version and options give the same bytes: C, package and module."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest
from target_models import DIGITS, MODELS

from nn2wasm.api import generate, plan_model
from nn2wasm.codegen.package import amalgamate, c_package
from nn2wasm.codegen.package_kinds import PACKAGE_KINDS
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_artifact

CHOSEN = [
    model for model in MODELS if model.path.stem in ("digits_int8", "mbv3_block_64_ptq_qdq_s8")
]


def fingerprint(path: str) -> str:
    """A hash over everything that a model is turned into."""
    digest = hashlib.sha256()
    tree = generate(plan_model(path, find_target("c")))
    packages = (c_package(tree, kind) for kind in PACKAGE_KINDS)
    for files in (tree.files, *packages, amalgamate(tree, tree.name)):
        for name, content in files.items():
            digest.update(name.encode())
            digest.update(content if isinstance(content, bytes) else content.encode())
    for name in ("wasm", "wasm-simd128", "wasm-relaxed"):
        target = find_target(name)
        digest.update(build_artifact(generate(plan_model(path, target)), target))
    return digest.hexdigest()


@pytest.mark.parametrize("model", CHOSEN, ids=str)
def test_again(model):
    assert fingerprint(str(model.path)) == fingerprint(str(model.path))


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_in_another_process_with_another_hash_seed(seed, tmp_path):
    """No order of a set, no path and no clock gets into the output."""
    path = str(DIGITS / "digits_int8.onnx")
    code = "import sys, test_determinism; print(test_determinism.fingerprint(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == fingerprint(path), done.stderr
