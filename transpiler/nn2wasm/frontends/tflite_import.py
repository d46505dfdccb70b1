"""TensorFlow Lite model → ONNX model, builtin by builtin."""

from __future__ import annotations

import onnx

from nn2wasm.errors import UnsupportedOp
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.tflite_file import DAMAGE, MAGIC, TfliteOp, read_tflite
from nn2wasm.frontends.tflite_graph import OPSET, TfliteGraph
from nn2wasm.frontends.tflite_ops import TRANSLATORS

LISTED_NODES = 3
DEFAULT_LIMITS = Limits()


def translated(
    data: bytes, label: str = "the model", limits: Limits = DEFAULT_LIMITS
) -> onnx.ModelProto | None:
    """The model of a .tflite file, None for any other file; raises as `onnx_of_tflite` does."""
    return onnx_of_tflite(data, label, limits) if data[4:8] == MAGIC else None


def onnx_of_tflite(data: bytes, label: str, limits: Limits) -> onnx.ModelProto:
    """The same network in ONNX; nothing of it is checked but what translating needs.

    Raises:
        UnsupportedOp: lists every builtin of the model that is not translated.
        InvalidModel, UnsupportedFeature: of the file, or of one node.
        InstallError: the package tflite is missing.
    """
    model = read_tflite(data, label, limits)
    _require_builtins(model.ops)
    graph = TfliteGraph()
    graph.proto.name = model.name or "tflite"
    for tensor in model.inputs:
        graph.port(tensor, output=False)
    for op in model.ops:
        graph.begin(op)
        try:
            TRANSLATORS[op.kind](graph, op)
        except DAMAGE as error:  # of shapes and constants that no converter writes
            raise graph.invalid("its operands contradict each other") from error
    for tensor in model.outputs:
        graph.port(tensor, output=True)
    made = onnx.ModelProto(ir_version=10, producer_name="TensorFlow Lite")
    made.opset_import.add(domain="", version=OPSET)
    made.graph.CopyFrom(graph.proto)
    return made


def _require_builtins(ops: tuple[TfliteOp, ...]) -> None:
    by_kind: dict[str, list[str]] = {}
    for op in ops:
        if op.kind not in TRANSLATORS:
            by_kind.setdefault(op.kind, []).append(str(op.index))
    if not by_kind:
        return
    facts = [
        (kind, f"node {', '.join(nodes[:LISTED_NODES])}"
         + (f" and {len(nodes) - LISTED_NODES} more" if len(nodes) > LISTED_NODES else ""))
        for kind, nodes in sorted(by_kind.items())
    ]  # fmt: skip
    plural = "s" if len(by_kind) > 1 else ""
    raise UnsupportedOp(
        f"{len(by_kind)} builtin{plural} of this TensorFlow Lite model cannot be compiled yet",
        facts=facts,
        hint="docs/tflite.md lists what can",
    )
