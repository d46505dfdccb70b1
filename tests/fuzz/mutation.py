"""Models made wrong: by the byte, and by what a model consists of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, numpy_helper

Mutator = Callable[[random.Random, ModelProto], None]

WHOLE = (0, 1, -1, 2, 3, 7, -2, 255, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63), 10**9)
REAL = (0.0, -0.0, 1.0, -1.0, 1e-40, 1e38, float("nan"), float("inf"), float("-inf"), 0.5)
NAMES = (
    "", "x", "a b", "*/ int evil; /*", "\\", '"', "\n", "??/", "</script>", "\u202e", "int", "main",
    "nn_run", "x" * 3000, "\x00", "%s%n", "../../x", "${x}", "`x`", "A.B", "a_b", "a-b", "é",
)  # fmt: skip
TYPES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 20, 22, 23, 24, 0, 99)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """A model's bytes, some of them changed, gone or added."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(result)) if result else 0
        match rng.randrange(5):
            case 0:
                result[at] ^= 1 << rng.randrange(8)
            case 1:
                result[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del result[at : at + rng.randrange(1, 9)]
            case 3:
                result[at:at] = rng.randbytes(rng.randrange(1, 9))
            case _:
                end = rng.randrange(at, min(len(result), at + 64) + 1)
                result[at:at] = result[at:end]
        if not result:
            break
    return bytes(result)


def mutated(rng: random.Random, model: ModelProto) -> ModelProto:
    """A copy of the model with one to three things in it changed."""
    result = ModelProto()
    result.CopyFrom(model)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(MUTATORS)(rng, result)
    return result


# -- nodes -----------------------------------------------------------------------------------------


def _graphs(graph: GraphProto) -> list[GraphProto]:
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return [graph, *(deeper for each in inner for deeper in _graphs(each))]


def _some_graph(rng: random.Random, model: ModelProto) -> GraphProto:
    return rng.choice(_graphs(model.graph))


def _some_node(rng: random.Random, model: ModelProto) -> onnx.NodeProto | None:
    nodes = [node for graph in _graphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    return rng.choice(nodes) if nodes else None


def _some_name(rng: random.Random, model: ModelProto) -> str:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    names += [value.name for value in (*model.graph.input, *model.graph.output)]
    return rng.choice((*names, *NAMES)) if rng.random() < 0.9 else rng.choice(NAMES)


def _wiring(rng: random.Random, model: ModelProto) -> None:
    node = _some_node(rng, model)
    if node is None:
        return
    names = rng.choice((node.input, node.output))
    match rng.randrange(5):
        case 0:
            names.append(_some_name(rng, model))
        case 1 if names:
            del names[rng.randrange(len(names))]
        case 2 if names:
            names[rng.randrange(len(names))] = ""
        case 3 if len(names) > 1:
            names.reverse()
        case _ if names:
            names[rng.randrange(len(names))] = _some_name(rng, model)


def _nodes(rng: random.Random, model: ModelProto) -> None:
    graph = _some_graph(rng, model)
    if not graph.node:
        return
    at = rng.randrange(len(graph.node))
    match rng.randrange(4):
        case 0:
            del graph.node[at]
        case 1:
            graph.node.add().CopyFrom(graph.node[at])
        case 2:
            nodes = [*graph.node]
            rng.shuffle(nodes)
            del graph.node[:]
            graph.node.extend(nodes)
        case _:
            other = _some_node(rng, model)
            if other is not None:
                graph.node[at].op_type = other.op_type


def _kind(rng: random.Random, model: ModelProto) -> None:
    node = _some_node(rng, model)
    if node is not None:
        match rng.randrange(4):
            case 0:
                node.op_type = rng.choice(OPERATORS)
            case 1:
                node.domain = rng.choice(("", "ai.onnx", "com.microsoft", "ai.onnx.ml", "evil"))
            case 2:
                node.name = rng.choice(NAMES)
            case _:
                node.overload = rng.choice(NAMES)


def _attributes(rng: random.Random, model: ModelProto) -> None:
    node = _some_node(rng, model)
    if node is None:
        return
    if not node.attribute or rng.random() < 0.15:
        name = rng.choice(ATTRIBUTES)
        node.attribute.add().CopyFrom(onnx.helper.make_attribute(name, rng.choice(WHOLE)))
        return
    at = rng.randrange(len(node.attribute))
    attribute = node.attribute[at]
    match rng.randrange(8):
        case 0:
            del node.attribute[at]
        case 1:
            node.attribute.add().CopyFrom(attribute)
        case 2:
            attribute.type = rng.choice(AttributeProto.AttributeType.values())
        case 3:
            attribute.name = rng.choice((*ATTRIBUTES, *NAMES))
        case 4:
            name = attribute.name
            attribute.CopyFrom(onnx.helper.make_attribute(name, rng.choice(REAL)))
        case _:
            _values(rng, attribute)


def _values(rng: random.Random, attribute: AttributeProto) -> None:
    attribute.i = rng.choice(WHOLE)
    attribute.f = rng.choice(REAL)
    if attribute.s:
        attribute.s = rng.choice(NAMES).encode("utf-8", "ignore")
    for field, choices in ((attribute.ints, WHOLE), (attribute.floats, REAL)):
        if not field:
            continue
        match rng.randrange(4):
            case 0:
                del field[rng.randrange(len(field)) :]
            case 1:
                field.append(rng.choice(choices))
            case _:
                field[rng.randrange(len(field))] = rng.choice(choices)
    if attribute.HasField("t"):
        _tensor(rng, attribute.t)


# -- tensors ---------------------------------------------------------------------------------------


def _tensor(rng: random.Random, tensor: TensorProto) -> None:
    match rng.randrange(6):
        case 0:
            tensor.data_type = rng.choice(TYPES)
        case 1:
            tensor.dims.append(rng.choice((0, 1, 2, -1, 2**40)))
        case 2 if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((*WHOLE, 0, 1, 2))
        case 3 if tensor.raw_data:
            tensor.raw_data = damaged(rng, tensor.raw_data)
        case 4:
            tensor.name = rng.choice(NAMES)
        case _:
            _other_values(rng, tensor)


def _other_values(rng: random.Random, tensor: TensorProto) -> None:
    """Another number somewhere, of the same type."""
    try:
        array = numpy_helper.to_array(tensor).copy()
    except Exception:
        return
    if not array.size or array.dtype.kind not in "iuf":
        return
    flat = array.reshape(-1)
    for _ in range(rng.choice((1, 1, 3))):
        value = rng.choice(REAL if array.dtype.kind == "f" else WHOLE)
        with np.errstate(all="ignore"):
            flat[rng.randrange(flat.size)] = np.asarray(value).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _constants(rng: random.Random, model: ModelProto) -> None:
    graph = _some_graph(rng, model)
    if graph.initializer:
        at = rng.randrange(len(graph.initializer))
        if rng.random() < 0.1:
            del graph.initializer[at]
        elif rng.random() < 0.1:
            graph.initializer.add().CopyFrom(graph.initializer[at])
        else:
            _tensor(rng, graph.initializer[at])


def _fixed_input(rng: random.Random, model: ModelProto) -> None:
    """An input becomes a constant, of hostile values more often than not."""
    inputs = model.graph.input
    if not inputs:
        return
    value = inputs[rng.randrange(len(inputs))]
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if any(size < 0 or size > 64 for size in sizes) or np.prod(sizes, dtype=float) > 4096:
        return
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    except KeyError:
        return
    choices = REAL if np.dtype(dtype).kind == "f" else WHOLE
    few = [rng.choice(choices), rng.choice((0, 1, 2))]
    with np.errstate(all="ignore"):
        array = np.asarray([rng.choice(few) for _ in range(int(np.prod(sizes)))])
        if np.dtype(dtype).kind not in "iufb":
            return
        array = array.astype(dtype).reshape(sizes)
    model.graph.initializer.append(numpy_helper.from_array(array, value.name))


def _ports(rng: random.Random, model: ModelProto) -> None:
    ports = rng.choice((model.graph.input, model.graph.output))
    if not ports:
        return
    at = rng.randrange(len(ports))
    port, shape = ports[at], ports[at].type.tensor_type.shape
    match rng.randrange(8):
        case 0:
            del ports[at]
        case 1:
            ports.add().CopyFrom(port)
        case 2:
            port.name = rng.choice(NAMES)
        case 3:
            port.type.tensor_type.elem_type = rng.choice(TYPES)
        case 4 if shape.dim:
            del shape.dim[rng.randrange(len(shape.dim))]
        case 5:
            shape.dim.add().dim_value = rng.choice((*WHOLE, 1, 2, 3))
        case 6 if shape.dim:
            shape.dim[rng.randrange(len(shape.dim))].dim_param = rng.choice(NAMES)
        case _ if shape.dim:
            shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice((*WHOLE, 1, 2, 3))


def _versions(rng: random.Random, model: ModelProto) -> None:
    if model.opset_import and rng.random() < 0.8:
        one = model.opset_import[rng.randrange(len(model.opset_import))]
        one.version = rng.choice((*WHOLE, *range(1, 30)))
    else:
        model.ir_version = rng.choice(WHOLE)


MUTATORS: Sequence[Mutator] = (
    _wiring, _wiring, _nodes, _kind, _attributes, _attributes, _attributes, _constants, _constants,
    _fixed_input, _fixed_input, _ports, _ports, _versions,
)  # fmt: skip
OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
ATTRIBUTES = sorted({name for schema in onnx.defs.get_all_schemas() for name in schema.attributes})
