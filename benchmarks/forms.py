"""Float networks with their weights alone quantized, or quantized as they run, against the same in
float32; writes docs/benchmarks-forms.md.

The forms of a network are visited in turn, round by round, in wasmtime.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bench_networks import CACHE, SHARED
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from programs import HERE, CannotRun, processor
from tables import table, times

import nn2wasm
from nn2wasm.version import __version__

Array = np.ndarray[Any, Any]

PAGE = HERE.parent / "docs" / "benchmarks-forms.md"
NETWORKS = (
    "kws_dscnn_f32",
    "ic_resnet8_f32",
    "mobilenet_v2_035_96_f32",
    "ad_autoencoder_f32",
    "tiny_transformer_f32",
)
TARGETS = ("wasm", "wasm-simd128")
LEAST_ROUNDS, LEAST_SECONDS = 15, 3.0
BLOCK = 32
OPSET = 21
"""The first whose DequantizeLinear has blocks."""
FEW = 512
"""Weights of a layer up to which a form leaves them as they are."""

HEAD = """# Forms of a float network

Written by `make bench-forms`; do not edit. More: [benchmarks/](../benchmarks).
**Figures of a shared machine: trust the ratios of one page, not milliseconds across pages.**

{machine}; nn2wasm {version}, in wasmtime, at least {rounds} rounds and {seconds:g} seconds each.

| | |
|---|---|
| float32 | the network as it was trained |
| float16 | its weights stored in two bytes, computed in float32 |
| int8 | weights alone are quantized, a scale for each output channel, computed in float32 |
| int4 | a scale for every {block} weights of matrices; other layers stay float32 |
| dynamic | int8 weights, activations quantized as they come: onnxruntime's `quantize_dynamic` |

What is kept small is decoded as a layer runs ([memory.md](memory.md)), as often as it runs: that
costs most where a layer has one line of inputs, as all of the autoencoder's have. *time* is a
form's median over that of float32, *arena* the memory of all tensors and tiles.
Where the quantizer does not learn the shapes of a layer's inputs it leaves the layer in float32:
so it does with half of the transformer, and stores weights twice that both halves share.

"""


def weights_of(model: onnx.ModelProto) -> dict[str, int]:
    """Large constants that layers multiply with, by name: the axis of their outputs."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm") or node.input[1] not in constants:
            continue
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        if np.prod(constants[node.input[1]].dims) >= FEW:
            found[node.input[1]] = 0 if node.op_type == "Conv" or turned else -1
    return found


def in_half(weights: Array, axis: int, name: str) -> tuple[list[Array], onnx.NodeProto]:
    node = helper.make_node("Cast", [f"{name}_0"], [name], to=onnx.TensorProto.FLOAT)
    return [weights.astype(np.float16)], node


def by_channel(weights: Array, axis: int, name: str) -> tuple[list[Array], onnx.NodeProto]:
    axis %= weights.ndim
    others = tuple(i for i in range(weights.ndim) if i != axis)
    scales = np.maximum(np.abs(weights).max(others, keepdims=True), 1e-9) / np.float32(127)
    codes = np.rint(weights / scales).astype(np.int8)
    names = [f"{name}_{i}" for i in range(2)]
    node = helper.make_node("DequantizeLinear", names, [name], axis=axis)
    return [codes, scales.reshape(-1).astype(np.float32)], node


def by_block(weights: Array, axis: int, name: str) -> tuple[list[Array], onnx.NodeProto] | None:
    """Codes of 4 bits; None where blocks do not divide the inputs, or it is no matrix."""
    inputs = 0 if axis % weights.ndim else 1
    if weights.ndim != 2 or weights.shape[inputs] % BLOCK:
        return None
    rows = np.moveaxis(weights, inputs, -1)
    blocks = rows.reshape(len(rows), -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(-1, keepdims=True), 1e-9) / np.float32(7)
    codes = np.rint(blocks / scales).astype(np.int8).reshape(rows.shape)
    names = [f"{name}_{i}" for i in range(2)]
    node = helper.make_node("DequantizeLinear", names, [name], axis=inputs, block_size=BLOCK)
    return [np.moveaxis(codes, -1, inputs), np.moveaxis(scales[..., 0], -1, inputs)], node


Form = Callable[[Array, int, str], "tuple[list[Array], onnx.NodeProto] | None"]
WEIGHTS_ONLY: Mapping[str, Form] = {"float16": in_half, "int8": by_channel, "int4": by_block}


def with_weights(model: onnx.ModelProto, form: str) -> onnx.ModelProto:
    """The model with its large weights stored in that form."""
    changed = onnx.version_converter.convert_version(model, OPSET)
    axes = weights_of(changed)
    kept, nodes = [], []
    for tensor in changed.graph.initializer:
        made = None
        if tensor.name in axes:
            values = numpy_helper.to_array(tensor)
            made = WEIGHTS_ONLY[form](values, axes[tensor.name], tensor.name)
        if made is None:
            kept.append(tensor)
            continue
        arrays, node = made
        nodes.append(node)
        for name, array in zip(node.input, arrays, strict=True):
            stored = numpy_helper.from_array(np.ascontiguousarray(array), name)
            if form == "int4" and array.dtype == np.int8:
                stored = helper.make_tensor(
                    name, onnx.TensorProto.INT4, array.shape, array.reshape(-1)
                )
            kept.append(stored)
    nodes += changed.graph.node
    for field, values in (("initializer", kept), ("node", nodes)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        changed.graph.ClearField(field)
        getattr(changed.graph, field).extend(copies)
    return changed


def forms_of(path: Path) -> dict[str, onnx.ModelProto]:
    """The network in all its forms, float32 first."""
    model = onnx.load(path)
    forms = {"float32": model}
    for form in WEIGHTS_ONLY:
        changed = with_weights(model, form)
        if form != "int4" or any(t.data_type == 22 for t in changed.graph.initializer):
            forms[form] = changed
    CACHE.mkdir(exist_ok=True)
    quantized = CACHE / f"{path.stem}_dynamic.onnx"
    quantize_dynamic(
        path,
        quantized,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
    )
    forms["dynamic"] = onnx.load(quantized)
    return forms


def measure(forms: Mapping[str, onnx.ModelProto], target: str) -> list[list[str]]:
    """A row for each form: bytes, arena, time over that of the first."""
    sizes, sessions = {}, {}
    for form, model in forms.items():
        module = CACHE / f"form_{form}.wasm"
        compiled = nn2wasm.compile_model(model, module, target=target)
        sizes[form] = (compiled.total_bytes, compiled.arena_bytes)
        sessions[form] = nn2wasm.load(module)
    rng = np.random.default_rng(5)
    shapes = {tensor.name: tensor.shape for tensor in sessions["float32"].inputs}
    feeds = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    samples: dict[str, list[float]] = {form: [] for form in forms}
    end = time.monotonic() + LEAST_SECONDS
    while len(samples["float32"]) < LEAST_ROUNDS or time.monotonic() < end:
        for form, session in sessions.items():
            begin = time.perf_counter()
            session.run(feeds)
            samples[form].append(time.perf_counter() - begin)
    medians = {form: statistics.median(values) for form, values in samples.items()}
    return [
        [form, *(f"{size:,}" for size in sizes[form]), times(medians[form] / medians["float32"])]
        for form in forms
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names of networks, with commas")
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else NETWORKS
    paths = [SHARED / f"{name}.onnx" for name in wanted]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise CannotRun(f"not in {SHARED.name}/: {', '.join(missing)}")
    text = HEAD.format(
        machine=processor(),
        version=__version__,
        rounds=LEAST_ROUNDS,
        seconds=LEAST_SECONDS,
        block=BLOCK,
    )
    for path in paths:
        forms = forms_of(path)
        for target in TARGETS:
            print(path.stem, target, file=sys.stderr)
            rows = table(["form", "bytes", "arena", "time"], measure(forms, target))
            text += f"## {path.stem}, `{target}`\n\n{rows}\n"
    if arguments.print:
        print(text)
    else:
        PAGE.write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    try:
        main()
    except CannotRun as error:
        sys.exit(f"error: {error}")
