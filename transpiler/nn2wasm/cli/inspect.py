"""Show what a model will become, layer by layer, or what a module is. Needs no compiler."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nn2wasm.cli import model_options
from nn2wasm.cli.output import print_json
from nn2wasm.cli.table import count, fields, harmless, shape, table
from nn2wasm.errors import quote

if TYPE_CHECKING:
    from nn2wasm.tools.inspect import LayerReport, ModelReport, ModuleReport, PortReport

WASM_MAGIC = b"\0asm"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="model.onnx|model.wasm")
    parser.add_argument(
        "--refused", action="store_true", help="show why each layer did not get another kernel"
    )
    model_options.add_arguments(parser, target="wasm by default")


def run(arguments: argparse.Namespace) -> int:
    from nn2wasm.tools.inspect import inspect_model, inspect_module

    module = _module(arguments.file)
    if module is not None:
        described = inspect_module(module)
        if arguments.json:
            print_json(described)
        else:
            print(_module_text(described))
        return 0
    options = model_options.read(arguments)
    report = inspect_model(arguments.file, arguments.target or "wasm", options)
    if arguments.json:
        print_json(report)
    else:
        print(_model_text(report, refused=arguments.refused))
    return 0


def _module(path: str) -> bytes | None:
    """The file's content where it is WebAssembly; anything else is for the model's reader."""
    try:
        with open(path, "rb") as file:
            if file.read(len(WASM_MAGIC)) != WASM_MAGIC:
                return None
            return WASM_MAGIC + file.read()
    except OSError:
        return None


def _model_text(report: ModelReport, *, refused: bool) -> str:
    operators = ", ".join(f"{number} {name}" for name, number in report.operators.items())
    room = report.arena_bytes - report.arena_floor_bytes
    above = "the least possible" if room <= 0 else f"{room:,} above the least possible"
    ran = ", ".join(f"{name} {number}" for name, number in report.passes if number)
    rows = [
        ("model", f"{harmless(report.name)} for {report.target}, optimized for {report.optimize}")
    ]
    rows += [("made by", harmless(report.producer))] if report.producer else []
    rows += [("input", _port(port)) for port in report.inputs]
    rows += [("output", _port(port)) for port in report.outputs]
    rows += [
        ("operators", operators),
        ("work", f"{count(report.macs)} MAC in {len(report.layers)} layers"),
        ("weights", f"{report.weight_bytes:,} bytes"),
        ("arena", f"{report.arena_bytes:,} bytes, {above} for these kernels in this order"),
        ("passes", ran or "nothing to do"),
    ]
    parts = [fields(rows), "", _layers(report.layers)]
    if refused:
        parts += ["", _refusals(report.layers)]
    return "\n".join(parts)


def _port(port: PortReport) -> str:
    text = f"{harmless(port.name)}  {port.dtype} {shape(port.shape)}"
    if port.scale is not None:
        text += f"  real = (q - {port.zero_point}) * {port.scale:.6g}"
    return text


def _layers(layers: tuple[LayerReport, ...]) -> str:
    rows = [
        (
            str(layer.index),
            layer.op,
            layer.kernel,
            f"{layer.dtype} {shape(layer.shape)}",
            count(layer.macs) if layer.macs else "",
            _weights(layer),
            f"{layer.arena_offset:,}",
            harmless(layer.nodes[0]),
        )
        for layer in layers
    ]
    headings = ("#", "op", "kernel", "output", "MAC", "weights", "offset", "node")
    return table(headings, rows, right=(0, 4, 5, 6))


def _weights(layer: LayerReport) -> str:
    """Bytes of constants, and in how many parts they come where that is more than one."""
    if not layer.weight_bytes:
        return ""
    return f"{layer.weight_bytes:,}" + (f" in {layer.parts}" if layer.parts > 1 else "")


def _refusals(layers: tuple[LayerReport, ...]) -> str:
    rows = [
        (str(layer.index), layer.op, kernel, reason)
        for layer in layers
        for kernel, reason in layer.refused
    ]
    if not rows:
        return "every layer got the first kernel of its table"
    return table(("#", "op", "refused", "because"), rows, right=(0,))


def _module_text(report: ModuleReport) -> str:
    told, sizes = report.metadata, report.sizes
    rows = [("model", f"{harmless(str(told['model']))} for {harmless(str(told['target']))}")]
    rows += [("made by", f"nn2wasm {harmless(str(told['version']))}")]
    for kind in ("input", "output"):
        rows += [(kind, _told(entry)) for entry in told[f"{kind}s"]]
    rows += [
        ("file", f"{sizes.total:,} bytes: {sizes.data:,} data, {sizes.code:,} code in "
                 f"{sizes.function_count} functions, {sizes.custom:,} description"),
        ("work", f"{count(int(told['macs']))} MAC"),
        ("weights", f"{int(told['weight_bytes']):,} bytes"),
        ("arena", f"{int(told['arena_bytes']):,} bytes"),
        ("memory", f"{sizes.memory_bytes:,} bytes, {_pages(report)}"),
        ("exports", ", ".join(harmless(name) for name, _ in report.exports)),
        ("made from", f"SHA-256 {quote(str(told['model_sha256']))[1:-1]}"),
    ]  # fmt: skip
    rows += [("broken", harmless(text)) for text in report.broken_promises]
    return fields(rows)


def _told(entry: dict[str, object]) -> str:
    from nn2wasm.loaders import TensorInfo
    from nn2wasm.tools.inspect import PortReport

    info = TensorInfo.from_metadata(entry)
    return _port(
        PortReport(
            name=info.name,
            dtype=info.dtype.value,
            shape=info.shape,
            scale=info.scale,
            zero_point=info.zero_point,
        )
    )


def _pages(report: ModuleReport) -> str:
    shown = [
        f"{least} page{'' if least == 1 else 's'}" + (" fixed" if least == most else "")
        for least, most in report.memory_pages
    ]
    return ", ".join(shown) or "none"
