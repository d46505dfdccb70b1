"""C for Arm cores compiles without a warning, and to the instructions that its kernels are for.

What it computes is tested on this machine, where the same text runs as plain C.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from native_gcc import write_sources
from onnx import helper
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
DSP = [t for t in TARGETS if "dsp" in t.features and "mve" not in t.features]
HELIUM = next(t for t in TARGETS if "mve" in t.features)
DUAL_PRODUCT = b"smlad"
VECTOR_PRODUCTS = {np.int8: rb"\bvmla(da)?va\.s8\b", np.int16: rb"\bvmla(da)?va\.s16\b"}
INTEGERS = pytest.mark.parametrize("integers", [np.int8, np.int16], ids=["s8", "s16"])
CHANNELS = (2, 3, 5, 7, 9)


def assembly(command: list[str], target: Target, model: Any, folder: Path) -> bytes:
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


@INTEGERS
@pytest.mark.parametrize("node", KERNELS)
@pytest.mark.parametrize("target", DSP, ids=lambda target: target.name)
def test_clang(target, node, integers, tmp_path):
    text = assembly(clang(target), target, model_of(*NODES[node], integers), tmp_path)
    assert DUAL_PRODUCT in text


@INTEGERS
@pytest.mark.parametrize("node", KERNELS)
def test_clang_for_size(node, integers, tmp_path):
    target = DSP[0].optimized("size")
    text = assembly(clang(target), target, model_of(*NODES[node], integers), tmp_path)
    assert DUAL_PRODUCT in text


@INTEGERS
@pytest.mark.parametrize("node", ["conv", "pointwise"])
def test_clang_for_helium(node, integers, tmp_path):
    text = assembly(clang(HELIUM), HELIUM, model_of(*NODES[node], integers), tmp_path)
    assert re.search(VECTOR_PRODUCTS[integers], text)


def needs_arm_gcc() -> str:
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return gcc


@INTEGERS
@pytest.mark.parametrize("node", KERNELS)
def test_gcc(node, integers, tmp_path):
    model = model_of(*NODES[node], integers)
    assert DUAL_PRODUCT in assembly([needs_arm_gcc(), *GCC], DSP[0], model, tmp_path)


def test_gcc_drops_no_layer(tmp_path):
    """It did, where nothing of the network reads what a layer writes: an output."""
    names = [f"x{channels}" for channels in CHANNELS]
    nodes = [helper.make_node("Transpose", [x], [f"y_{x}"], perm=[0, 3, 1, 2]) for x in names]
    inputs = [
        helper.make_tensor_value_info(f"x{channels}", onnx.TensorProto.INT8, [1, 6, 6, channels])
        for channels in CHANNELS
    ]
    outputs = [onnx.ValueInfoProto(name=f"y_{x}") for x in names]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    text = assembly([needs_arm_gcc(), *GCC], DSP[0], model, tmp_path)
    body = text.partition(b"\nnetwork_run:")[2].partition(b".size")[0]
    assert body.count(b"network_0") == len(CHANNELS)
