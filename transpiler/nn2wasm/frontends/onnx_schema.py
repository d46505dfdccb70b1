"""Nodes against the schemas of their operators: numbers of inputs and outputs, and attributes.

A file that breaks them was written by a broken tool, or by hand, and what it means is a guess: an
input that no operator of that version has would be ignored without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx.defs import OpSchema

from nn2wasm.errors import quote

if TYPE_CHECKING:
    from nn2wasm.ops.onnx_node import OnnxNode

LISTED_NAMES = 12
_KINDS: Mapping[str, tuple[type, type | None]] = {
    "FLOAT": (float, None),
    "INT": (int, None),
    "STRING": (str, None),
    "TENSOR": (np.ndarray, None),
    "GRAPH": (onnx.GraphProto, None),
    "FLOATS": (tuple, float),
    "INTS": (tuple, int),
    "STRINGS": (tuple, str),
}
"""Class of a plain value, and of its items, by the type of an attribute."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a schema says of a node; reading it from onnx each time takes longer than the rest."""

    dropped: bool
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    required_inputs: tuple[bool, ...]
    attributes: Mapping[str, str]
    required_attributes: tuple[str, ...]


@cache
def _rules(domain: str, op_type: str, opset: int) -> _Rules | None:
    """None where that version of the domain has no such operator."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None
    single = OpSchema.FormalParameterOption.Single
    attributes = schema.attributes.items()
    return _Rules(
        # GroupNormalization is deprecated in the version that it came with, which exporters wrote.
        schema.deprecated and _rules(domain, op_type, schema.since_version - 1) is not None,
        (schema.min_input, schema.max_input),
        (schema.min_output, schema.max_output),
        tuple(each.option == single for each in schema.inputs),
        {name: attribute.type.name for name, attribute in attributes},
        tuple(name for name, attribute in attributes if attribute.required),
    )


def check_schema(node: OnnxNode, inputs: tuple[str, ...], attributes: Mapping[str, object]) -> None:
    """Refuses a node that its operator's schema does not allow; operators without one pass.

    Args:
        node: that messages are about.
        inputs: names, empty where left out.
        attributes: plain values by name.

    Raises:
        InvalidModel: an operator that the version does not have, too many or too few inputs or
            outputs, an attribute that is unknown, missing or of another type.
    """
    if not onnx.defs.has(node.op_type, node.domain):
        return
    rules = _rules(node.domain, node.op_type, node.opset)
    label = f"version {node.opset} of {node.domain or 'ai.onnx'}"
    if rules is None:
        raise node.invalid(f"{label} has no operator {node.op_type}")
    if rules.dropped:
        raise node.invalid(f"{label} has dropped {node.op_type}", "export with a lower version")
    _check_counts(node, inputs, rules)
    for name in rules.required_attributes:
        if name not in attributes:
            raise node.invalid(f"attribute {name} is missing")
    for name, value in attributes.items():
        if name not in rules.attributes:
            known = ", ".join(sorted(rules.attributes)[:LISTED_NAMES]) or "none"
            raise node.invalid(
                f"{node.op_type} of {label} has no attribute {quote(name)}", f"it has {known}"
            )
        if not _is_of_kind(value, rules.attributes[name]):
            raise node.invalid(f"attribute {name} must be of type {rules.attributes[name]}")


def _check_counts(node: OnnxNode, inputs: tuple[str, ...], rules: _Rules) -> None:
    given = len(inputs)
    while given and not inputs[given - 1]:
        given -= 1
    _check_count(node, given, rules.inputs, "input")
    _check_count(node, len(node.output_names), rules.outputs, "output")
    for index, (name, required) in enumerate(zip(inputs, rules.required_inputs, strict=False)):
        if required and not name:
            raise node.invalid(f"input {index} is missing")


def _check_count(node: OnnxNode, given: int, limits: tuple[int, int], what: str) -> None:
    least, most = limits
    if least <= given <= most:
        return
    if least == most:
        takes = f"{least}"
    elif given < least:
        takes = f"at least {least}"
    else:
        takes = f"at most {most}"
    plural = "" if given == 1 else "s"
    raise node.invalid(f"{given} {what}{plural}; it has {takes}")


def _is_of_kind(value: object, kind: str) -> bool:
    if kind not in _KINDS:
        return True
    whole, item = _KINDS[kind]
    if not isinstance(value, whole):
        return False
    return item is None or not value or isinstance(value[0], item)  # type: ignore[index]
