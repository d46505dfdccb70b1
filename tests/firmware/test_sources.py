"""The C of every C target: compiled without a warning by gcc and clang, and what it calls."""

from __future__ import annotations

import atexit
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import TESTS, needs_arm_gcc
from elf_file import read_elf
from emulated_boards import ALL
from firmware import GCC, gcc_flags, zig_flags
from target_models import DIGITS, SHARED

import nn2wasm
from nn2wasm.api import Options
from nn2wasm.target import TARGETS, ArtifactKind, Target, find_target
from nn2wasm.toolchain.zig import zig_path

sys.path.append(str(TESTS / "codegen"))
from small_networks import NETWORKS, Network

C_TARGETS = [t.name for t in TARGETS if t.kind is ArtifactKind.C and t.name != "c"]
GCC_CORES = [board for board in ALL if board.gcc_flags]
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
BORDERLESS = ("ic_resnet8_int8_tflite", "kws_dscnn_int8_tflite", "ad_autoencoder_int8_tflite")
"""Networks of bytes from end to end."""
BORDERED = (
    "mbv3_block_64_ptq_qdq_s8",
    "digits_cnn_ptq_qdq_a16w8_ms",
    "digits_cnn_ptq_qdq_a16w16_op21",
)
"""The same, or of 16 bits, between a quantizer and a dequantizer, which are left out."""
UNWINDING = {"__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1"}  # in tables that C drops
MEMORY = {"memcpy", "memset", "memmove"} | {
    f"__aeabi_mem{name}{size}" for name in ("cpy", "set", "move", "clr") for size in ("", "4", "8")
}
# Products and shifts of 64 bits, divisions and, on Cortex-M0, jump tables.
WHOLE_NUMBERS = re.compile(
    r"__aeabi_(l?u?idiv(mod)?|lmul|ll[sa]l|l[la]sr|uldivmod|ldivmod)|__(mul|ash|lsh|ashr|u?div|u?mod)"
    r"[ls]?[lr]?di3|__(ashl|ashr|lshr)di3|__u?(div|mod)[sd]i3|__clz[sd]i2|__gnu_thumb1_case_\w+"
)


def windows_s16() -> onnx.ModelProto:
    """A convolution, one for each channel and a pointwise one, of 16 bits."""
    net = Network("windows_s16", np.int16)
    x, shapes = net.quantized("x", "x_s16", 0.0003, 300), [(8, 3, 3, 3), (8, 1, 3, 3), (6, 8, 1, 1)]
    for index, shape in enumerate(shapes):
        window = {"pads": [1, 1, 1, 1]} if shape[-1] == 3 else {}
        weights = net.weights(f"w{index}", shape)
        y = net.node(
            "Conv", f"conv{index}", [x, weights], group=8 if shape[1] == 1 else 1, **window
        )
        x = net.quantized(y, f"y{index}_s16", 0.002)
    return net.model((1, 3, 6, 6), x, (1, 6, 6, 6))


@cache
def sources_for(target: Target, optimize: str) -> tuple[Path, dict[str, bool]]:
    """A folder with single C files, and whether each computes in integers alone."""
    holder = tempfile.TemporaryDirectory(prefix="nn2wasm-sources-")
    atexit.register(holder.cleanup)
    networks = NETWORKS | {"windows_s16": windows_s16}
    models = {name: (network(), name.endswith("_s16")) for name, network in networks.items()}
    models |= {stem: (DIGITS / f"{stem}.onnx", False) for stem in ("digits_int8", "digits_f32")}
    models["digits_bytes"] = (DIGITS / "digits_int8.onnx", True)
    shared = {stem: (SHARED / f"{stem}.onnx", True) for stem in BORDERLESS + BORDERED}
    models |= {stem: model for stem, model in shared.items() if model[0].is_file()}
    for name, (model, integers) in models.items():
        strip = integers and name not in BORDERLESS
        options = Options(optimize=optimize, io_integers=strip)
        nn2wasm.compile_model(model, Path(holder.name, f"{name}.c"), target=target, options=options)
    return Path(holder.name), {name: integers for name, (_, integers) in models.items()}


@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize("board", [pytest.param(board, id=board.core) for board in GCC_CORES])
def test_gcc_has_nothing_to_warn_of(board, optimize):
    needs_arm_gcc()
    target = board.target.optimized(optimize)
    folder, names = sources_for(board.target, optimize)
    command = [GCC, "-std=c11", *gcc_flags(board, target), *WARNINGS, "-c"]
    command += [f"{name}.c" for name in names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]


@pytest.mark.parametrize("name", C_TARGETS)
def test_clang_has_nothing_to_warn_of_and_needs_no_library(name):
    """Networks of integers call neither libm nor, where there is no FPU, its emulation."""
    target = find_target(name)
    folder, names = sources_for(target, "speed")
    command = [str(zig_path()), "cc", *zig_flags(target), *WARNINGS, "-c"]

    def compile_one(stem: str) -> None:
        arguments = [*command, f"{stem}.c", "-o", f"{stem}.{name}.o"]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:4000]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_one, names))
    for stem, integers in names.items():
        if integers and target.zig_triple:
            object_file = read_elf((folder / f"{stem}.{name}.o").read_bytes())
            strange = object_file.undefined - MEMORY - UNWINDING
            assert not {s for s in strange if not WHOLE_NUMBERS.fullmatch(s)}, stem
