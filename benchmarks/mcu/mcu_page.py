"""docs/benchmarks-mcu.md, and the tables of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cells import Figures, Measured

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tables import table

NAMES = {
    "ic_resnet8_int8_tflite": "ResNet8",
    "vww_mbv1_025_96_int8_tflite": "MobileNetV1 0.25 96 (vww)",
    "kws_dscnn_int8_tflite": "DS-CNN (kws)",
    "ad_autoencoder_int8_tflite": "autoencoder",
}


class Peer(NamedTuple):
    """What TensorFlow Lite Micro takes of a network, counted in the same way.

    Attributes:
        reference: millions of instructions on M4, with its reference kernels.
        m4: the same with CMSIS-NN.
        m55: on M55.
        arena: bytes.
        runtime: KB of its code in flash, beside the model.
    """

    reference: float
    m4: float
    m55: float
    arena: int
    runtime: str


PEERS = {
    "ic_resnet8_int8_tflite": Peer(132.0, 29.9, 4.81, 54_996, "44–60"),
    "vww_mbv1_025_96_int8_tflite": Peer(116.6, 24.1, 6.43, 100_708, "47–61"),
    "kws_dscnn_int8_tflite": Peer(48.6, 7.70, 1.78, 22_820, "47–61"),
    "ad_autoencoder_int8_tflite": Peer(1.95, 0.583, 0.150, 2_580, "24–33"),
}


def results(figures: Sequence[Figures]) -> str:
    """All figures, network by network."""
    heads = [
        "network, core", "for", "instructions", "per MAC", "code", "constants", "arena", "stack",
    ]  # fmt: skip
    rows = [
        [
            f"{NAMES.get(each.network, each.network)}, {each.core}",
            each.optimize,
            f"{each.instructions:,}",
            f"{each.instructions / max(1, each.macs):.2f}",
            f"{each.code:,}",
            f"{each.constants:,}",
            f"{each.arena:,}",
            f"{each.stack:,}",
        ]
        for each in figures
    ]
    return table(heads, rows)


def layer_table(measured: Measured) -> str:
    """What each layer of a network takes on a core."""
    about = measured.figures
    rows = [
        [
            layer.name,
            layer.kernel,
            f"{layer.macs:,}",
            f"{layer.instructions:,}",
            f"{layer.instructions / layer.macs:.2f}" if layer.macs else "–",
            f"{layer.instructions / layer.outputs:.1f}",
        ]
        for layer in measured.layers
    ]
    heads = ["layer", "kernel", "MAC", "instructions", "per MAC", "per output"]
    total = (
        f"{about.instructions:,} instructions, {about.instructions / max(1, about.macs):.2f} a MAC"
    )
    title = f"{about.network} on {about.core} for {about.optimize}: {total}"
    return f"{title}\n\n{table(heads, rows)}"


INTRO = """# Benchmarks on microcontrollers

Written by `make bench-mcu`; do not edit. More: [benchmarks/mcu/](../benchmarks/mcu).

One run of each network on emulated cores: instructions that are executed, counted exactly and the
same on every machine. An instruction is not a cycle: real cores take one or two cycles for most of
them, and flash may make them wait. Bytes are those of the network's own object, compiled by zig's
clang: code, and constants (weights, biases, tables). The arena is the memory that a run
works in; the stack is what a run takes below its caller's frame. Every output is compared with that
of the network in WebAssembly before it counts.
"""


HOW = """## How this is measured

Programs are built by zig alone, with startup code and linker scripts of this project, and run in
QEMU with `-icount shift=0`: an instruction is a nanosecond, and the core's own clock reads it.
Tests check that on loops of known length. The boards are mps2-an385 (M0, M3), an386 (M4), an500
(M7), an505 (M33), mps3-an547 (M55) and virt (RV32IMC).
"""


def page(figures: Sequence[Figures], remark: str) -> str:
    """The whole page."""
    parts = [INTRO, f"{remark}.\n" if remark else "", comparison(figures), memory(figures)]
    parts += [f"## All figures\n\n{results(figures)}", HOW]
    return "\n".join(part for part in parts if part)


def comparison(figures: Sequence[Figures]) -> str:
    """Instructions beside those of TensorFlow Lite Micro."""
    rows = []
    for core, peer in (("Cortex-M4", "m4"), ("Cortex-M55", "m55")):
        for each in figures:
            if each.core != core or each.optimize != "speed" or each.network not in PEERS:
                continue
            theirs = PEERS[each.network]
            ours = each.instructions / 1e6
            cmsis = getattr(theirs, peer)
            reference = f"{theirs.reference:.3g}" if peer == "m4" else "–"
            name = f"{NAMES[each.network]}, {core}"
            rows.append([name, f"{ours:.3g}", reference, f"{cmsis:.3g}", f"{cmsis / ours:.2f}"])
    if not rows:
        return ""
    heads = ["millions of instructions", "nn2wasm", "TFLM", "TFLM, CMSIS-NN", "ratio"]
    return f"""## Beside TensorFlow Lite Micro

TFLM was compiled for the same cores and counted in the same emulator; the ratio is how many times
as many instructions it takes with CMSIS-NN.

{table(heads, rows)}"""


def memory(figures: Sequence[Figures]) -> str:
    """Bytes beside those of TensorFlow Lite Micro."""
    rows = []
    for each in figures:
        if each.core == "Cortex-M4" and each.optimize == "size" and each.network in PEERS:
            theirs = PEERS[each.network]
            figures_ = (each.arena, each.stack, theirs.arena, each.code, each.constants)
            rows.append([NAMES[each.network], *(f"{n:,}" for n in figures_), theirs.runtime])
    if not rows:
        return ""
    heads = [
        "bytes, Cortex-M4, for size", "arena", "stack", "TFLM's arena", "code", "constants",
        "TFLM's code, KB",
    ]  # fmt: skip
    return f"""## Memory

Constants are the weights and all tables. TFLM's code is what its runtime takes of the flash beside
the model's file.

{table(heads, rows)}"""
