"""The networks that are measured, and the files that each contender gets of them.

Every contender takes the same float32 input and gives float32: models that take or give int8 are
wrapped in one QuantizeLinear and one DequantizeLinear, so that no peer is asked for more than
another. Everything is written below `CACHE`, from where the browser is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"
SHARED = HERE.parents[1] / "shared" / "models"
BUNDLED = HERE.parent / "examples" / "digits"
PRECISIONS = ("f32", "int8")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        name: as typed after --only, and in the page.
        f32: stem of the float32 ONNX file.
        int8: stem of the quantized one.
        variants: stems of other quantized forms, for onnxruntime to choose its fastest from.
        classes: rows of the last layer that are kept; 0 keeps all.
        folder: where the files are.
    """

    name: str
    f32: str
    int8: str
    variants: tuple[str, ...] = ()
    classes: int = 0
    folder: Path = SHARED

    def source(self, stem: str) -> Path:
        return self.folder / f"{stem}.onnx"

    @property
    def exists(self) -> bool:
        return self.source(self.f32).exists() and self.source(self.int8).exists()


def _mlperf(name: str) -> Network:
    variants = tuple(f"{name}_ptq_{form}" for form in ("qdq_s8", "qdq_u8", "qop_u8"))
    return Network(name, f"{name}_f32", f"{name}_int8_tflite", variants)


NETWORKS = (
    Network("mobilenet_v2", "mobilenet_v2_f32", "mobilenet_v2_ptq_qdq_s8"),
    Network("mobilenet_v2_10", "mobilenet_v2_f32", "mobilenet_v2_ptq_qdq_s8", classes=10),
    Network(
        "mobilenet_v2_035_96",
        "mobilenet_v2_035_96_f32",
        "mobilenet_v2_035_96_ptq_qdq_s8",
        ("mobilenet_v2_035_96_ptq_qop_s8",),
    ),
    _mlperf("ic_resnet8"),
    _mlperf("vww_mbv1_025_96"),
    _mlperf("kws_dscnn"),
    _mlperf("ad_autoencoder"),
)
DIGITS = Network("digits", "digits_f32", "digits_int8", folder=BUNDLED)


def usual_networks() -> tuple[list[Network], str]:
    """The networks to measure, and what there is to say about missing ones."""
    present = [network for network in NETWORKS if network.exists]
    if present:
        missing = [network.name for network in NETWORKS if not network.exists]
        return present, f"missing, and left out: {', '.join(missing)}" if missing else ""
    return [DIGITS], f"no models in {SHARED.name}/: only the bundled digits network is measured"


@dataclass
class Prepared:
    """A network's files, by what they are for.

    Attributes:
        network: which.
        onnx: precision (or variant) to the ONNX file.
        input: the float32 input, raw.
        feed: the same, as an array.
    """

    network: Network
    onnx: dict[str, Path]
    input: Path
    feed: Array


def prepare(network: Network) -> Prepared:
    """Writes the ONNX files, the input, and beside each file what onnxruntime answers."""
    folder = CACHE / network.name
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()
    stems = {"f32": network.f32, "int8": network.int8}
    stems |= {stem: stem for stem in network.variants if network.source(stem).exists()}
    files: dict[str, Path] = {}
    for key, stem in stems.items():
        model = onnx.load(network.source(stem))
        set_batch(model)
        float_borders(model)
        if network.classes:
            keep_classes(model, network.classes)
        files[key] = folder / f"{key}.onnx"
        onnx.save(model, files[key])
    feed = sample(network, files["f32"])
    (folder / "input.bin").write_bytes(feed.tobytes())
    prepared = Prepared(network, files, folder / "input.bin", feed)
    for path in files.values():
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        expected = session.run(None, {session.get_inputs()[0].name: feed})[0]
        path.with_suffix(".expected.bin").write_bytes(expected.tobytes())
    return prepared


def sample(network: Network, model: Path) -> Array:
    """A real input where the folder has samples, noise elsewhere."""
    samples = network.source(network.f32).with_suffix(".npz")
    if samples.exists():
        with np.load(samples) as arrays:
            if "in_0" in arrays:
                return np.ascontiguousarray(arrays["in_0"][0], np.float32)
    dims = onnx.load(model).graph.input[0].type.tensor_type.shape.dim
    noise = np.random.default_rng(0).standard_normal([dim.dim_value for dim in dims])
    return noise.astype(np.float32)


# -- small rewrites of ONNX models ---------------------------------------------------------------


def set_batch(model: onnx.ModelProto) -> None:
    """Fixes a first dimension that the model leaves open to 1."""
    for value in [*model.graph.input, *model.graph.output]:
        dim = value.type.tensor_type.shape.dim[0]
        if not dim.HasField("dim_value"):
            dim.dim_value = 1


def float_borders(model: onnx.ModelProto) -> None:
    """Puts a quantizer before an int8 input and a dequantizer behind an int8 output."""
    graph = model.graph
    value = graph.input[0]
    if value.type.tensor_type.elem_type == TensorProto.INT8:
        name = value.name
        while (reader := _only(n for n in graph.node if name in n.input)).op_type != DEQUANTIZE:
            name = reader.output[0]  # a Transpose or Reshape of integers
        quantizer = helper.make_node(QUANTIZE, ["real_input", *reader.input[1:]], [value.name])
        graph.node.insert(0, quantizer)
        _rename(value, "real_input")
    value = graph.output[0]
    if value.type.tensor_type.elem_type == TensorProto.INT8:
        name = value.name
        while (writer := _only(n for n in graph.node if name in n.output)).op_type != QUANTIZE:
            name = writer.input[0]
        inputs = [value.name, *writer.input[1:]]
        graph.node.append(helper.make_node(DEQUANTIZE, inputs, ["real_output"]))
        _rename(value, "real_output")


QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def _rename(value: onnx.ValueInfoProto, name: str) -> None:
    value.name = name
    value.type.tensor_type.elem_type = TensorProto.FLOAT


def _only(nodes: Iterable[onnx.NodeProto]) -> onnx.NodeProto:
    return next(iter(nodes))


def keep_classes(model: onnx.ModelProto, count: int) -> None:
    """Cuts the last Gemm down to its first rows: a head for a problem of fewer classes."""
    graph = model.graph
    gemm = [node for node in graph.node if node.op_type == "Gemm"][-1]
    producers = {name: node for node in graph.node for name in node.output}
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    rows = graph.output[0].type.tensor_type.shape.dim[1]

    def cut(name: str) -> None:
        if name in initializers:
            array = numpy_helper.to_array(initializers[name])
            if array.ndim and array.shape[0] == rows.dim_value:
                initializers[name].CopyFrom(numpy_helper.from_array(array[:count], name))
        elif name in producers:
            _each(cut, producers[name].input)

    _each(cut, gemm.input[1:])
    rows.dim_value = count
    del graph.value_info[:]


def _each(action: Callable[[str], None], names: Iterable[str]) -> None:
    for name in names:
        action(name)
