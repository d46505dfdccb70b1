"""What an ONNX model computes according to others: onnxruntime, or onnx's own evaluator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nn2wasm.errors import InstallError, RunError, quote
from nn2wasm.frontends.tflite_import import translated
from nn2wasm.ir import Array
from nn2wasm.tools.unsigned_weights import with_unsigned_weights

if TYPE_CHECKING:
    import onnx

    from nn2wasm.api import ModelSource

ENGINES = ("onnxruntime", "onnx")
_ONNX_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training")
_QUIET = 4


@dataclass(slots=True)
class Reference:
    """A model that an engine other than ours can run.

    Attributes:
        engine: its name and version.
        notes: what the reader of a report should know, such as why it is not the usual engine.
        outputs: names of the model's own outputs.
        extra: names of the intermediate tensors that it returns too.
    """

    engine: str
    notes: tuple[str, ...]
    outputs: tuple[str, ...]
    extra: tuple[str, ...]
    _session: Any

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs and the extra tensors, by name.

        Raises:
            RunError: the engine refuses the inputs, or fails.
        """
        names = [*self.outputs, *self.extra]
        try:
            values = self._session.run(names, dict(feeds))
        except Exception as error:
            raise _refused(self.engine, "run the model", error) from error
        return {name: _as_array(value) for name, value in zip(names, values, strict=True)}


def open_reference(
    model: ModelSource, *, engine: str = "", wanted: Sequence[str] = ()
) -> Reference:
    """The model in an engine: onnxruntime without graph optimizations, or onnx's evaluator.

    Args:
        model: path, bytes or a parsed ONNX model.
        engine: one of `ENGINES`; onnxruntime where it is installed if left out.
        wanted: intermediate tensors to return; those that the model's main graph does not
            compute are left out.

    Raises:
        InstallError: no installed engine knows the model's operators.
        RunError: the engine refuses the model.
    """
    proto = _parse(model)
    outputs = tuple(output.name for output in proto.graph.output)
    extra = _extend(proto, wanted)
    if engine == "onnx":
        return _onnx(proto, outputs, extra, ())
    try:
        return _onnxruntime(proto, outputs, extra)
    except InstallError:
        if engine:
            raise
        return _onnx(proto, outputs, extra, ())
    except RunError as error:
        if engine or _foreign(proto):
            raise
        reason = error.facts[0][1] if error.facts else error.message
        return _onnx(proto, outputs, extra, (f"onnxruntime refuses the model: {reason}",))


def _parse(model: ModelSource) -> onnx.ModelProto:
    import onnx

    if isinstance(model, bytes):
        return translated(model) or onnx.load_from_string(model)
    if isinstance(model, str | os.PathLike):
        return translated(Path(model).read_bytes()) or onnx.load(Path(model))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _extend(proto: onnx.ModelProto, wanted: Sequence[str]) -> tuple[str, ...]:
    """Makes intermediate tensors outputs of the model; the names of those that exist."""
    import onnx

    computed = {name for node in proto.graph.node for name in node.output if name}
    present = {output.name for output in proto.graph.output}
    extra = tuple(n for n in dict.fromkeys(wanted) if n in computed and n not in present)
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra)
    return extra


def _onnxruntime(
    proto: onnx.ModelProto, outputs: tuple[str, ...], extra: tuple[str, ...]
) -> Reference:
    try:
        import onnxruntime
    except ImportError as error:
        raise InstallError(
            "onnxruntime is not installed", hint="pip install onnxruntime"
        ) from error
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = _QUIET
    name = f"onnxruntime {onnxruntime.__version__}"
    try:
        session = onnxruntime.InferenceSession(
            with_unsigned_weights(proto).SerializeToString(),
            settings,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:
        raise _refused(name, "load the model", error) from error
    return Reference(name, (), outputs, extra, session)


def _onnx(
    proto: onnx.ModelProto, outputs: tuple[str, ...], extra: tuple[str, ...], notes: tuple[str, ...]
) -> Reference:
    import onnx
    from onnx.reference import ReferenceEvaluator

    foreign = _foreign(proto)
    if foreign:
        raise InstallError(
            "onnx's own evaluator does not know all operators of this model",
            facts=[("unknown", ", ".join(quote(name)[1:-1] for name in foreign[:10]))],
            hint="pip install onnxruntime",
        )
    name = f"onnx {onnx.__version__}"
    try:
        session = ReferenceEvaluator(proto)
    except Exception as error:
        raise _refused(name, "load the model", error) from error
    return Reference(name, notes, outputs, extra, session)


def _foreign(proto: onnx.ModelProto) -> list[str]:
    """Operators that are neither ONNX's own nor functions of the model."""
    own = {(function.domain, function.name) for function in proto.functions}
    nodes = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    return sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in nodes
            if node.domain not in _ONNX_DOMAINS and (node.domain, node.op_type) not in own
        }
    )


def _refused(engine: str, task: str, error: Exception) -> RunError:
    text = " ".join(str(error).split())[:300]
    return RunError(f"{engine} did not {task}", facts=[("problem", text or type(error).__name__)])


def _as_array(value: Any) -> Array:
    """Tensors as they are; the maps of ZipMap as columns in the order of their keys."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        keys = sorted(value[0])
        return np.asarray([[row[key] for key in keys] for row in value])
    return np.asarray(value)
