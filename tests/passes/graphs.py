"""Tiny models in ONNX's own text, imported; and what passes make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from cases import run
from onnx import numpy_helper

from nn2wasm.api import Options
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_import import import_onnx
from nn2wasm.frontends.onnx_model import read_model
from nn2wasm.ir import Graph
from nn2wasm.passes import PIPELINE, Pass, PassOptions, run_passes

HEAD = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>\n'
Constants = Mapping[str, Any]


def model(text: str, **constants: Any) -> onnx.ModelProto:
    """A model from the text of its graph; names that are given values are initializers."""
    parsed = onnx.parser.parse_model(HEAD + text)
    for name, value in constants.items():
        parsed.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return parsed


def graph(text: str, **constants: Any) -> Graph:
    return import_onnx(read_model(model(text, **constants)), Limits())


def kinds(graph: Graph) -> list[str]:
    """The operations in execution order."""
    return [node.op.kind for node in graph.nodes]


def apply(graph: Graph, *passes: Pass, **options: Any) -> int:
    """How many rewrites the passes made; the graph is verified after each."""
    log = run_passes(graph, passes, PassOptions(**options))
    return sum(count for _, count in log.entries)


def until(graph: Graph, last: Pass, **options: Any) -> int:
    """Runs the pipeline up to the first occurrence of a pass, it included; the rewrites that it
    made.
    """
    stop = PIPELINE.index(last)
    run_passes(graph, PIPELINE[:stop], PassOptions(**options))
    return apply(graph, last, **options)


def same_without(name: str, built: onnx.ModelProto, *, exact: bool = True) -> None:
    """The compiled network computes the same with the pass and without it."""
    rng = np.random.default_rng(1)
    feeds = {}
    for info in built.graph.input:
        shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
        kind = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        values = rng.normal(size=shape) * (1 if kind == np.float32 else 40)
        feeds[info.name] = np.clip(values, 0 if kind == np.uint8 else -128, 127).astype(kind)
    plain = run(built, feeds)
    without = run(built, feeds, options=Options(name="cases", disabled_passes=frozenset({name})))
    for key, value in plain.items():
        if exact:
            np.testing.assert_array_equal(value, without[key])
        else:
            np.testing.assert_allclose(value, without[key], rtol=1e-5, atol=1e-5)
