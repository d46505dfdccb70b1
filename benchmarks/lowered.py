"""Our own lowered graph of a network, as the writers for peers need it."""

from __future__ import annotations

from pathlib import Path

from nn2wasm.api import Options, plan_model
from nn2wasm.ir import Graph, Tensor
from nn2wasm.ops.spatial import Geometry
from nn2wasm.target import find_target

# A peer gets the whole network, with the channels that nn2wasm proves constant.
WHOLE = Options(disabled_passes=frozenset({"remove_constant_channels"}))


class Unsupported(Exception):
    """The network has something that a writer does not know."""


def lowered(model: Path) -> Graph:
    """The graph that nn2wasm generates code from: channels last, integers with their meaning."""
    return plan_model(model, find_target("wasm"), WHOLE).plan.graph


def whole_and_lean_macs(model: Path) -> list[int]:
    """Multiply-accumulates of a run: of the whole network, and of what nn2wasm leaves of it."""
    target = find_target("wasm")
    return [plan_model(model, target, options).plan.macs for options in (WHOLE, Options())]


def padding(geometry: Geometry, x: Tensor, y: Tensor) -> str | None:
    """SAME or VALID as TensorFlow means them, None where the padding is neither."""
    begin, end = _padding(geometry, x, y)
    if not any(begin + end):
        return "VALID"
    same = True
    for i in range(2):
        extent = (geometry.kernel[i] - 1) * geometry.dilation[i] + 1
        rows = -(-x.shape[1 + i] // geometry.stride[i])
        total = max(0, (rows - 1) * geometry.stride[i] + extent - x.shape[1 + i])
        same &= rows == y.shape[1 + i] and begin[i] == total // 2
    return "SAME" if same else None


def explicit_padding(geometry: Geometry, x: Tensor, y: Tensor) -> list[list[int]]:
    """Rows and columns to put around an NHWC tensor, as PAD takes them."""
    begin, end = _padding(geometry, x, y)
    return [[0, 0], [begin[0], end[0]], [begin[1], end[1]], [0, 0]]


def _padding(geometry: Geometry, x: Tensor, y: Tensor) -> tuple[list[int], list[int]]:
    """The padding that windows touch: what is declared at the end may never be read."""
    end = []
    for i in range(2):
        extent = (geometry.kernel[i] - 1) * geometry.dilation[i] + 1
        reach = (y.shape[1 + i] - 1) * geometry.stride[i] + extent
        end.append(max(0, reach - geometry.pad_begin[i] - x.shape[1 + i]))
    return list(geometry.pad_begin), end


def activation(lo: float, hi: float) -> str:
    """The name of a clamp, where it has one."""
    names = {
        (float("-inf"), float("inf")): "NONE",
        (0.0, float("inf")): "RELU",
        (0.0, 6.0): "RELU6",
        (-1.0, 1.0): "RELU_N1_TO_1",
    }
    if (lo, hi) not in names:
        raise Unsupported(f"a clamp to {lo}..{hi}")
    return names[lo, hi]
