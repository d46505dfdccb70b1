"""An ONNX model whose integer products onnxruntime computes exactly on any x86.

Without VNNI its products of u8 by s8 add pairs in 16 bits that saturate; those of u8 by u8 do not.
So constant s8 weights become u8, they and their zero point 128 higher: the same model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

WEIGHTS = {
    # operator → positions of the weights and of their zero point
    "QLinearConv": (3, 5),
    "QLinearMatMul": (3, 5),
    "QGemm": (3, 5),
    "ConvInteger": (1, 3),
    "MatMulInteger": (1, 3),
}
X_ZERO_POINT = 2
"""Position of the activations' zero point in all of them."""
OFFSET = 128


def with_unsigned_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with u8 weights in operators on integers."""
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made: set[str] = set()
    computed = {
        node.output[2]
        for node in graph.node
        if node.op_type == "DynamicQuantizeLinear" and len(node.output) > 2
    }  # zero points, all of u8
    for node in graph.node:
        weights_at, zero_at = WEIGHTS.get(node.op_type, (0, 0))
        weights = constants.get(node.input[weights_at]) if weights_at else None
        if weights is None or weights.data_type != onnx.TensorProto.INT8:
            continue
        name = node.input[X_ZERO_POINT] if len(node.input) > X_ZERO_POINT else ""
        x_zero = constants.get(name)
        unsigned = x_zero is not None and x_zero.data_type == onnx.TensorProto.UINT8
        if not unsigned and name not in computed:
            continue  # products of s8 by s8 are exact, and those of s8 by u8 do not exist
        given = node.input[zero_at] if len(node.input) > zero_at else ""
        if given and given not in constants:
            continue
        while len(node.input) <= zero_at:
            node.input.append("")
        zero = onnx.numpy_helper.to_array(constants[given]) if given else np.int8(0)
        values = onnx.numpy_helper.to_array(weights)
        for at, array in ((weights_at, values), (zero_at, np.asarray(zero))):
            name = f"{node.input[at] or f'{node.name}_zero'}/unsigned"
            if name not in made:
                raised = (array.astype(np.int16) + OFFSET).astype(np.uint8)
                graph.initializer.append(onnx.numpy_helper.from_array(raised, name))
                made.add(name)
            node.input[at] = name
    return changed
