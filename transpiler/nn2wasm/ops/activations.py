"""Activations of recurrent cells: names, alpha and beta as ONNX's RNN, GRU and LSTM write them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.unary import FUNCTIONS, VECTORS

_PARAMETER = re.compile(r"\bp(\d)\b")


class _Form(NamedTuple):
    """An activation's C of one float and of four, and its parameters: alpha, then beta.

    A default that is None must be given in the model.
    """

    c: str
    vector: str
    defaults: tuple[float | None, ...] = ()


def _known(name: str, vector: str = "") -> _Form:
    """One of the functions of `ops.unary`."""
    function = FUNCTIONS[name]
    defaults = tuple(default for _, default in function.attributes)
    return _Form(function.c, vector or VECTORS[name], defaults)


_FORMS: dict[str, _Form] = {
    "Relu": _known("Relu", "nn_max4(v, nn_splat4(0.0f))"),
    "Tanh": _known("Tanh"),
    "Sigmoid": _known("Sigmoid"),
    "Affine": _Form("p0 * v + p1", "p0 * v + p1", (None, None)),
    "LeakyRelu": _known("LeakyRelu", "nn_select4((v128_t)(v >= 0.0f), v, p0 * v)"),
    "ThresholdedRelu": _known(
        "ThresholdedRelu", "nn_select4((v128_t)(v > p0), v, nn_splat4(0.0f))"
    ),
    "ScaledTanh": _Form("p0 * nn_tanh(p1 * v)", "p0 * nn_tanh4(p1 * v)", (None, None)),
    "HardSigmoid": _known("HardSigmoid"),
    "Elu": _known("Elu"),
    "Softsign": _known("Softsign", "v / (1.0f + nn_abs4(v))"),
    "Softplus": _known("Softplus"),
}
_BY_LOWER_NAME = {name.lower(): name for name in _FORMS}


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of one float with its parameters."""

    name: str
    params: tuple[float, ...] = ()

    def text(self, *, vectors: bool) -> str:
        """The C expression of `v`, a float or four of them."""
        form = _FORMS[self.name]
        values = [float_literal(value) for value in self.params]
        return _PARAMETER.sub(
            lambda found: values[int(found[1])], form.vector if vectors else form.c
        )


def read_activations(
    node: OnnxNode, defaults: tuple[str, ...], directions: int
) -> list[tuple[Activation, ...]]:
    """The activations of each direction.

    Alphas and betas are taken in order by those activations that have one, as onnxruntime does.

    Args:
        node: with the attributes activations, activation_alpha, activation_beta.
        defaults: names of one direction's.
        directions: how many.

    Raises:
        InvalidModel: an unknown name, another number of names, a parameter that is missing.
    """
    wanted = len(defaults) * directions
    names = node.attr_strings("activations") or defaults * directions
    if len(names) != wanted:
        raise node.invalid(f"{len(names)} activations, {wanted} are expected")
    given = [list(node.attr_floats(f"activation_{name}") or ()) for name in ("alpha", "beta")]
    found = []
    for written in names:
        name = _BY_LOWER_NAME.get(written.lower())
        if name is None:
            raise node.invalid(f"the activation {written[:40]!r}", hint=f"ONNX has {_all_names()}")
        params = []
        for values, default in zip(given, _FORMS[name].defaults, strict=False):
            value = values.pop(0) if values else default
            if value is None:
                raise node.invalid(f"the activation {name} without alpha or beta")
            if not math.isfinite(value):
                raise node.invalid(f"the activation {name} with {value}")
            params.append(value)
        found.append(Activation(name, tuple(params)))
    count = len(defaults)
    return [tuple(found[i : i + count]) for i in range(0, wanted, count)]


def _all_names() -> str:
    return ", ".join(_FORMS)
