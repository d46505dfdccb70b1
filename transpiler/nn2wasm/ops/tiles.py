"""Register tiles: how linear kernels on SIMD walk pixels and outputs, and pack their weights.

A tile is some pixels by some vectors of four outputs, all sums in registers. Outputs are cut into
panels as wide as a tile and one for the rest; pixels likewise. A step multiplies `depth` inputs of
a pixel with the weights of four outputs (templates/kernels/linear/tiles.c.j2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array

LANES = 4
LANE_BYTES = 4
LEAST_WIDENED_TILES = 6
"""Tiles of a panel from which widening its weights once pays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of multiply-accumulate steps, as runtime_c's simd128.h and relaxed_simd.h have it.

    Attributes:
        name: prefix of its functions.
        depth: inputs a step.
        item: C type of staged inputs.
        weight: C type of packed weights.
        biases: rows of the bias; the machine chooses.
        widened_load: C function that reads weights widened to staged items; empty: they are read
            as they are packed.
        guard: C function that tells whether this machine computes it rightly; empty: all do.
    """

    name: str
    depth: int
    item: str
    weight: str
    biases: int = 1
    widened_load: str = ""
    guard: str = ""

    @property
    def item_bytes(self) -> int:
        """Of a staged input: a step of them fills a lane."""
        return LANE_BYTES // self.depth


FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        Form(
            name="nn_pairs",
            depth=2,
            item="int16_t",
            weight="int8_t",
            widened_load="nn_wide_load",
        ),
        Form(name="nn_wide", depth=2, item="int16_t", weight="int16_t"),
        Form(name="nn_shorts", depth=2, item="int16_t", weight="int8_t"),
        Form(name="nn_single", depth=1, item="float", weight="float"),
        Form(
            name="nn_quads",
            depth=4,
            item="int8_t",
            weight="int8_t",
            biases=2,
            guard="nn_quads_exact",
        ),
        Form(name="nn_fused", depth=1, item="float", weight="float"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How a kernel cuts pixels and outputs.

    Attributes:
        form: of its steps.
        heights: pixels of a tile that is one vector wide, two, ...: the narrower, the higher, so
            that enough sums are under way. The last is the usual tile.
        line_vectors: the same where there is but one pixel.
        lanes: of its widest vector; narrower ones hold what is left of a panel.
        shuffles: load several steps of a pixel and shuffle them into all lanes, for engines whose
            load into all lanes is slow.
        uniform: one C function for all sizes, rather than one for each way to cut: usual panels of
            usual tiles, then pixel by pixel; then vector by vector, stored as far as there are
            outputs.
    """

    form: Form
    heights: tuple[int, ...] = (4, 4)
    line_vectors: int = 4
    lanes: int = LANES
    shuffles: bool = False
    uniform: bool = False

    @property
    def unroll(self) -> int:
        """Steps in the body of the innermost loop; half as many more are written out without one.

        More than two gain nothing in V8 where a step serves several pixels, and cost a third of
        all code.
        """
        return 1 if self.uniform else 4 if self.shuffles or self.height == 1 else 2

    @property
    def vectors(self) -> int:
        """Of a usual tile."""
        return len(self.heights)

    @property
    def height(self) -> int:
        """Of a usual tile."""
        return self.heights[-1]

    def for_pixels(self, m: int) -> Tiling:
        """What suits that many pixels: a line of outputs for one."""
        return replace(self, heights=(1,) * self.line_vectors) if m == 1 else self

    def widens(self, m: int) -> bool:
        """Whether tiles read weights that are widened once a panel, for so many pixels."""
        enough = m // self.height >= LEAST_WIDENED_TILES
        return bool(self.form.widened_load) and enough and not self.uniform

    def widths(self, n: int) -> list[int]:
        """Vectors of each panel of n outputs: as many full ones as there are, then the rest."""
        if self.uniform:
            full = n // (self.vectors * LANES)
            return [self.vectors] * full + [1] * (vectors_of(n) - full * self.vectors)
        full, rest = divmod(vectors_of(n), self.vectors)
        return [self.vectors] * full + ([rest] if rest else [])

    def pack(self, weights: Array) -> Array:
        """[n][segments][items] to panels of [segments][steps][vectors][4 outputs][depth], flat."""
        n, segments, items = weights.shape
        depth, steps = self.form.depth, self.steps(items)
        padded = np.zeros((vectors_of(n) * LANES, segments, steps * depth), weights.dtype)
        padded[:n, :, :items] = weights
        panels, first = [], 0
        for width in self.widths(n):
            panel = padded[first : first + width * LANES]
            panel = panel.reshape(width, LANES, segments, steps, depth).transpose(2, 3, 0, 1, 4)
            panels.append(panel.reshape(-1))
            first += width * LANES
        return np.concatenate(panels)

    def steps(self, items: int) -> int:
        """Steps over that many inputs; the last may lack some."""
        return -(-items // self.form.depth)


def vectors_of(n: int) -> int:
    """Vectors that hold n outputs."""
    return -(-n // LANES)


def fill_lanes(values: Array) -> Array:
    """Values of n outputs, zeros behind them up to whole vectors; along the last axis."""
    missing = vectors_of(values.shape[-1]) * LANES - values.shape[-1]
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])


def tiles_context(tiling: Tiling, *, m: int, n: int, steps: int, widened: bool) -> dict[str, Any]:
    """What templates/kernels/linear/tiles.c.j2 needs beside the names of pointers and sizes.

    Args:
        tiling: how to cut.
        m: pixels.
        n: outputs.
        steps: of a segment.
        widened: weights are read widened.
    """
    form = tiling.form
    return {
        "panels": _uniform_panels(tiling) if tiling.uniform else _panels(tiling, m, n),
        "parts": _parts(tiling, steps),
        "dot": form.name,
        "widened": widened,
        "weight_load": form.widened_load if widened else f"{form.name}_load",
        "item": form.item,
        "weight_type": form.weight,
        "depth": form.depth,
        "bias_rows": form.biases > 1,
    }


def _panels(tiling: Tiling, m: int, n: int) -> list[dict[str, Any]]:
    """As many as there are full ones in a loop, and one for the other outputs."""
    widths = tiling.widths(n)
    begin = _whole_outputs(tiling, n)
    panels = []
    if begin:
        panel = _panel(tiling, m, widths[0], widths[0] * LANES)
        last = "rest" if begin < n else "outputs"
        panels.append(panel | {"first": 0, "last": last})
    if begin < n:
        panel = _panel(tiling, m, widths[-1], n - begin)
        panels.append(panel | {"first": "rest" if begin else 0, "last": "outputs"})
    return panels


def tile_sizes(tiling: Tiling, *, m: int, n: int, steps: int, segments: int = 1) -> dict[str, int]:
    """Numbers that the template names; `segments` of `steps` each are the products of an output."""
    return {
        "pixels": m,
        "outputs": n,
        "rest": _whole_outputs(tiling, n),
        "lanes": vectors_of(n) * LANES,
        "steps": steps,
        "products": segments * steps * tiling.form.depth,
    }


def _whole_outputs(tiling: Tiling, n: int) -> int:
    """Outputs in panels that are as wide as the first and store all of theirs."""
    if tiling.uniform:
        return n // (tiling.vectors * LANES) * tiling.vectors * LANES
    widths = tiling.widths(n)
    lacking = widths[-1] == widths[0] and n % LANES > 0
    return (widths.count(widths[0]) - lacking) * widths[0] * LANES


def _parts(tiling: Tiling, steps: int) -> list[dict[str, Any]]:
    """The innermost loop, unrolled, and what it leaves."""
    unroll = tiling.unroll
    if unroll == 1:
        return [{"count": "steps", "length": 1, "steps": _steps(tiling, 1)}]
    if steps <= unroll + unroll // 2:
        return [{"count": "", "length": steps, "steps": _steps(tiling, steps)}]
    loop = {"count": f"steps / {unroll}", "length": unroll, "steps": _steps(tiling, unroll)}
    rest = {"count": f"steps % {unroll}", "length": 1, "steps": _steps(tiling, 1)}
    return [loop, rest] if steps % unroll else [loop]


def _steps(tiling: Tiling, count: int) -> list[dict[str, Any]]:
    """Steps of a loop's body; with shuffles, every four share a load where there are four."""
    depth = tiling.form.depth
    return [
        {
            "index": s,
            "at": offset(s * depth),
            "shuffled": tiling.shuffles and s < count // LANES * LANES,
            "loads": s % LANES == 0,
            "source": s // LANES * LANES,
            "splat": ", ".join([str(s % LANES)] * LANES),
        }
        for s in range(count)
    ]


def _panel(tiling: Tiling, m: int, width: int, stored: int) -> dict[str, Any]:
    """The tiles of a panel that stores that many of its outputs."""
    tiles = []
    height = tiling.heights[width - 1]
    whole, rest = divmod(m, height)
    tiled = f"pixels / {height} * {height}"
    if whole:
        tile = _tile(tiling, height, width, stored)
        tiles.append(tile | {"first": 0, "last": tiled if rest else "pixels"})
    if rest:
        tile = _tile(tiling, rest, width, stored)
        tiles.append(tile | {"first": tiled if whole else 0, "last": "pixels"})
    step_weights = width * LANES * tiling.form.depth
    cut = {"tiles": tiles, "width": width * LANES, "step_weights": step_weights}
    return cut | {"counted": False}


def _uniform_panels(tiling: Tiling) -> list[dict[str, Any]]:
    """Panels that leave all numbers of pixels and outputs to loops."""
    tiled = f"pixels / {tiling.height} * {tiling.height}"
    heights = [(tiling.height, 0, tiled), (1, tiled, "pixels")]
    pixels = [(1, 0, "pixels")]
    usual = _uniform_panel(tiling, tiling.vectors, heights if tiling.height > 1 else pixels)
    few = _uniform_panel(tiling, 1, pixels)
    return [
        usual | {"first": 0, "last": "rest", "counted": False},
        few | {"first": "rest", "last": "outputs", "counted": True},
    ]


def _uniform_panel(
    tiling: Tiling, width: int, heights: list[tuple[int, Any, str]]
) -> dict[str, Any]:
    """A panel of that many vectors; `heights` are of its tiles, with their first and last pixel."""
    tiles = [
        _tile(tiling, height, width, width * LANES) | {"first": first, "last": last}
        for height, first, last in heights
    ]
    step_weights = width * LANES * tiling.form.depth
    return {"tiles": tiles, "width": width * LANES, "step_weights": step_weights}


def _tile(tiling: Tiling, height: int, width: int, stored: int) -> dict[str, Any]:
    vectors = [
        {
            "index": j,
            "at": offset(j * LANES),
            "whole": stored - j * LANES >= LANES,
            "lanes": [
                {"index": i, "at": offset(j * LANES + i)}
                for i in range(min(LANES, stored - j * LANES))
            ],
        }
        for j in range(width)
    ]
    rows = [
        {
            "index": i,
            "x_at": offset(i, "pixel"),
            "y_at": offset(i, "stride"),
            "blocks": _blocks(i, width, stored),
            "shorts": _shorts(i, width, stored),
        }
        for i in range(height)
    ]
    return {"height": height, "rows": rows, "vectors": vectors} | _sums(tiling, width)


def _sums(tiling: Tiling, width: int) -> dict[str, Any]:
    """The sums of a pixel, in the widest vectors that a panel fills; `parts` cuts those of more
    than four outputs before they are stored.
    """
    sums, parts = [], []
    begin, lanes = 0, tiling.lanes
    while begin < width:
        while lanes > (width - begin) * LANES:
            lanes //= 2
        count = lanes // LANES
        names = {"name": "a", "type": "v128_t", "load": "wasm_v128_load"}
        names |= {"suffix": "", "splat": "wasm_v128_load32_splat"}
        if count > 1:
            suffix = f"_x{lanes}"
            names = {"name": "s", "type": f"nn{suffix}", "load": f"nn_load{suffix}"}
            names |= {"suffix": suffix, "splat": f"nn_load32_splat{suffix}"}
            cut = [{"index": begin + i, "at": i} for i in range(count)]
            parts += [part | {"sum": begin, "suffix": suffix} for part in cut]
        w_at = offset(begin * LANES * tiling.form.depth)
        sums.append(names | {"index": begin, "at": offset(begin * LANES), "w_at": w_at})
        begin += count
    splats = list({each["suffix"]: each for each in sums}.values())
    return {"sums": sums, "splats": splats, "parts": parts}


def _blocks(row: int, width: int, stored: int) -> list[dict[str, Any]]:
    """The outputs of a pixel as bytes: up to four vectors of sums become one."""
    blocks = []
    for first in range(0, width, 4):
        sums = [f"a{row}{j}" for j in range(first, min(first + 4, width))]
        stores = vector_stores(min(stored - first * LANES, 16), first * LANES)
        blocks.append(
            {"index": first // 4, "count": len(sums), "sums": ", ".join(sums), "stores": stores}
        )
    return blocks


def _shorts(row: int, width: int, stored: int) -> list[dict[str, Any]]:
    """The outputs of a pixel in 16 bits: two vectors of sums become one."""
    blocks = []
    for first in range(0, width, 2):
        sums = [f"a{row}{j}" for j in (first, min(first + 1, width - 1))]
        stores = vector_stores(min(stored - first * LANES, 8), first * LANES, item_bytes=2)
        blocks.append({"index": first // 2, "sums": ", ".join(sums), "stores": stores})
    return blocks


def offset(value: int, unit: str = "") -> str:
    """What adds a multiple of `unit` to a C expression; nothing for 0."""
    if not value:
        return ""
    return f" + {value} * {unit}" if unit and value > 1 else f" + {unit or value}"


def vector_stores(count: int, begin: int, *, item_bytes: int = 1) -> list[dict[str, Any]]:
    """Stores of the first `count` integers of a vector, `begin` on from where the pixel begins."""
    stores: list[dict[str, Any]] = []
    at = 0
    for size in (16, 8, 4, 2, 1):
        items = size // item_bytes
        while items and count - at >= items:
            stores.append(
                {
                    "bits": size * 8,
                    "lane": at // items,
                    "at": offset(begin + at),
                    "whole": size == 16,
                }
            )
            at += items
    return stores
