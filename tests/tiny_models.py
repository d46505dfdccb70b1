"""Models written by hand: the smallest C that keeps the contract of a SourceTree."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nn2wasm.codegen.source_tree import SourceTree


def tensor(name: str, dtype: str, *shape: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape), **more}


def tiny_model(
    name: str,
    run: str,
    inputs: Sequence[tuple[dict[str, Any], int]],
    outputs: Sequence[tuple[dict[str, Any], int]],
    *,
    arena_bytes: int = 256,
    prologue: str = "",
    files: dict[str, str | bytes] | None = None,
) -> SourceTree:
    """A tree whose tensors lie at given offsets of the arena.

    Args:
        name: C identifier.
        run: statements of ``<name>_run``; `arena` is an ``unsigned char *``.
        inputs: metadata and byte offset of each.
        outputs: the same.
        arena_bytes: size of the arena.
        prologue: C before the function.
        files: further files.
    """
    upper = name.upper()
    header = f"""\
        #ifndef {upper}_H
        #define {upper}_H
        #define {upper}_ARENA_BYTES {arena_bytes}
        #define {upper}_INPUT_COUNT {len(inputs)}
        #define {upper}_OUTPUT_COUNT {len(outputs)}
        void *{name}_input(void *arena, int index);
        void *{name}_output(void *arena, int index);
        int {name}_run(void *arena);
        #endif
        """
    source = [f'#include "{name}.h"', "#include <stdint.h>", "#include <string.h>", prologue]
    for kind, places in (("input", inputs), ("output", outputs)):
        cases = "".join(f"case {i}: return bytes + {at}; " for i, (_, at) in enumerate(places))
        source.append(
            f"void *{name}_{kind}(void *arena, int index) {{ "
            f"unsigned char *bytes = arena; (void)bytes; "
            f"switch (index) {{ {cases}default: return 0; }} }}"
        )
    source.append(
        f"int {name}_run(void *caller) {{ unsigned char *arena = caller; (void)arena; {run} }}"
    )
    metadata: dict[str, object] = {
        "model": name,
        "version": "0.0.1",
        "target": "wasm",
        "inputs": [info for info, _ in inputs],
        "outputs": [info for info, _ in outputs],
        "arena_bytes": arena_bytes,
        "weight_bytes": 0,
        "macs": 0,
        "model_sha256": "0" * 64,
    }
    own = {f"{name}.h": textwrap.dedent(header), f"{name}.c": "\n".join(source) + "\n"}
    return SourceTree(name, own | (files or {}), arena_bytes, metadata)


def add_one(length: int = 8) -> SourceTree:
    """y = x + 1 on int8, wrapping."""
    return tiny_model(
        "add_one",
        f"int8_t *x = (int8_t *)arena; int8_t *y = x + {length};"
        f" for (int i = 0; i < {length}; i++) {{ y[i] = (int8_t)(x[i] + 1); }} return 0;",
        [(tensor("x", "s8", 1, length, scale=0.5, zero_point=3), 0)],
        [(tensor("y", "s8", 1, length, scale=0.5, zero_point=3), length)],
        arena_bytes=2 * length,
    )


def two_inputs() -> SourceTree:
    """Sum = a + b, difference = a - b on float vectors of three."""
    return tiny_model(
        "two_inputs",
        "float *a = (void *)arena; float *b = (void *)(arena + 16);"
        " float *s = (void *)(arena + 32); float *d = (void *)(arena + 48);"
        " for (int i = 0; i < 3; i++) { s[i] = a[i] + b[i]; d[i] = a[i] - b[i]; } return 0;",
        [(tensor("first", "f32", 3), 0), (tensor("second", "f32", 3), 16)],
        [(tensor("sum", "f32", 3), 32), (tensor("difference", "f32", 3), 48)],
        arena_bytes=64,
    )


def copy_of(dtype: str, c_type: str, *shape: int) -> SourceTree:
    """y = x for any element type."""
    count = 1
    for size in shape:
        count *= size
    half = (count * 8 + 15) // 16 * 16
    return tiny_model(
        f"copy_{dtype}",
        f"memcpy(arena + {half}, arena, sizeof({c_type}) * {count}); return 0;",
        [(tensor("x", dtype, *shape), 0)],
        [(tensor("y", dtype, *shape), half)],
        arena_bytes=2 * half,
    )


def status_of_input() -> SourceTree:
    """Returns its input as status, and divides by zero (a trap) where that is -1."""
    return tiny_model(
        "status",
        "int32_t status; memcpy(&status, arena, 4); if (status == -1) { __builtin_trap(); }"
        " last_status = status; memcpy(arena + 16, arena, 4); return status;",
        [(tensor("status", "s32"), 0)],
        [(tensor("same", "s32"), 16)],
        arena_bytes=32,
        prologue="static int32_t last_status;",
    )


def counter() -> SourceTree:
    """The number of the run."""
    return tiny_model(
        "counter",
        "static int32_t runs; ++runs; memcpy(arena + 16, &runs, 4); return 0;",
        [(tensor("x", "s32"), 0)],
        [(tensor("y", "s32"), 16)],
        arena_bytes=32,
    )


def checked(tree: SourceTree, answer: str, target: str = "wasm") -> SourceTree:
    """The tree with an nn_check() of these statements."""
    header, source = f"{tree.name}.h", f"{tree.name}.c"
    declared = f"int {tree.name}_check(void);"
    files = dict(tree.files)
    files[header] = f"#define {tree.name.upper()}_CHECKED 1\n{declared}\n{files[header]!s}"
    files[source] = f"{files[source]!s}int {tree.name}_check(void) {{ {answer} }}\n"
    return replace(tree, files=files, metadata=dict(tree.metadata, target=target))


def weights_from_blob(weights: bytes) -> SourceTree:
    """y = sum of all weight bytes + x; the weights come in by #embed."""
    run = (
        "int32_t sum; memcpy(&sum, arena, 4);"
        " for (unsigned i = 0; i < sizeof weights; i++) { sum += weights[i]; }"
        " memcpy(arena + 16, &sum, 4); return 0;"
    )
    return tiny_model(
        "blob",
        run,
        [(tensor("x", "s32", 1), 0)],
        [(tensor("y", "s32", 1), 16)],
        arena_bytes=32,
        prologue='static const uint8_t weights[] = {\n#embed "weights.bin"\n};',
        files={"weights.bin": weights},
    )
