"""What a machine can do, as data. Nobody asks "is this wasm?" anywhere else.

`features` are instruction sets, `traits` say how the target runs; a kernel is allowed where its
`needs` are among them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum

from nn2wasm.errors import UnknownTarget


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
    features: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()
    alignment: int = 4
    channel_multiple: int = 1


# Loop strength reduction keeps the engine from folding constant offsets into loads.
SIMD_FLAGS = ("-O3", "-mllvm", "-disable-lsr")

TARGETS: tuple[Target, ...] = (
    Target(
        name="wasm",
        summary="every runtime from wasm3 up: no SIMD, the smallest module",
        kind=ArtifactKind.WASM,
        zig_triple="wasm32-freestanding",
        zig_flags=("-mcpu=lime1", "-Os"),
        traits=frozenset({"interp"}),
    ),
    Target(
        name="wasm-simd128",
        summary="Node, browsers, edge workers: 128-bit SIMD",
        kind=ArtifactKind.WASM,
        zig_triple="wasm32-freestanding",
        zig_flags=("-mcpu=lime1+simd128", *SIMD_FLAGS),
        features=frozenset({"simd128"}),
        alignment=16,
        channel_multiple=8,
    ),
    Target(
        name="wasm-simd128-cranelift",
        summary="wasmtime and what embeds it: 128-bit SIMD",
        kind=ArtifactKind.WASM,
        zig_triple="wasm32-freestanding",
        zig_flags=("-mcpu=lime1+simd128", *SIMD_FLAGS),
        features=frozenset({"simd128"}),
        traits=frozenset({"slow_splat"}),
        alignment=16,
        channel_multiple=8,
    ),
    Target(
        name="wasm-relaxed",
        summary="new browsers, Node 22: relaxed SIMD; offer wasm-simd128 beside it",
        kind=ArtifactKind.WASM,
        zig_triple="wasm32-freestanding",
        zig_flags=("-mcpu=lime1+simd128+relaxed_simd", *SIMD_FLAGS),
        features=frozenset({"simd128", "relaxed"}),
        alignment=16,
        channel_multiple=8,
    ),
    Target(
        name="c",
        summary="portable C11 sources, nothing compiled",
        kind=ArtifactKind.C,
        zig_flags=("-O2",),
    ),
    Target(
        name="host",
        summary="shared library for the machine that runs nn2wasm",
        kind=ArtifactKind.NATIVE,
        zig_flags=("-O3", "-march=native"),
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
