"""The machine's own ceiling for sums of products in WebAssembly, measured in the same run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from bench_networks import CACHE
from hosts import Job
from programs import HERE, CannotRun

DOTS = 32 * 8 * 4096  # as in ceiling.c
LANES = {"wasm-simd128": 8, "wasm-relaxed": 16}  # products of one instruction
FEATURES = {"wasm-simd128": "lime1+simd128", "wasm-relaxed": "lime1+simd128+relaxed_simd"}


@dataclass(frozen=True)
class Ceiling:
    """A module of dot products and how many products a run of it makes."""

    path: Path
    macs: int


@cache
def build_ceiling(target: str) -> Ceiling:
    """Compiles ceiling.c; raises CannotRun where zig does not."""
    folder = CACHE / "ceiling"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target}.wasm"
    command = [
        *(sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding"),
        *(f"-mcpu={FEATURES[target]}", "-O3", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all"),
        *("-o", str(path), str(HERE / "ceiling.c")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"zig: {done.stderr.strip()[:300]}")
    return Ceiling(path, DOTS * LANES[target])


def ceiling_job(key: str, target: str) -> Job:
    """Like a network of one number in, one number out."""
    ceiling = build_ceiling(target)
    zero = ceiling.path.with_name("zero.bin")
    zero.write_bytes(np.zeros(1, np.float32).tobytes())
    return Job(key, "ours", target, ceiling.path, zero, zero, (1,))


def instruction_set(target: str) -> str:
    """Which ceiling a target has, by its name: none without SIMD."""
    return next((name for name in LANES if target.startswith(name)), "")
