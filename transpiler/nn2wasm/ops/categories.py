"""Categories as numbers: ai.onnx.ml LabelEncoder-1.., CategoryMapper-1, OneHotEncoder-1.

Keys that are strings are known at compile time, since strings are indices into `Tensor.labels`;
numbers are searched for among the keys. From version 4 on NaN may be one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, DType, Node, Tensor, TensorType
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.lookup import Lookup
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp, KernelOp
from nn2wasm.ops.shape import Reshape

KEYS = (DType.F32, DType.F64, DType.S64, DType.S32, DType.S16)


@dataclass(frozen=True)
class FindKey(KernelOp):
    """The place of each element among keys in ascending order, the second input; their count where
    it is none. NaN, where it is a key, is the last, and equals NaN.
    """

    kernels = (
        Kernel(symbol="nn_find_key__scalar", template="categories/find__scalar.c.j2", dtype="any"),
    )

    nan: bool = False

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(DType.S64, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, keys = np.asarray(inputs[0]), np.asarray(inputs[1])
        place = np.minimum(np.searchsorted(keys, x), len(keys) - 1)
        same = (keys[place] == x) | (np.isnan(x) if self.nan else False)
        return [np.where(same, place, len(keys))]

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, keys = node.input(0), node.input(1)
        context = {
            "count": x.element_count,
            "type": x.dtype.c_name,
            "keys": keys.element_count,
            "searched": keys.element_count - self.nan,
            "nan": self.nan,
        }
        return Lowering(context=context, constants={"key": keys.value})


class LabelEncoder(ImportOp):
    """Each key becomes its value, whatever is no key the default."""

    onnx_types = ("ai.onnx.ml.LabelEncoder", "ai.onnx.ml.CategoryMapper")
    reads_strings = True
    reads_doubles = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if node.op_type == "CategoryMapper":
            keys, values = _categories(node, x, "cats_strings", node.attr_ints("cats_int64s"))
        elif node.opset < 2:
            texts = node.attr_strings("classes_strings") or ()
            keys, values = _categories(node, x, "classes_strings", range(len(texts)))
        else:
            keys = _side(node, "keys")
            values = _side(node, "values", count=len(keys))
        if not len(keys) or len(keys) != len(values):
            raise node.invalid(f"{len(keys)} keys for {len(values)} values")
        default = _default(node, values)
        _emit(node, x, keys, np.concatenate([values, np.asarray([default], values.dtype)]))


def _categories(
    node: OnnxNode, x: Tensor, strings: str, numbers: Sequence[int] | None
) -> tuple[Array, Array]:
    """Strings and numbers that stand for each other; which are keys the input's type says."""
    texts = np.asarray(node.attr_strings(strings) or (), object)
    integers = np.asarray(numbers or (), np.int64)
    return (texts, integers) if x.holds_strings else (integers, texts)


def _side(node: OnnxNode, side: str, count: int = 0) -> Array:
    """Keys or values, in whichever form they are; a tensor of one value is for `count` keys."""
    lists = (
        (node.attr_strings(f"{side}_strings"), object),
        (node.attr_ints(f"{side}_int64s"), np.int64),
        (node.attr_floats(f"{side}_floats"), np.float32),
    )
    given = [np.asarray(found, dtype) for found, dtype in lists if found]
    tensor = node.attr_tensor(f"{side}_tensor", strings=True)
    if tensor is not None:
        given.append(np.repeat(tensor.reshape(-1), count if tensor.size == 1 and count else 1))
    if len(given) != 1:
        raise node.invalid(f"its {side} are given in {len(given)} ways")
    return given[0]


def _default(node: OnnxNode, values: Array) -> object:
    """What becomes of elements that are no key."""
    tensor = node.attr_tensor("default_tensor", strings=True)
    if tensor is not None:
        if tensor.size != 1 or (tensor.dtype == object) != (values.dtype == object):
            raise node.invalid("its default_tensor is no value of its values' type")
        return tensor.reshape(-1)[0]
    if values.dtype == object:
        return node.attr_str("default_string", "_Unused")
    if values.dtype.kind == "f":
        return node.attr_float("default_float", -0.0)
    return node.attr_int("default_int64", -1)


def _emit(node: OnnxNode, x: Tensor, keys: Array, values: Array) -> None:
    """The values of the places of x among the keys; the last value where it is none."""
    if x.holds_strings != (keys.dtype == object):
        raise node.invalid("its keys are not of its input's type")
    if x.holds_strings:
        value_of = dict(zip(reversed(keys.tolist()), reversed(values[:-1].tolist()), strict=True))
        known = [value_of.get(label, values[-1]) for label in x.labels]
        index, table = x, node.value(np.asarray(known, values.dtype), "values")
    else:
        if x.dtype not in KEYS or keys.dtype.kind != x.dtype.numpy.kind:
            raise node.invalid(f"keys of type {keys.dtype} for elements of type {x.dtype.value}")
        keys = keys.astype(x.dtype.numpy)
        nan = bool(x.dtype.is_float and np.isnan(keys).any())
        if nan and node.opset < 4:  # a NaN was equal to nothing then
            values = values[np.append(~np.isnan(keys), True)]
            keys, nan = keys[~np.isnan(keys)], False
            if not keys.size:
                raise node.unsupported("keys that equal nothing")
        ordered, first = np.unique(keys, return_index=True)
        op, table_of_keys = FindKey(nan), node.value(ordered, "keys")
        index = node.add(op, [x, table_of_keys], suffix="place")
        table = node.value(np.append(values[first], values[-1:]), "values")
    found = node.add(Lookup(), [index, table], suffix="value")
    found.labels = table.labels
    node.alias(found)


class OneHotEncoder(ImportOp):
    """A new last axis with 1 at the category of each element; all 0 where it is none of them.

    With `zeros` 0 onnxruntime refuses inputs that are no category; compiled models cannot.
    """

    onnx_types = ("ai.onnx.ml.OneHotEncoder",)
    reads_strings = True
    reads_doubles = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        texts, numbers = node.attr_strings("cats_strings"), node.attr_ints("cats_int64s")
        if bool(texts) == bool(numbers) or bool(texts) != x.holds_strings:
            raise node.invalid("its categories are not of its input's type")
        if texts:
            places = {label: index for index, label in enumerate(x.labels)}
            numbers = tuple(places.get(text, -1) for text in texts)
        elif x.dtype not in KEYS:
            raise node.invalid(f"elements of type {x.dtype.value}")
        wide = x
        if x.dtype is not DType.S64:
            wide = node.add(Cast(DType.S64), [x], suffix="whole")
        wide = node.add(Reshape((*x.shape, 1)), [wide], suffix="column")
        wide.labels = ()
        categories = node.value(np.asarray(numbers, np.int64), "categories")
        same = node.add(Binary("Equal"), [wide, categories], suffix="same")
        node.emit(Cast(DType.F32), [same])
