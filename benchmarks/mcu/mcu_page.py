"""docs/benchmarks-mcu.md, and the tables of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cells import Figures, Measured

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tables import table

NAMES = {
    "ic_resnet8_int8_tflite": "ResNet8",
    "vww_mbv1_025_96_int8_tflite": "MobileNetV1 0.25 96 (vww)",
    "kws_dscnn_int8_tflite": "DS-CNN (kws)",
    "ad_autoencoder_int8_tflite": "autoencoder",
}
WHOLE_MACS = {
    "ic_resnet8_int8_tflite": 12_501_632,
    "vww_mbv1_025_96_int8_tflite": 7_489_664,
    "kws_dscnn_int8_tflite": 2_656_768,
    "ad_autoencoder_int8_tflite": 264_192,
}

# Millions of instructions, counted in the same way: TFLM with its reference kernels on M4,
# with CMSIS-NN on M4 and on M55; bytes of its arena; KB of its code beside the model.
PEERS = {
    "ic_resnet8_int8_tflite": (132.0, 29.9, 4.81, 54_996, "44–60"),
    "vww_mbv1_025_96_int8_tflite": (116.6, 24.1, 6.43, 100_708, "47–61"),
    "kws_dscnn_int8_tflite": (48.6, 7.70, 1.78, 22_820, "47–61"),
    "ad_autoencoder_int8_tflite": (1.95, 0.583, 0.150, 2_580, "24–33"),
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


def page(figures: Sequence[Figures], remark: str) -> str:
    """The whole page."""
    parts = [INTRO, f"{remark}.\n" if remark else "", f"## All figures\n\n{results(figures)}"]
    return "\n".join(part for part in parts if part)
