"""From the C of a model to a WebAssembly module or a shared library.

The compiler gets the same flags for every model; what differs between machines is in `Target`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from nn2wasm.codegen.literals import c_string
from nn2wasm.codegen.source_tree import SourceTree
from nn2wasm.errors import InternalError
from nn2wasm.resources import data_folder
from nn2wasm.target import IN_MODULE, ArtifactKind, Target
from nn2wasm.toolchain.promises import ABI_VERSION, finish_module, metadata_text
from nn2wasm.toolchain.stack import stack_need
from nn2wasm.toolchain.wasm_file import PAGE_BYTES, WasmFile
from nn2wasm.toolchain.wasm_opt import run_wasm_opt
from nn2wasm.toolchain.zig import run_zig

RUNTIME_SOURCE = "nn_runtime.c"

UNKNOWN_STACK_BYTES = 8192  # where `stack_need` finds no bound
LEAST_STACK_BYTES = 16  # the stack comes first: without one, a tensor could lie at address 0

COMPILE_FLAGS = (
    "-std=c11",
    "-Wno-c23-extensions",  # #embed, which clang accepts in every mode
    "-ffp-contract=off",  # a*b+c must round twice on every machine
    "-fno-math-errno",  # __builtin_sqrtf is one instruction, without a call for errno
    "-fno-strict-aliasing",  # the arena holds one type after another at an address
    "-fno-sanitize=undefined",
    "-fno-stack-protector",
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fdata-sections",
    "-fomit-frame-pointer",
    "-fno-asynchronous-unwind-tables",
    "-g0",
)
WARNING_FLAGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")

# zig adds -ffreestanding for this machine; with it clang turns neither loops nor memcpy() into
# memory.copy and memory.fill.
WASM_FLAGS = ("-fhosted",)

LINK_FLAGS = (
    "--no-entry",
    "--stack-first",  # an overflow traps instead of overwriting weights
    "--gc-sections",
    "--strip-all",
    "--compress-relocations",  # without, each address and call takes five bytes
    "--no-growable-memory",
    "--export=__heap_base",
    "--export=__data_end",
)


def build_wasm(
    tree: SourceTree,
    target: Target,
    *,
    stack_bytes: int | None = None,
    page_bytes: int = PAGE_BYTES,
    strict: bool = False,
) -> bytes:
    """The linked module, not yet finished (see `finish_module`).

    Args:
        tree: the C of the model.
        target: a machine of kind WASM.
        stack_bytes: for local arrays; a multiple of 16. None: as much as the module can need.
        page_bytes: 65536, or 1 for runtimes with custom page sizes.
        strict: warnings are errors.

    Raises:
        ToolchainError: the compiler or the linker refused.
    """
    with tempfile.TemporaryDirectory(prefix="nn2wasm-") as name:
        folder = Path(name)
        _write(tree.files, folder)
        runtime = data_folder("runtime_c") / "src"
        beside = ["memory.c", *(["weights.c"] if tree.weights else [])]
        sources, exports = _c_files(tree), _including(runtime, "module_exports.c")
        if tree.tiny:  # one with its exports: what they call becomes a part of them
            own = f"static int {tree.name}_run(void *arena);\n" + _including(folder, *sources)
            sources, exports = [], own + exports
        _write({RUNTIME_SOURCE: exports + _including(runtime, *beside)}, folder)
        flags = (
            f"-DNN_FLASH={int(target.weights == IN_MODULE)}",
            *_compile_flags(tree, target, strict=strict),
            *("-isystem", str(runtime / "freestanding"), f"-I{runtime}"),
            *WASM_FLAGS,
            *target.compiler_flags,
        )
        objects = _compile([*sources, RUNTIME_SOURCE], flags, folder)
        if stack_bytes is None:
            need = stack_need(_link(objects, folder, UNKNOWN_STACK_BYTES, page_bytes))
            stack_bytes = UNKNOWN_STACK_BYTES if need is None else max(need, LEAST_STACK_BYTES)
        return _link(objects, folder, stack_bytes, page_bytes)


def _link(objects: Sequence[str], folder: Path, stack_bytes: int, page_bytes: int) -> bytes:
    pages = () if page_bytes == PAGE_BYTES else (f"--page-size={page_bytes}",)
    stack = ("-z", f"stack-size={stack_bytes}")
    run_zig(
        ["wasm-ld", *objects, "-o", "module.wasm", *LINK_FLAGS, *stack, *pages],
        folder,
        doing="link the module",
    )
    return (folder / "module.wasm").read_bytes()


def build_module(tree: SourceTree, target: Target, *, strict: bool = False) -> bytes:
    """A finished WebAssembly module with the metadata of `tree`."""
    linked = build_wasm(tree, target, page_bytes=target.page_bytes, strict=strict)
    if tree.weights and target.weights == IN_MODULE:
        linked = WasmFile.parse(linked).with_passive_data(tree.weights).to_bytes()
    if target.wasm_opt:
        linked = run_wasm_opt(linked, target)
    return finish_module(linked, tree.metadata)


def build_native(tree: SourceTree, target: Target, *, strict: bool = False) -> bytes:
    """A shared library with the functions of a module and ``nn_metadata()``.

    Raises:
        ToolchainError: the compiler or the linker refused.
    """
    with tempfile.TemporaryDirectory(prefix="nn2wasm-") as name:
        folder = Path(name)
        _write(tree.files, folder)
        text = metadata_text({"abi": ABI_VERSION, **tree.metadata})
        runtime = _including(data_folder("runtime_c") / "src", "module_exports.c")
        _write({RUNTIME_SOURCE: runtime + _c_text("nn_metadata_text", text)}, folder)
        sources = [*_c_files(tree), RUNTIME_SOURCE]
        run_zig(
            [
                *("cc", "-shared", "-fPIC", "-s", *sources, "-o", "library.bin"),
                *_compile_flags(tree, target, strict=strict),
                *target.compiler_flags,
            ],
            folder,
            doing="compile the generated C",
        )
        return (folder / "library.bin").read_bytes()


def build_artifact(tree: SourceTree, target: Target, *, strict: bool = False) -> bytes:
    """What `target` ends in: a finished module or a shared library."""
    if target.kind == ArtifactKind.WASM:
        return build_module(tree, target, strict=strict)
    if target.kind == ArtifactKind.NATIVE:
        return build_native(tree, target, strict=strict)
    raise InternalError(f"target '{target.name}' ends in sources, there is nothing to build")


def build_many(trees: Iterable[SourceTree], target: Target, *, strict: bool = False) -> list[bytes]:
    """`build_artifact` of each tree, as many at a time as there are processors."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(lambda tree: build_artifact(tree, target, strict=strict), trees))


def _write(files: Mapping[str, str | bytes], folder: Path) -> None:
    for path, content in files.items():
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or "\\" in path:
            raise InternalError(f"path outside the source tree: {path!r}")
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def _including(folder: Path, *names: str) -> str:
    """C that is the named files: one object instead of several."""
    return "".join(f'#include "{(folder / name).as_posix()}"\n' for name in names)


def _c_files(tree: SourceTree) -> list[str]:
    """The C files of a tree, in a stable order: the linker lays out memory by it."""
    sources = sorted(path for path in tree.files if path.endswith(".c"))
    stems = [PurePosixPath(source).stem for source in (*sources, RUNTIME_SOURCE)]
    if len(set(stems)) != len(stems):
        listed = ", ".join(sources)
        raise InternalError("two C files have the same name", facts=[("files", listed)])
    return sources


def _compile(sources: Sequence[str], flags: Sequence[str], folder: Path) -> list[str]:
    """Object files of `sources`, by one zig each: given several it leaves all but one out."""

    def compile_one(source: str) -> str:
        made = PurePosixPath(source).stem + ".o"
        arguments = ["cc", "-c", source, "-o", made, *flags]
        run_zig(arguments, folder, doing="compile the generated C")
        return made

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(compile_one, sources))


def _compile_flags(tree: SourceTree, target: Target, *, strict: bool) -> Sequence[str]:
    triple = ("-target", target.zig_triple) if target.zig_triple else ()
    return (
        *triple,
        *COMPILE_FLAGS,
        *(WARNING_FLAGS if strict else ("-w",)),
        "-I.",
        f"-I{data_folder('runtime_c') / 'include'}",
        f'-DNN_HEADER="{tree.name}.h"',
        f"-DNN_MODEL={tree.name}",
        f"-DNN_MODEL_UPPER={tree.name.upper()}",
    )


def _c_text(symbol: str, text: str) -> str:
    """A C file that defines `symbol` as `text`; octal escapes keep any content harmless."""
    lines = [f"extern const char {symbol}[];", f"const char {symbol}[] ="]
    for start in range(0, len(text), 64):
        chunk = text[start : start + 64]
        lines.append(f"    {c_string(chunk)}")
    return "\n".join(lines) + ";\n"
