"""Run a compiled model (.wasm, .so) on arrays.

An .npz names its arrays as the inputs, or in_0, in_1 …; for one input any single array does.
Arrays with a longer first axis than the input's batch of 1, or with one axis more, hold several
samples: the model runs on one after the other and the outputs are put together likewise.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nn2wasm.cli.output import Progress, print_json
from nn2wasm.cli.table import harmless, shape

if TYPE_CHECKING:
    from nn2wasm.ir import Array
    from nn2wasm.loaders import TensorInfo

SHOWN_VALUES = 10
SHOWN_SAMPLES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module", metavar="model.wasm")
    parser.add_argument("--input", required=True, metavar="x.npy|x.npz", help="the inputs")
    parser.add_argument(
        "-o",
        "--output",
        metavar="out.npz|out.npy",
        help="write the outputs; without, they are described",
    )


def run(arguments: argparse.Namespace) -> int:
    from nn2wasm.loaders import load
    from nn2wasm.tools.samples import pick_inputs, read_arrays, split, write_arrays

    with load(arguments.module) as session:
        arrays = pick_inputs(session.inputs, read_arrays(arguments.input))
        samples = split(session.inputs, arrays, arguments.input)
        outputs = []
        with Progress("running") as progress:
            for index, feeds in enumerate(samples.feeds):
                progress(f"sample {index + 1} of {len(samples.feeds)}")
                outputs.append(session.run(feeds))
        infos = session.outputs
    joined = samples.join(outputs)
    if arguments.output is not None:
        write_arrays(arguments.output, joined)
    facts = [_facts(info, joined[info.name], len(outputs)) for info in infos]
    if arguments.json:
        where = {} if arguments.output is None else {"path": arguments.output}
        print_json({"samples": len(outputs), "outputs": facts, **where})
    elif arguments.output is not None:
        print(f"{arguments.output}: {_counted(len(outputs))}, {_names(joined)}")
    else:
        print("\n".join(_text(info, joined[info.name], len(outputs)) for info in infos))
    return 0


def _facts(info: TensorInfo, value: Array, samples: int) -> dict[str, object]:
    top = _top1(info, value, samples)
    facts: dict[str, object] = {
        "name": info.name,
        "dtype": info.dtype.value,
        "shape": list(value.shape),
        "minimum": value.min().item() if value.size else None,
        "maximum": value.max().item() if value.size else None,
    }
    if info.labels and not info.dtype.is_float:
        facts["labels"] = [_label(info, int(index)) for index in value.reshape(-1)]
    return facts if top is None else facts | {"top1": top}


def _text(info: TensorInfo, value: Array, samples: int) -> str:
    lines = [f"{harmless(info.name)}  {info.dtype.value} {shape(value.shape)}"]
    if value.size:
        lines[0] += f"  from {_number(value.min())} to {_number(value.max())}"
    flat = value.reshape(-1)
    if samples == 1:
        more = " …" if flat.size > SHOWN_VALUES else ""
        lines.append("  " + " ".join(_shown(info, item) for item in flat[:SHOWN_VALUES]) + more)
    elif info.labels and not info.dtype.is_float:
        more = " …" if flat.size > SHOWN_SAMPLES else ""
        lines.append("  " + " ".join(_label(info, int(i)) for i in flat[:SHOWN_SAMPLES]) + more)
    top = _top1(info, value, samples)
    if top is not None:
        more = " …" if samples > SHOWN_SAMPLES else ""
        shown = " ".join(_label(info, index) for index in top[:SHOWN_SAMPLES])
        best = f" ({_number(flat[top[0]])})" if samples == 1 else ""
        lines.append(f"  top-1 {shown}{best}{more}")
    return "\n".join(lines)


def _top1(info: TensorInfo, value: Array, samples: int) -> list[int] | None:
    """The largest element of each sample, where the output is a vector."""
    from nn2wasm.tools.difference import is_vector

    if not is_vector(info.shape):
        return None
    return [int(index) for index in value.reshape(samples, -1).argmax(axis=1)]


def _shown(info: TensorInfo, value: Array) -> str:
    return _number(value) if info.dtype.is_float or not info.labels else _label(info, int(value))


def _label(info: TensorInfo, index: int) -> str:
    return harmless(info.labels[index]) if 0 <= index < len(info.labels) else str(index)


def _number(value: object) -> str:
    is_float = isinstance(value, float) or "float" in type(value).__name__
    return f"{value:.5g}" if is_float else str(value)


def _counted(samples: int) -> str:
    return f"{samples} sample{'' if samples == 1 else 's'}"


def _names(outputs: dict[str, Array]) -> str:
    return ", ".join(f"{harmless(name)} {shape(value.shape)}" for name, value in outputs.items())
