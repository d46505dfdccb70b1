"""What ``import nn2wasm`` offers; `plan_model` and `compile_model` read as the architecture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from numpy.typing import ArrayLike

from nn2wasm.codegen import SourceTree, render
from nn2wasm.codegen.identifiers import identifier
from nn2wasm.codegen.package import amalgamate, c_package
from nn2wasm.codegen.package_kinds import DEFAULT_PACKAGE, find_package_kind
from nn2wasm.errors import QuantizationError, TargetError
from nn2wasm.estimate import Budget, check_artifact, check_plan
from nn2wasm.files import depfile_text, write_file, write_files
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_import import import_onnx
from nn2wasm.frontends.onnx_model import read_model
from nn2wasm.ir import DType
from nn2wasm.passes import PIPELINE, PassLog, PassOptions, run_passes
from nn2wasm.plan import Plan, make_plan
from nn2wasm.target import FROM_HOST, ArtifactKind, Feed, Optimize, Target, Weights, find_target
from nn2wasm.toolchain import build_artifact, module_sizes

if TYPE_CHECKING:
    import onnx

ModelSource: TypeAlias = Union[str, "os.PathLike[str]", bytes, "onnx.ModelProto"]

DEFAULT_TARGETS = {
    ArtifactKind.WASM: "wasm",
    ArtifactKind.C: "c",
    ArtifactKind.NATIVE: "host",
}
WEIGHTS_SUFFIX = ".weights"
SUFFIXES = {
    ".wasm": ArtifactKind.WASM,
    ".c": ArtifactKind.C,
    ".so": ArtifactKind.NATIVE,
    ".dylib": ArtifactKind.NATIVE,
    ".dll": ArtifactKind.NATIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to compile.

    Attributes:
        shapes: all sizes of inputs whose sizes the model leaves open, by input name.
        fixed: values of inputs that become constants, by input name.
        name: the model's name; that of its file where left out.
        optimize: "speed", "size" or "memory"; what the target is usually made for where left out.
        ram: bytes that the arena may have at most: layers run row by row as far as that needs it.
        weights: "resident" in memory; "flash": they stay in the module, and what a layer needs is
            copied for it, part by part where memory is short; "host": the same from a file
            ``.weights`` that the host reads.
        feed: "whole", or "rows": the host hands the input over row by row, as a camera delivers it.
        state: outputs that an input gets in the next run, the input's name by the output's: the
            host writes it no more, and it is zero at first.
        page_bytes: of a module's memory: 65,536, or 1 for runtimes with custom page sizes.
        wasm_opt: let binaryen's wasm-opt, which must be installed, rewrite modules.
        io_integers: strip float quantizers at the border: the host handles integers.
        limits: what an untrusted model may ask for.
        disabled_passes: names of rewrites to leave out; results stay, cost grows.
        budget: what `compile_model` refuses to exceed.
    """

    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    fixed: Mapping[str, ArrayLike] = field(default_factory=dict)
    name: str = ""
    optimize: Optimize | None = None
    ram: int | None = None
    weights: Weights = "resident"
    feed: Feed = "whole"
    state: Mapping[str, str] = field(default_factory=dict)
    page_bytes: int = 65536
    wasm_opt: bool = False
    io_integers: bool = False
    limits: Limits = field(default_factory=Limits)
    disabled_passes: frozenset[str] = frozenset()
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model up to its plan: all that reports need, before any compiler runs.

    Attributes:
        name: of the model.
        sha256: of the model's file, hexadecimal.
        plan: kernels, constants, memory.
        log: what the passes did.
        sources: the files that were read, the model first; none where it was not given as a file.
    """

    name: str
    sha256: str
    plan: Plan = field(repr=False)
    log: PassLog
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a compilation made.

    Attributes:
        path: the file or folder.
        kind: what it is.
        compiled: the plan behind it.
        total_bytes: of the file, or of all files of a folder.
        memory_bytes: linear memory of a module; the arena of anything else.
        files: what was written, below the folder of `path` or `path` itself where that is one.
    """

    path: Path
    kind: ArtifactKind
    compiled: Compiled = field(repr=False)
    total_bytes: int
    memory_bytes: int
    files: tuple[str, ...] = ()

    @property
    def weight_bytes(self) -> int:
        return self.compiled.plan.weight_bytes

    @property
    def runtime_bytes(self) -> int:
        """Everything beside the weights."""
        return max(0, self.total_bytes - self.weight_bytes)

    @property
    def arena_bytes(self) -> int:
        return self.compiled.plan.memory.arena_bytes


def plan_model(model: ModelSource, target: Target, options: Options | None = None) -> Compiled:
    """Everything up to the C: reads, rewrites, chooses kernels, lays out memory.

    Args:
        model: path, bytes or a parsed ONNX model.
        target: what to plan for.
        options: how.

    Returns:
        The plan; its `target` is the one to build for.

    Raises:
        TargetError: the target cannot be optimized so.
        ModelError: the model cannot be compiled; the subclass says why.
        QuantizationError: scales that mean nothing.
        OverBudget: a limit is exceeded.
    """
    options = options or Options()
    target = target.optimized(options.optimize, wasm_opt=options.wasm_opt)
    target = target.with_weights(options.weights).with_pages(options.page_bytes)
    target = target.with_feed(options.feed)
    onnx_model = read_model(
        model, shapes=options.shapes, fixed=options.fixed, limits=options.limits
    )
    graph = import_onnx(onnx_model, options.limits)
    log = run_passes(graph, PIPELINE, _pass_options(options, target))
    if options.io_integers and all(t.dtype is DType.F32 for t in [*graph.inputs, *graph.outputs]):
        raise QuantizationError(
            "there are no quantizers at the border of this model to strip",
            hint="leave --io int8 out, or quantize the model",
        )
    plan = make_plan(graph, target, options.ram)
    sources = _sources(model, onnx_model.data_files)
    return Compiled(options.name or _name(model), onnx_model.sha256, plan, log, sources)


def generate(compiled: Compiled, *, name: str = "") -> SourceTree:
    """The sources of a planned model; large constants in files of their own where the target
    embeds.
    """
    embed = compiled.plan.target.kind is not ArtifactKind.C
    return render(
        compiled.plan, name=name or compiled.name, model_sha256=compiled.sha256, embed=embed
    )


def compile_model(
    model: ModelSource,
    output: str | os.PathLike[str],
    *,
    target: str | Target | None = None,
    options: Options | None = None,
    package: str | None = None,
    depfile: str | os.PathLike[str] | None = None,
) -> Artifact:
    """Compiles a model to a file or folder. A file that is already right is left alone.

    Args:
        model: path, bytes or a parsed ONNX model.
        output: ``x.wasm``, ``x.c`` (with ``x.h`` beside it), ``x.so``, or a folder for a C package.
        target: name of a target; where left out, the default for that kind of output.
        options: how to compile.
        package: the build system that a folder is for; where left out, cmake.
        depfile: where to write which files the output depends on, for Make and Ninja.

    Raises:
        Nn2wasmError: nothing is written.
    """
    path, kind = Path(output), output_kind(output)
    chosen = _target(target, kind, path)
    is_folder = kind is ArtifactKind.C and path.suffix != ".c"
    if package is not None and not is_folder:
        raise TargetError(
            f"a package is a folder, and '{path.name}' is a file",
            hint="end the output's name with '/', or leave --package out",
        )
    package_kind = find_package_kind(package or DEFAULT_PACKAGE)
    budget = options.budget if options else Budget()
    compiled = plan_model(model, chosen, options)
    check_plan(compiled.plan, budget)
    folder: Path
    files: Mapping[str, str | bytes]
    if is_folder:
        folder, files = path, c_package(generate(compiled), package_kind)
    else:
        folder, files = path.parent, _files_beside(path, compiled, kind)
    contents = [text.encode() if isinstance(text, str) else text for text in files.values()]
    total, memory_bytes = sum(map(len, contents)), compiled.plan.memory.arena_bytes
    if kind is ArtifactKind.WASM:
        memory_bytes = module_sizes(contents[0]).memory_bytes
    if kind is not ArtifactKind.C:
        check_artifact(compiled.plan, budget, total_bytes=total, memory_bytes=memory_bytes)
    if depfile is not None:
        outputs = [(folder / name).as_posix() for name in files]
        text = depfile_text(outputs, compiled.sources)
        write_file(Path(depfile), text, sources=compiled.sources)
    write_files(folder, files, make_folder=is_folder, sources=compiled.sources)
    return Artifact(path, kind, compiled, total, memory_bytes, tuple(files))


def _files_beside(path: Path, compiled: Compiled, kind: ArtifactKind) -> Mapping[str, str | bytes]:
    """The module, library, or C file with its header, by file name; weights of their own beside."""
    if kind is ArtifactKind.C:
        tree = generate(compiled, name=path.stem)
        files: dict[str, str | bytes] = {**amalgamate(tree, path.stem)}
    else:
        tree = generate(compiled)
        files = {path.name: build_artifact(tree, compiled.plan.target)}
    if compiled.plan.target.weights == FROM_HOST:
        files[path.with_suffix(WEIGHTS_SUFFIX).name] = tree.weights
    return files


def output_kind(output: str | os.PathLike[str]) -> ArtifactKind:
    """What a path asks for by its ending; a folder is a C package.

    Raises:
        TargetError: an ending that means nothing here.
    """
    text, path = os.fspath(output), Path(output)
    if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        return ArtifactKind.C
    if path.suffix not in SUFFIXES:
        raise TargetError(
            f"the ending of '{path.name}' does not say what to make",
            facts=[("known", ".wasm, .c, .so, .dylib, .dll, or a folder")],
        )
    return SUFFIXES[path.suffix]


def _target(target: str | Target | None, kind: ArtifactKind, path: Path) -> Target:
    if target is None:
        return find_target(DEFAULT_TARGETS[kind])
    chosen = find_target(target) if isinstance(target, str) else target
    if chosen.kind is not kind:
        raise TargetError(
            f"target {chosen.name} does not make '{path.name}'",
            hint=f"leave --target out, or name a target that makes {kind.value}",
        )
    return chosen


def _pass_options(options: Options, target: Target) -> PassOptions:
    return PassOptions(
        fold_elements=options.limits.fold_elements,
        io_integers=options.io_integers,
        feed_rows=target.feeds_rows,
        states=options.state,
        channel_multiple=target.channel_multiple,
        disabled=options.disabled_passes,
    )


def _name(model: ModelSource) -> str:
    if isinstance(model, str | os.PathLike):
        return Path(model).stem
    name = getattr(getattr(model, "graph", None), "name", "")
    return identifier(name) if name else "model"


def _sources(model: ModelSource, data_files: Sequence[str]) -> tuple[str, ...]:
    """Paths of the model and of its external data, as the caller named the model."""
    if not isinstance(model, str | os.PathLike):
        return ()
    path = Path(model)
    return (path.as_posix(), *((path.parent / name).as_posix() for name in data_files))
