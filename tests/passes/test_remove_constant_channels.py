from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import graph, model, same_without, until
from quantized_texts import QUANTS

from nn2wasm.passes import remove_constant_channels

rng = np.random.default_rng(12)
CHANNELS = 6
DEAD = (1, 4)
TEXT = """g (int8[1,2,6,6] x) => (int8[1,3,N,M] y) {
  xf = DequantizeLinear(x, s, z)
  wf = DequantizeLinear(w, ws, wz)
  bf = DequantizeLinear(b, bs)
  c = Conv(xf, wf, bf)
  r = Relu(c)
  q = QuantizeLinear(r, s2, low)
  f = DequantizeLinear(q, s2, low)
  DEPTHWISE
  vf = DequantizeLinear(v, ws, wz)
  d = Conv<PADS>(f, vf)
  y = QuantizeLinear(d, s2, z2)
}"""
DEPTHWISE = """df = DequantizeLinear(dw, ws, wz)
  e = Conv<group=6>(f, df)
  p = QuantizeLinear(e, s2, z2)
  f2 = DequantizeLinear(p, s2, z2)"""


def network(
    *, pads: bool = False, depthwise: bool = False, alive: bool = False
) -> tuple[str, dict[str, Any]]:
    """Two convolutions: `DEAD` between them have a bias far below 0 and a Relu behind it."""
    text = TEXT.replace("<PADS>", "<pads=[1,1,1,1]>" if pads else "").replace(
        "DEPTHWISE", DEPTHWISE if depthwise else ""
    )
    text = text.replace("(f, vf)", "(f2, vf)") if depthwise else text
    b = rng.integers(-200, 200, CHANNELS)
    if not alive:
        b[list(DEAD)] = -10_000_000
    constants = QUANTS | {
        "w": rng.integers(-128, 128, (CHANNELS, 2, 3, 3)).astype(np.int8),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
        "b": b.astype(np.int32),
        "bs": np.float32(np.float32(0.05) * np.float32(0.01)),
        "low": np.int8(-128),
        "v": rng.integers(-128, 128, (3, CHANNELS, 3, 3)).astype(np.int8),
    }
    if depthwise:
        constants["dw"] = rng.integers(-128, 128, (CHANNELS, 1, 2, 2)).astype(np.int8)
    return text, constants


@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize("depthwise", [False, True])
def test_channels_that_are_always_zero_go(pads: bool, depthwise: bool) -> None:
    text, constants = network(pads=pads, depthwise=depthwise)
    g = graph(text, **constants)
    removed = until(g, remove_constant_channels)
    assert removed in (len(DEAD), 2 * len(DEAD))
    convolutions = [node for node in g.nodes if node.op.kind == "Conv"]
    assert convolutions[0].output.shape[-1] == CHANNELS - len(DEAD)
    assert convolutions[-1].input(1).shape[1] == CHANNELS - len(DEAD)
    same_without("remove_constant_channels", model(text, **constants))


def test_channels_that_nobody_looks_at_go() -> None:
    text, constants = network(alive=True)
    constants["v"][:, 3] = 0
    g = graph(text, **constants)
    assert until(g, remove_constant_channels) == 1
    same_without("remove_constant_channels", model(text, **constants))


def test_live_channels_stay() -> None:
    text, constants = network(alive=True)
    assert until(graph(text, **constants), remove_constant_channels) == 0


def test_channels_of_an_output_stay() -> None:
    text, constants = network()
    shown = text.replace("[1,3,N,M] y)", "[1,3,N,M] y, int8[1,6,4,4] q)")
    assert until(graph(shown, **constants), remove_constant_channels) == 0
