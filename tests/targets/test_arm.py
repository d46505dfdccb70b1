"""C for Arm cores compiles without a warning, and to the instructions that its kernels are for.

What it computes is tested on this machine, where the same text runs as plain C.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from native_gcc import write_sources
from test_exact_arena import NODES, model_of

from nn2wasm.api import Options, generate, plan_model
from nn2wasm.resources import data_folder
from nn2wasm.target import TARGETS, Target
from nn2wasm.toolchain.zig import zig_path

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wcast-qual", "-Werror")
FREESTANDING = (
    *("-std=c11", "-ffp-contract=off", "-fhosted", "-I."),
    *("-isystem", str(data_folder("runtime_c") / "src" / "freestanding")),
)
GCC = ("-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-O2")
KERNELS = ("conv", "depthwise_padded", "pointwise")
DSP = [target for target in TARGETS if "dsp" in target.features]
DUAL_PRODUCT = b"smlad"


def assembly(command: list[str], target: Target, node: str, folder: Path) -> bytes:
    model = model_of(*NODES[node], bytes_=True)
    tree = generate(plan_model(model, target, Options(name="network")))
    write_sources(tree, folder)
    flags = [*WARNINGS, *FREESTANDING, "-S", "network.c", "-o", "network.s"]
    done = subprocess.run(
        [*command, *flags], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
    return (folder / "network.s").read_bytes()


def clang(target: Target) -> list[str]:
    unused = "-Wno-unused-command-line-argument"  # zig adds one
    return [str(zig_path()), "cc", "-target", target.zig_triple, *target.compiler_flags, unused]


@pytest.mark.parametrize("node", KERNELS)
@pytest.mark.parametrize("target", DSP, ids=lambda target: target.name)
def test_clang(target, node, tmp_path):
    assert DUAL_PRODUCT in assembly(clang(target), target, node, tmp_path)


@pytest.mark.parametrize("node", KERNELS)
def test_clang_for_size(node, tmp_path):
    target = DSP[0].optimized("size")
    assert DUAL_PRODUCT in assembly(clang(target), target, node, tmp_path)


@pytest.mark.parametrize("node", KERNELS)
def test_gcc(node, tmp_path):
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    assert DUAL_PRODUCT in assembly([gcc, *GCC], DSP[0], node, tmp_path)
