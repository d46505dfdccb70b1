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

Optimize: TypeAlias = Literal["speed", "size"]
OPTIMIZE: tuple[str, ...] = get_args(Optimize)
SMALL = "small"
"""What kernels need that exist for small modules."""


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
        optimize: what modules are made for: few milliseconds or few bytes.
        speed_flags: compiler flags for the one.
        size_flags: for the other.
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
    optimize: Optimize = "speed"
    speed_flags: tuple[str, ...] = ("-O3",)
    size_flags: tuple[str, ...] = ("-Os",)
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

    @property
    def offers(self) -> frozenset[str]:
        """All that kernels may need."""
        return self.features | self.traits | ({SMALL} if self.optimize == "size" else frozenset())

    def optimized(self, optimize: Optimize | None, *, wasm_opt: bool = False) -> Target:
        """The target for modules that are to be fast or small.

        Args:
            optimize: None: what the target is usually made for.
            wasm_opt: let wasm-opt rewrite the modules.

        Raises:
            TargetError: neither fast nor small; wasm-opt where there is no module.
        """
        if optimize is not None and optimize not in OPTIMIZE:
            known = [("known", ", ".join(OPTIMIZE))]
            raise TargetError(f"cannot optimize for {optimize!r}", facts=known)
        if wasm_opt and self.kind is not ArtifactKind.WASM:
            raise TargetError(f"wasm-opt has no module to rewrite: {self.name} makes none")
        return replace(self, optimize=optimize or self.optimize, wasm_opt=wasm_opt)


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
    ),
    Target(
        name="host",
        summary="shared library for the machine that runs nn2wasm",
        kind=ArtifactKind.NATIVE,
        zig_flags=("-march=native",),
        features=frozenset({"simd128", "native"}),
        alignment=16,
        channel_multiple=8,
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
