"""Writes a .tflite of our own lowered graph, so that LiteRT runs exactly the same network.

    python benchmarks/to_tflite.py model.onnx model.tflite [--check]

Activations keep their scale and zero point, weights their scale for each channel. --check compares
the answers of LiteRT for Python with those of onnxruntime.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]
from lowered import Unsupported, activation, explicit_padding, lowered, padding

from nn2wasm.ir import Array, DType, Graph, Node, Tensor

TYPES = {
    DType.F32: schema.TensorType.FLOAT32,
    DType.S8: schema.TensorType.INT8,
    DType.S32: schema.TensorType.INT32,
}


def write_tflite(model: Path, path: Path) -> None:
    path.write_bytes(TfliteWriter(lowered(model)).flatbuffer())


class TfliteWriter:
    """Turns a graph into one flatbuffer; a method for each kind of node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = graph.users()
        self.tensors: list[Any] = []
        self.buffers = [schema.BufferT()]  # the first is empty: that of activations
        self.operators: list[Any] = []
        self.codes: list[int] = []
        self.indices: dict[Tensor, int] = {}
        self.done: set[Node] = set()

    def flatbuffer(self) -> bytes:
        writers: dict[str, Callable[[Node], None]] = {
            "Conv": self.conv,
            "Gemm": self.gemm,
            "Add": self.add,
            "AveragePool": self.average,
            "MaxPool": self.maximum,
            "Softmax": self.softmax,
            "Reshape": self.reshape,
            "Transpose": self.transpose,
            "Quantize": self.quantize,
            "Dequantize": self.dequantize,
        }
        inputs = [self.index(tensor) for tensor in self.graph.inputs]
        for node in self.graph.nodes:
            if node.op.kind not in writers:
                raise Unsupported(node.describe())
            if node not in self.done:
                writers[node.op.kind](node)
        return self.pack(inputs, [self.index(tensor) for tensor in self.graph.outputs])

    def pack(self, inputs: list[int], outputs: list[int]) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = "main", self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.description = 3, self.graph.name
        model.operatorCodes = [_code(code) for code in self.codes]
        model.subgraphs, model.buffers = [subgraph], self.buffers
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # -- tensors -----------------------------------------------------------------------------------

    def index(self, tensor: Tensor) -> int:
        """The number of an activation."""
        if tensor not in self.indices:
            self.indices[tensor] = self.tensor(tensor.name, tensor.dtype, tensor.shape, tensor)
        return self.indices[tensor]

    def tensor(self, name: str, dtype: DType, shape: Sequence[int], like: Tensor | None) -> int:
        """Adds a tensor, quantized as another one is."""
        t = schema.TensorT()
        t.name, t.type, t.shape, t.buffer = name, TYPES[dtype], list(shape), 0
        if like is not None and like.quant is not None and dtype is DType.S8:
            t.quantization = _quantization(like.quant.scale, like.quant.zero_point, 0)
        self.tensors.append(t)
        return len(self.tensors) - 1

    def constant(self, name: str, data: Array, scale: Array | None = None, axis: int = 0) -> int:
        """Adds a constant; its zero points are 0."""
        index = self.tensor(name, DType.of(data), data.shape, None)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        if scale is not None:
            self.tensors[index].quantization = _quantization(scale, np.zeros_like(scale), axis)
        return index

    def emit(self, name: str, inputs: list[int], outputs: list[int], **options: Any) -> None:
        """Adds an operator; its options are the fields of the schema's table."""
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = inputs, outputs
        table = OPTIONS[name]
        operator.builtinOptions = getattr(schema, f"{table}T")()
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        for key, value in options.items():
            if not hasattr(operator.builtinOptions, key):
                raise AttributeError(f"{table} has no field {key}")
            setattr(operator.builtinOptions, key, value)
        self.operators.append(operator)

    # -- linear ------------------------------------------------------------------------------------

    def weights(self, node: Node, data: Array, axis: int) -> list[int]:
        """Weights and bias; an integer bias gets the scale of the sums."""
        x, w = node.input(0), node.input(1)
        bias = node.optional(2)
        count = node.output.shape[-1]
        integers = x.dtype is DType.S8
        values = np.zeros(count, np.int32 if integers else np.float32)
        if bias is not None:
            values = bias.value.reshape(count)
        if not integers:
            return [self.constant(f"{node.name}/w", data), self.constant(f"{node.name}/b", values)]
        if w.quant is None or x.quant is None or np.any(w.quant.zero_point):
            raise Unsupported(f"{node.describe()}: weights with a zero point")
        scale = np.atleast_1d(w.quant.scale).astype(np.float32)
        sums = (scale * np.float32(x.quant.scale)).astype(np.float32)
        return [
            self.constant(f"{node.name}/w", data, scale, axis),
            self.constant(f"{node.name}/b", values.astype(np.int32), sums),
        ]

    def conv(self, node: Node) -> None:
        op: Any = node.op
        x, y = node.input(0), node.output
        w = node.input(1).value.reshape(y.shape[-1], -1, *op.geometry.kernel)
        source, pad = self.padded(node)
        options = {
            "padding": getattr(schema.Padding, pad),
            "strideH": op.geometry.stride[0],
            "strideW": op.geometry.stride[1],
            "dilationHFactor": op.geometry.dilation[0],
            "dilationWFactor": op.geometry.dilation[1],
            "fusedActivationFunction": _activation(op),
        }
        if op.groups == 1:
            operands = self.weights(node, w.transpose(0, 2, 3, 1), 0)
            self.emit("CONV_2D", [source, *operands], [self.index(y)], **options)
        elif op.groups == x.shape[-1] and w.shape[1] == 1:
            operands = self.weights(node, w.transpose(1, 2, 3, 0), 3)
            options["depthMultiplier"] = y.shape[-1] // x.shape[-1]
            self.emit("DEPTHWISE_CONV_2D", [source, *operands], [self.index(y)], **options)
        else:
            raise Unsupported(f"{node.describe()}: groups")

    def padded(self, node: Node) -> tuple[int, str]:
        """The input of a windowed node and its kind of padding; a PAD before it where needed."""
        geometry: Any = node.op.geometry  # type: ignore[attr-defined]
        x, y = node.input(0), node.output
        kind = padding(geometry, x, y)
        if kind is not None:
            return self.index(x), kind
        around = explicit_padding(geometry, x, y)
        shape = [size + sum(pads) for size, pads in zip(x.shape, around, strict=True)]
        padded = self.tensor(f"{node.name}/padded", x.dtype, shape, x)
        amounts = self.constant(f"{node.name}/padding", np.asarray(around, np.int32))
        self.emit("PAD", [self.index(x), amounts], [padded])
        return padded, "VALID"

    def gemm(self, node: Node) -> None:
        op: Any = node.op
        w = node.input(1).value
        operands = self.weights(node, w if op.trans_w else w.T, 0)
        inputs = [self.index(node.input(0)), *operands]
        outputs = [self.index(node.output)]
        self.emit("FULLY_CONNECTED", inputs, outputs, fusedActivationFunction=_activation(op))

    # -- the rest ----------------------------------------------------------------------------------

    def add(self, node: Node) -> None:
        inputs = [self.index(tensor) for tensor in node.present_inputs]
        outputs = [self.index(node.output)]
        self.emit("ADD", inputs, outputs, fusedActivationFunction=_activation(node.op))

    def average(self, node: Node) -> None:
        """The mean over an image; its Reshape to a row, where one follows, is the same operator."""
        geometry: Any = node.op.geometry  # type: ignore[attr-defined]
        x, y = node.input(0), node.output
        if geometry.kernel != x.shape[1:3]:
            raise Unsupported(f"{node.describe()}: not over the whole image")
        readers = self.users.get(y, [])
        flat = len(readers) == 1 and readers[0].op.kind == "Reshape" and len(y.shape) == 4
        if flat:
            self.done.add(readers[0])
            y = readers[0].output
        axes = self.constant(f"{node.name}/axes", np.asarray([1, 2], np.int32))
        self.emit("MEAN", [self.index(x), axes], [self.index(y)], keepDims=not flat)

    def maximum(self, node: Node) -> None:
        geometry: Any = node.op.geometry  # type: ignore[attr-defined]
        source, pad = self.padded(node)
        self.emit(
            "MAX_POOL_2D",
            [source],
            [self.index(node.output)],
            padding=getattr(schema.Padding, pad),
            strideH=geometry.stride[0],
            strideW=geometry.stride[1],
            filterHeight=geometry.kernel[0],
            filterWidth=geometry.kernel[1],
        )

    def softmax(self, node: Node) -> None:
        self.emit("SOFTMAX", [self.index(node.input(0))], [self.index(node.output)], beta=1.0)

    def reshape(self, node: Node) -> None:
        y = node.output
        shape = self.constant(f"{node.name}/shape", np.asarray(y.shape, np.int32))
        inputs = [self.index(node.input(0)), shape]
        self.emit("RESHAPE", inputs, [self.index(y)], newShape=list(y.shape))

    def transpose(self, node: Node) -> None:
        perm = self.constant(f"{node.name}/perm", np.asarray(node.op.perm, np.int32))  # type: ignore[attr-defined]
        self.emit("TRANSPOSE", [self.index(node.input(0)), perm], [self.index(node.output)])

    def quantize(self, node: Node) -> None:
        self.emit("QUANTIZE", [self.index(node.input(0))], [self.index(node.output)])

    def dequantize(self, node: Node) -> None:
        self.emit("DEQUANTIZE", [self.index(node.input(0))], [self.index(node.output)])


OPTIONS = {
    "ADD": "AddOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "PAD": "PadOptions",
    "QUANTIZE": "QuantizeOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "TRANSPOSE": "TransposeOptions",
}


def _activation(op: Any) -> int:
    value: int = getattr(schema.ActivationFunctionType, activation(op.lo, op.hi))
    return value


def _code(builtin: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
    return code


def _quantization(scale: Array, zero_point: Array, axis: int) -> Any:
    quantization = schema.QuantizationParametersT()
    quantization.scale = np.atleast_1d(scale).astype(np.float32)
    quantization.zeroPoint = np.atleast_1d(zero_point).astype(np.int64)
    quantization.quantizedDimension = axis if quantization.scale.size > 1 else 0
    return quantization


# -- as a program --------------------------------------------------------------------------------


def check(model: Path, path: Path, feed: Array) -> tuple[float, bool]:
    """The largest difference to onnxruntime as a part of the outputs' range; the same class?"""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: feed})[0]
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], feed)
    interpreter.invoke()
    actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    difference = float(np.abs(actual - expected).max() / np.ptp(expected))
    return difference, bool(actual.argmax() == expected.argmax())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("tflite", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    write_tflite(arguments.model, arguments.tflite)
    if arguments.check:
        shape = lowered(arguments.model).inputs[0].shape
        feed = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        difference, same = check(arguments.model, arguments.tflite, feed)
        print(f"largest difference: {difference:.2%} of the range; same class: {same}")


if __name__ == "__main__":
    main()
