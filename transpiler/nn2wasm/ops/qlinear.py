"""com.microsoft QLinear* operators that are another op with scales among its inputs."""

from __future__ import annotations

from nn2wasm.ir import QuantParams, Tensor
from nn2wasm.ops.joining import Concat, check_concat
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.quant_inputs import read_quant
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import reinterpret
from nn2wasm.ops.unary import Unary


class QLinearConcat(ImportOp):
    """y_scale, y_zero_point, then tensor, scale, zero_point for each operand."""

    onnx_types = ("com.microsoft.QLinearConcat",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if len(node.inputs) < 5 or len(node.inputs) % 3 != 2:
            raise node.invalid(f"{len(node.inputs)} inputs")
        result = read_quant(node, 0, 1)
        tensors = [
            requantize(node, node.input(at), read_quant(node, at + 1, at + 2), result, at)
            for at in range(2, len(node.inputs), 3)
        ]
        axis = node.axis(node.attr_int("axis", 0), len(tensors[0].shape))
        check_concat(node, tensors, axis)
        node.emit(Concat(axis), tensors, quant=result)


def requantize(
    node: OnnxNode, tensor: Tensor, quant: QuantParams, result: QuantParams, index: int
) -> Tensor:
    """The tensor under another scale, by way of real numbers; passes make a table of it."""
    tensor = reinterpret(node, tensor, quant)
    if quant.same_as(result):
        return tensor
    real = node.add(Dequantize(quant), [tensor], suffix=f"real{index}")
    return node.add(Quantize(result, tensor.dtype), [real], suffix=f"same{index}", quant=result)


class QLinearUnary(ImportOp):
    """QLinearSigmoid, QLinearLeakyRelu: x, x_scale, x_zero_point, y_scale, y_zero_point."""

    onnx_types = ("com.microsoft.QLinearSigmoid", "com.microsoft.QLinearLeakyRelu")

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        quant, result = read_quant(node, 1, 2), read_quant(node, 3, 4)
        x = reinterpret(node, x, quant)
        real = node.add(Dequantize(quant), [x], suffix="real")
        if node.op_type == "QLinearSigmoid":
            op = Unary("Sigmoid")
        else:
            op = Unary("LeakyRelu", (node.attr_float("alpha", 0.01),))
        y = node.add(op, [real], suffix="function")
        node.emit(Quantize(result, x.dtype), [y], quant=result)
