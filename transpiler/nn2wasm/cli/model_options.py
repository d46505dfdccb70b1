"""Options of all verbs that read an ONNX model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING

from nn2wasm.cli.quantities import byte_count, decimal_count
from nn2wasm.frontends.limits import Limits
from nn2wasm.target import FEEDS, OPTIMIZE, WEIGHTS

if TYPE_CHECKING:
    from nn2wasm.api import Options
    from nn2wasm.ir import Array

Shape = tuple[str, tuple[int, ...]]
LIMITS = tuple(field.name.replace("_", "-") for field in fields(Limits))


def add_arguments(parser: argparse.ArgumentParser, *, target: str) -> None:
    """Adds the options.

    Args:
        parser: of a verb.
        target: what the help says of the default target.
    """
    group = parser.add_argument_group("how to compile")
    group.add_argument("--target", metavar="NAME", help=f"see `nn2wasm targets`; {target}")
    group.add_argument(
        "--shape",
        metavar="NAME=1,3,96,96",
        action="append",
        default=[],
        type=_shape,
        help="all sizes of an input whose sizes the model leaves open; may be repeated",
    )
    group.add_argument(
        "--fix",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_fixed,
        help="make an input a constant: a number, numbers between commas, a list in brackets, or "
        "@file.npy; may be repeated",
    )
    group.add_argument(
        "--io",
        choices=("float", "int8"),
        default="float",
        help="int8: take float quantizers off inputs and outputs, the host handles integers",
    )
    group.add_argument(
        "--optimize",
        choices=OPTIMIZE,
        help="few milliseconds, few bytes, or a small arena (layers run together row by row, as "
        "C and modules for interpreters always do unless `speed` is asked for); "
        "`nn2wasm targets` has the default of each target",
    )
    group.add_argument(
        "--wasm-opt",
        action="store_true",
        help="let wasm-opt of binaryen, where installed, rewrite the module",
    )
    group.add_argument("--name", default="", help="name of the model; that of its file by default")
    group.add_argument(
        "--limit",
        metavar="WHAT=N",
        action="append",
        type=limit,
        default=[],
        help=f"how much a model may ask for before it is refused, in place of the usual: "
        f"{', '.join(LIMITS)} (docs/security.md)",
    )
    _add_memory(parser)


def limit(text: str) -> tuple[str, int]:
    """A field of `Limits` and its value: fold-elements=64M."""
    name, sign, value = text.partition("=")
    if not sign or name not in LIMITS:
        near = get_close_matches(name, LIMITS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise argparse.ArgumentTypeError(f"{text!r} is not WHAT=N{hint}")
    count = byte_count if name.endswith("bytes") else decimal_count
    return name.replace("-", "_"), count(value)


def _add_memory(parser: argparse.ArgumentParser) -> None:
    """What says where tensors and constants are while the network runs."""
    group = parser.add_argument_group("memory")
    group.add_argument(
        "--ram",
        metavar="BYTES",
        type=byte_count,
        help="bytes that the arena may have at most, e.g. 36K: layers run row by row as far as it "
        "takes",
    )
    group.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="resident",
        help="where constants are during a run: in memory; in the module, copied layer by layer "
        "(flash); or in a file .weights that the host reads",
    )
    group.add_argument(
        "--feed",
        choices=FEEDS,
        default="whole",
        help="rows: the host hands the input over row by row, as a camera delivers it",
    )
    group.add_argument(
        "--state",
        metavar="OUTPUT=INPUT",
        action="append",
        default=[],
        type=_state,
        help="the input is what the output was in the run before, zero at first; may be repeated",
    )
    group.add_argument(
        "--page-size",
        metavar="BYTES",
        type=positive,
        default=65536,
        help="1 for runtimes with custom page sizes: memory of exactly what is needed",
    )


def read(arguments: argparse.Namespace) -> Options:
    """The options that `add_arguments` added, as the API wants them."""
    from nn2wasm.api import Options

    limits = Limits(**dict(arguments.limit))
    return Options(
        shapes=dict(arguments.shape),
        fixed=dict(arguments.fix),
        name=arguments.name,
        optimize=arguments.optimize,
        ram=arguments.ram,
        weights=arguments.weights,
        feed=arguments.feed,
        state=dict(arguments.state),
        page_bytes=arguments.page_size,
        wasm_opt=arguments.wasm_opt,
        io_integers=arguments.io == "int8",
        limits=limits,
    )


def _shape(text: str) -> Shape:
    name, found, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split(",")) if sizes else ()
    except ValueError:
        shape = (0,)
    if not found or not name or any(size < 1 for size in shape):
        raise argparse.ArgumentTypeError(f"{text!r} is not like image=1,3,96,96")
    return name, shape


def _fixed(text: str) -> tuple[str, Array]:
    import numpy as np

    name, found, value = text.rpartition("=")
    if not found or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not like axes=0,1 or steps=@steps.npy")
    try:
        if value.startswith("@"):
            return name, np.load(value[1:], allow_pickle=False)
        listed = value if value.lstrip().startswith("[") or "," not in value else f"[{value}]"
        return name, np.asarray(json.loads(listed))
    except (OSError, ValueError, EOFError) as error:
        problem = f"{text!r}: {str(error).splitlines()[0]}"
        raise argparse.ArgumentTypeError(problem) from error


def _state(text: str) -> tuple[str, str]:
    output, _, kept = text.partition("=")
    if not output or not kept:
        raise argparse.ArgumentTypeError(f"{text!r} is not like h_out=h_in")
    return output, kept


def _number(least: float, kind: Callable[[str], float], text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = float("nan")
    if not value >= least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {least:g} or more")
    return value


def positive(text: str) -> int:
    """A whole number above zero, for argparse."""
    return int(_number(1, int, text))


def not_negative(text: str) -> float:
    """A number of zero or more, for argparse."""
    return _number(0, float, text)
