"""What a machine can do, as data. Nobody asks "is this wasm?" anywhere else.

`features` are instruction sets, `traits` say how the target runs, `optimize` says what for; a
kernel is allowed where the target offers what it `needs`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, TypeAlias, get_args

from nn2wasm.errors import TargetError, UnknownTarget

Weights: TypeAlias = Literal["resident", "flash", "host"]
WEIGHTS: tuple[str, ...] = get_args(Weights)
Feed: TypeAlias = Literal["whole", "rows"]
FEEDS: tuple[str, ...] = get_args(Feed)
FROM_HOST: Weights = "host"
IN_MODULE: Weights = "flash"
RESIDENT: Weights = "resident"
Optimize: TypeAlias = Literal["speed", "size", "memory"]
OPTIMIZE: tuple[Optimize, ...] = get_args(Optimize)
SMALL = "small"
"""What kernels need that exist for small modules."""
LEAST_MEMORY = "least_memory"
"""What kernels need that exist for small arenas."""


class ArtifactKind(Enum):
    """What a build for a target ends in."""

    WASM = "wasm"
    C = "c"
    NATIVE = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A machine to build for.

    Attributes:
        name: as typed after ``--target``.
        summary: one line for ``nn2wasm targets``.
        kind: what the build ends in.
        zig_triple: machine for zig, empty for the one that runs nn2wasm.
        zig_flags: further compiler flags.
        optimize: what code is made for: few milliseconds or few bytes.
        speed_flags: compiler flags for the one.
        size_flags: for the other.
        least_memory: layers run row by row wherever that needs less memory; where memory is as near
            as a cache that costs nothing, so it is the usual way there.
        feeds_rows: the host hands the input over row by row.
        page_bytes: of a module's memory: 65,536, or 1 for runtimes with custom page sizes.
        weights: where constants are while the network runs: "resident" in memory, or copied from
            elsewhere call by call; "flash": from a passive segment of the module, "host": by a
            function of the host.
        cache_bytes: tensors above it are better not whole: 0 where memory is as near as a cache.
        wasm_opt: binaryen's wasm-opt has a go at linked modules.
        features: instruction sets that kernels may use; "native": what runtime_c's native_simd.h
            makes of those of any machine but WebAssembly.
        traits: how it runs; kernels may prefer some.
        alignment: of tensors in the arena, in bytes.
        channel_multiple: numbers of channels that kernels like best.
    """

    name: str
    summary: str
    kind: ArtifactKind
    zig_triple: str = ""
    zig_flags: tuple[str, ...] = ()
    optimize: Literal["speed", "size"] = "speed"
    speed_flags: tuple[str, ...] = ("-O3",)
    size_flags: tuple[str, ...] = ("-Os",)
    least_memory: bool = False
    weights: Weights = RESIDENT
    feeds_rows: bool = False
    page_bytes: int = 65536
    cache_bytes: int = 0
    wasm_opt: bool = False
    features: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()
    alignment: int = 4
    channel_multiple: int = 1

    @property
    def compiler_flags(self) -> tuple[str, ...]:
        """All flags that are the target's own."""
        chosen = self.speed_flags if self.optimize == "speed" else self.size_flags
        return (*self.zig_flags, *chosen)

    def with_weights(self, weights: Weights) -> Target:
        """The target with constants somewhere else.

        Raises:
            TargetError: there is no such place, or not on this target.
        """
        if weights not in WEIGHTS:
            raise TargetError(f"no weights {weights!r}", facts=[("known", ", ".join(WEIGHTS))])
        if weights == IN_MODULE and self.kind is not ArtifactKind.WASM:
            raise TargetError(
                f"--weights flash is for modules, {self.name} makes none",
                hint="C keeps constants in flash anyway; NN_WEIGHTS places them",
            )
        if weights == FROM_HOST and self.kind is ArtifactKind.NATIVE:
            raise TargetError("--weights host is for modules and C, not for shared libraries")
        return replace(self, weights=weights)

    def with_feed(self, feed: str) -> Target:
        """The target with the input handed over whole, or row by row in the least memory.

        Raises:
            TargetError: neither.
        """
        if feed not in FEEDS:
            raise TargetError(f"cannot feed {feed!r}", facts=[("known", ", ".join(FEEDS))])
        if feed == "whole":
            return self
        return replace(self, feeds_rows=True, least_memory=True)

    def with_pages(self, page_bytes: int) -> Target:
        """The target with pages of that size.

        Raises:
            TargetError: not a size that the proposal of custom page sizes has; no module.
        """
        if page_bytes not in (1, 65536):
            raise TargetError(f"no pages of {page_bytes} bytes", facts=[("known", "1, 65536")])
        if page_bytes == 1 and self.kind is not ArtifactKind.WASM:
            raise TargetError(f"{self.name} makes no module, there are no pages")
        return replace(self, page_bytes=page_bytes)

    @property
    def optimized_for(self) -> str:
        """What it is optimized for, in words."""
        return f"{self.optimize} and memory" if self.least_memory else self.optimize

    @property
    def offers(self) -> frozenset[str]:
        """All that kernels may need."""
        aims = {SMALL: self.optimize == "size", LEAST_MEMORY: self.least_memory}
        return self.features | self.traits | {aim for aim, wanted in aims.items() if wanted}

    def optimized(self, optimize: Optimize | None, *, wasm_opt: bool = False) -> Target:
        """The target for code that is to be fast or small, or to need little memory.

        Args:
            optimize: None: what the target is usually made for; "memory": the same code, layers run
                row by row; "speed": row by row only where that is faster.
            wasm_opt: let wasm-opt rewrite the modules.

        Raises:
            TargetError: none of these; wasm-opt where there is no module.
        """
        if optimize is not None and optimize not in OPTIMIZE:
            known = [("known", ", ".join(OPTIMIZE))]
            raise TargetError(f"cannot optimize for {optimize!r}", facts=known)
        if wasm_opt and self.kind is not ArtifactKind.WASM:
            raise TargetError(f"wasm-opt has no module to rewrite: {self.name} makes none")
        chosen = replace(self, wasm_opt=wasm_opt)
        if optimize is None:
            return chosen
        if optimize == "memory":
            return replace(chosen, least_memory=True)
        least_memory = chosen.least_memory and optimize == "size"
        return replace(chosen, optimize=optimize, least_memory=least_memory)


CACHE_BYTES = 2**20
"""A second-level cache, as laptops, phones and servers have it."""
KEEP_OFFSETS = ("-mllvm", "-disable-lsr")
"""Loop strength reduction takes constant offsets out of loads, which cost nothing there."""
FOLDING_FLAGS = ("-O3", *KEEP_OFFSETS)

SIMD128 = Target(
    name="wasm-simd128",
    summary="Node, browsers, edge workers: 128-bit SIMD",
    kind=ArtifactKind.WASM,
    zig_triple="wasm32-freestanding",
    zig_flags=("-mcpu=lime1+simd128",),
    speed_flags=FOLDING_FLAGS,
    features=frozenset({"simd128"}),
    alignment=16,
    channel_multiple=8,
    cache_bytes=CACHE_BYTES,
)


# Even with an FPU, floats take 30 instructions more from a sum to a byte.
FIRMWARE = frozenset({"scalar_core", "fixed_point"})


def _cortex_m(name: str, cpu: str, summary: str, *, hard: bool, offers: str = "") -> Target:
    """A Cortex-M core: C sources, and how zig compiles them for it.

    Args:
        name: Arm's name of the core, lower case.
        cpu: zig's name of the core with its extensions.
        summary: what people call chips with it.
        hard: it has an FPU, and floats travel in its registers.
        offers: its instruction sets, one blank between them.
    """
    return Target(
        name=name,
        summary=f"{summary}: C11 sources",
        kind=ArtifactKind.C,
        zig_triple="thumb-freestanding-eabihf" if hard else "thumb-freestanding-eabi",
        zig_flags=(f"-mcpu={cpu}", "-fhosted"),  # a memcpy of four bytes is a load
        speed_flags=("-O2",),
        features=frozenset(offers.split()),
        traits=FIRMWARE if hard else FIRMWARE | {"no_fpu"},
        least_memory=True,
    )


CORTEX_M = (
    _cortex_m("cortex-m0", "cortex_m0", "RP2040, STM32F0, nRF51", hard=False),
    _cortex_m("cortex-m3", "cortex_m3", "STM32F1, SAM3X", hard=False),
    _cortex_m("cortex-m4", "cortex_m4+vfp4d16sp", "STM32F4, nRF52840", hard=True, offers="dsp"),
    _cortex_m("cortex-m7", "cortex_m7+fp_armv8d16sp", "STM32H7", hard=True, offers="dsp"),
    _cortex_m(
        "cortex-m33", "cortex_m33+dsp+fp_armv8d16sp", "STM32U5, RP2350", hard=True, offers="dsp"
    ),
    _cortex_m(
        "cortex-m55", "cortex_m55+fp_armv8d16+mve_fp", "STM32N6", hard=True, offers="dsp mve"
    ),
    _cortex_m("cortex-m85", "cortex_m85+fp_armv8d16+mve_fp", "RA8", hard=True, offers="dsp mve"),
)

TARGETS: tuple[Target, ...] = (
    Target(
        name="wasm",
        summary="every runtime from wasm3 up: no SIMD, the smallest module",
        kind=ArtifactKind.WASM,
        zig_triple="wasm32-freestanding",
        zig_flags=("-mcpu=lime1",),
        optimize="size",
        speed_flags=FOLDING_FLAGS,
        size_flags=("-Os", *KEEP_OFFSETS),
        traits=frozenset({"interp"}),
        alignment=8,
        least_memory=True,
    ),
    SIMD128,
    replace(
        SIMD128,
        name="wasm-simd128-cranelift",
        summary="wasmtime and what embeds it: 128-bit SIMD",
        traits=frozenset({"slow_splat"}),
    ),
    replace(
        SIMD128,
        name="wasm-relaxed",
        summary="new browsers, Node 22: relaxed SIMD; offer wasm-simd128 beside it",
        zig_flags=("-mcpu=lime1+simd128+relaxed_simd",),
        features=frozenset({"simd128", "relaxed"}),
    ),
    Target(
        name="c",
        summary="portable C11 sources, nothing compiled",
        kind=ArtifactKind.C,
        speed_flags=("-O2",),
        least_memory=True,
    ),
    *CORTEX_M,
    Target(
        name="rv32imc",
        summary="RISC-V without an FPU (ESP32-C3, CH32V): C11 sources",
        kind=ArtifactKind.C,
        zig_triple="riscv32-freestanding-ilp32",
        zig_flags=("-mcpu=generic_rv32+m+c", "-fhosted"),
        speed_flags=("-O2",),
        traits=FIRMWARE | {"no_fpu"},
        least_memory=True,
    ),
    Target(
        name="esp32",
        summary="Xtensa LX6 and LX7 (ESP32, ESP32-S3): C11 sources",
        kind=ArtifactKind.C,
        speed_flags=("-O2",),
        traits=frozenset({"scalar_core"}),
        least_memory=True,
    ),
    Target(
        name="host",
        summary="shared library for the machine that runs nn2wasm",
        kind=ArtifactKind.NATIVE,
        zig_flags=("-march=native",),
        features=frozenset({"simd128", "native"}),
        alignment=16,
        channel_multiple=8,
        cache_bytes=CACHE_BYTES,
    ),
)


def find_target(name: str) -> Target:
    """The target of that name.

    Raises:
        UnknownTarget: there is none; the text lists them and suggests the nearest.
    """
    for target in TARGETS:
        if target.name == name:
            return target
    names = [target.name for target in TARGETS]
    nearest = difflib.get_close_matches(name, names, n=1)
    raise UnknownTarget(
        f"unknown target {name!r}",
        facts=[("known", ", ".join(names))],
        hint=f"did you mean {nearest[0]!r}?" if nearest else "",
    )
