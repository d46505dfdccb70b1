"""Quantized graphs that several passes meet."""

from __future__ import annotations

from typing import Any

import numpy as np

rng = np.random.default_rng(5)
QUANTS: dict[str, Any] = {
    "s": np.float32(0.05),
    "z": np.int8(3),
    "s2": np.float32(0.02),
    "z2": np.int8(-7),
}
WEIGHTS: dict[str, Any] = {
    "w": rng.integers(-128, 128, (4, 2, 3, 3)).astype(np.int8),
    "ws": np.float32([0.01, 0.02, 0.005, 0.03]),
    "wz": np.zeros(4, np.int8),
    "b": rng.integers(-900, 900, 4).astype(np.int32),
    "bs": np.float32(0.05) * np.float32([0.01, 0.02, 0.005, 0.03]),
    "bz": np.zeros(4, np.int32),
}
CONV = """g (int8[1,2,6,6] x) => (int8[1,4,4,4] y) {
  xf = DequantizeLinear(x, s, z)
  wf = DequantizeLinear<axis=0>(w, ws, wz)
  bf = DequantizeLinear<axis=0>(b, bs, bz)
  c = Conv(xf, wf, bf)
  y = QuantizeLinear(c, s2, z2)
}"""


def between(op: str, x: str = "int8[1,2,6,6]", y: str = "int8[1,2,N,M]", out: str = "s, z") -> str:
    """x → DequantizeLinear → op → QuantizeLinear."""
    nodes = f"f = DequantizeLinear(x, s, z)  r = {op}  y = QuantizeLinear(r, {out})"
    return f"g ({x} x) => ({y} y) {{ {nodes} }}"


def used(text: str, **more: Any) -> dict[str, Any]:
    """Those of the constants that the text names."""
    words = set("".join(c if c.isalnum() else " " for c in text).split())
    return {name: value for name, value in (QUANTS | WEIGHTS | more).items() if name in words}
