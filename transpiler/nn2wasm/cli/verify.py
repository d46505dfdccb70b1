"""Compare a compiled model with a reference: onnxruntime without optimizations, else onnx itself.

Outputs are compared over all samples, integers in steps of their quantizer. Where they differ by
more than a step, the layers are looked at: single roundings that add up are no fault, a layer that
is off by itself is. With --layers every layer runs by itself on the reference's values, so that one
that differs is itself at fault. Random inputs come from a fixed seed: floats uniform in 0…1,
integers of 8 and 16 bits in their whole range, larger ones in 0…9.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nn2wasm.cli import model_options
from nn2wasm.cli.output import Progress, print_json
from nn2wasm.cli.table import fields, harmless, shape, table
from nn2wasm.errors import VerificationFailed

if TYPE_CHECKING:
    from nn2wasm.tools.difference import Difference, Tolerance
    from nn2wasm.tools.verify import OutputReport, VerifyReport
    from nn2wasm.tools.verify_layers import LayersReport

HEADINGS = ("max", "mean", "differ")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="model.onnx")
    parser.add_argument(
        "module", metavar="model.wasm", nargs="?", help="compiled in memory where left out"
    )
    group = parser.add_argument_group("what to compare")
    group.add_argument(
        "--samples", metavar="x.npz", help="inputs, as for `nn2wasm run`; random where left out"
    )
    group.add_argument(
        "--count",
        metavar="N",
        type=model_options.positive,
        help="at most that many samples; by default all of the file, or 10 random ones",
    )
    group.add_argument("--layers", action="store_true", help="each layer by itself")
    group.add_argument(
        "--steps",
        metavar="N",
        type=model_options.not_negative,
        help="largest difference of integers that passes, in steps (1)",
    )
    group.add_argument(
        "--tolerance",
        metavar="R",
        type=model_options.not_negative,
        help="largest difference of floats that passes, as a share of their range (1e-4)",
    )
    group.add_argument(
        "--engine",
        choices=("onnxruntime", "onnx"),
        default="",
        help="the reference; by default onnxruntime where it is installed",
    )
    model_options.add_arguments(parser, target="wasm by default")
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    if arguments.layers and arguments.module is not None:
        arguments.usage_error("--layers compiles each layer anew: leave the module out")
    report = _explained(_report(arguments), arguments)
    if arguments.json:
        print_json(report)
        return 0 if report.passed else VerificationFailed.exit_code
    print(_text(report), flush=True)
    _require(report)
    return 0


def _report(arguments: argparse.Namespace) -> VerifyReport | LayersReport:
    from nn2wasm.tools.verify import DEFAULT_TARGET, verify_model
    from nn2wasm.tools.verify_layers import verify_layers

    with Progress("reading the model") as progress:
        if arguments.layers:
            return verify_layers(
                arguments.model,
                samples=arguments.samples,
                count=arguments.count,
                tolerance=_tolerance(arguments),
                target=arguments.target or DEFAULT_TARGET,
                options=model_options.read(arguments),
                engine=arguments.engine,
                progress=progress,
            )
        return verify_model(
            arguments.model,
            arguments.module,
            samples=arguments.samples,
            count=arguments.count,
            tolerance=_tolerance(arguments),
            target=arguments.target or DEFAULT_TARGET,
            options=model_options.read(arguments),
            engine=arguments.engine,
            progress=progress,
        )


def _explained(
    report: VerifyReport | LayersReport, arguments: argparse.Namespace
) -> VerifyReport | LayersReport:
    """The report, after a look at the layers where outputs differ by steps and no limit was set."""
    from nn2wasm.tools.verify import VerifyReport
    from nn2wasm.tools.verify_layers import explain

    if not isinstance(report, VerifyReport) or arguments.steps is not None:
        return report
    with Progress("looking at the layers") as progress:
        return explain(
            report,
            arguments.model,
            arguments.module,
            samples=arguments.samples,
            options=model_options.read(arguments),
            engine=arguments.engine,
            progress=progress,
        )


def _tolerance(arguments: argparse.Namespace) -> Tolerance:
    from nn2wasm.tools.difference import Tolerance

    usual = Tolerance()
    return Tolerance(
        steps=usual.steps if arguments.steps is None else arguments.steps,
        relative=usual.relative if arguments.tolerance is None else arguments.tolerance,
    )


def _require(report: VerifyReport | LayersReport) -> None:
    from nn2wasm.tools.verify import VerifyReport, require_passed
    from nn2wasm.tools.verify_layers import require_layers_passed

    if isinstance(report, VerifyReport):
        require_passed(report)
    else:
        require_layers_passed(report)


def _text(report: VerifyReport | LayersReport) -> str:
    from nn2wasm.tools.verify import VerifyReport

    head = [
        ("model", f"{harmless(report.model)} for {harmless(report.target)}"),
        ("against", report.reference),
        ("samples", f"{report.sample_count} ({harmless(report.samples)})"),
        *(("note", note) for note in report.notes),
    ]
    if isinstance(report, VerifyReport):
        return f"{fields(head)}\n\n{_outputs(report)}"
    head.append(("layers", _summary(report)))
    return f"{fields(head)}\n\n{_layers(report)}"


def _summary(report: LayersReport) -> str:
    failed = sum(not layer.difference.passed for layer in report.layers)
    merged = sum(len(layer.with_layers) for layer in report.layers)
    text = f"{report.layer_count}, of which {failed} beyond the tolerance"
    if merged:
        text += f"; {merged} together with the one behind"
    if report.unchecked:
        text += f"; {len(report.unchecked)} not compared: "
        text += ", ".join(f"{index} {op}" for index, op in report.unchecked)
    return text


def _outputs(report: VerifyReport) -> str:
    rows = [
        (
            harmless(output.name),
            f"{output.dtype} {shape(output.shape)}",
            *_cells(output.difference),
            _agreement(output.difference),
            _verdict(report, output),
        )
        for output in report.outputs
    ]
    return table(("output", "type", *HEADINGS, "top-1", ""), rows, right=(2, 3, 4, 5))


def _verdict(report: VerifyReport, output: OutputReport) -> str:
    if output.difference.passed:
        return "ok"
    return "rounding" if report.passed else "differs"


def _layers(report: LayersReport) -> str:
    rows = [
        (
            "+".join(map(str, [*layer.with_layers, layer.index])),
            layer.op,
            layer.kernel,
            f"{layer.dtype} {shape(layer.shape)}",
            *_cells(layer.difference),
            "ok" if layer.difference.passed else "first" if index == report.first else "differs",
            harmless(layer.tensor),
        )
        for index, layer in enumerate(report.layers)
    ]
    headings = ("#", "op", "kernel", "output", *HEADINGS, "", "tensor")
    return table(headings, rows, right=(0, 4, 5, 6))


def _cells(difference: Difference) -> tuple[str, str, str]:
    """Largest and mean difference, and the share that differs."""
    maximum = f"{difference.maximum:.3g}"
    if difference.maximum:
        maximum += f" {difference.unit}"
    share = difference.differing / max(1, difference.elements)
    differing = f"{share:.2%}" if difference.differing else "none"
    return maximum, f"{difference.mean:.2g}", differing


def _agreement(difference: Difference) -> str:
    if difference.top1 is None:
        return ""
    return f"{difference.top1} of {difference.samples}"
