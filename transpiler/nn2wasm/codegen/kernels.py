"""The kernels of a network: equal ones are written once, and those that differ only in sizes.

A template may name whole numbers (`Lowering.sizes`). A function that one set of them needs has
them as constants; where several layers need it with different ones, those are its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nn2wasm.codegen.environment import render_template
from nn2wasm.codegen.layout import wrapped_list
from nn2wasm.plan import Call

_NAME, _PARAMETERS, _CONSTANTS = "@name@", "@parameters@", "@constants@\n"
_OWN, _SHARED = f"static void {_NAME}(", f"NN_SHARED void {_NAME}("
_WORD = re.compile(r"[a-z_]\w*")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(slots=True)
class _Function:
    """A kernel's text with marks for what is decided last, and all sizes that it is wanted with."""

    symbol: str
    body: str
    wanted: list[dict[str, int]] = field(default_factory=list)
    calls: int = 0
    name: str = ""

    @property
    def parameters(self) -> list[str]:
        """Names of sizes that differ between layers."""
        first = self.wanted[0]
        return [name for name in first if any(sizes[name] != first[name] for sizes in self.wanted)]

    def text(self) -> str:
        parameters, first = self.parameters, self.wanted[0]
        constants = [f"{name} = {value}" for name, value in first.items() if name not in parameters]
        declared = "".join(f", int {name}" for name in parameters)
        if declared:
            declared = "," + wrapped_list([f"int {n}" for n in parameters], indent=4, taken=60)
        lines = wrapped_list(constants, indent=4, first="  const int ") + ";\n" if constants else ""
        body = self.body.replace(_OWN, _SHARED) if self.calls > 1 else self.body
        body = body.replace(_NAME, self.name).replace(_PARAMETERS, declared)
        return body.replace(_CONSTANTS, lines)


class KernelSet:
    """All kernels that calls need, in the order of their first use."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._functions: dict[tuple[str, str, tuple[str, ...]], _Function] = {}
        self._uses: dict[tuple[int, int], tuple[_Function, dict[str, int]]] = {}
        for call in calls:
            uses = [self._add(of_part) for of_part in call.kernels]
            for k, (function, sizes) in enumerate(uses):
                function.calls += (function, sizes) not in uses[:k]  # parts call it in a loop
        for index, function in enumerate(self._functions.values()):
            function.name = f"{function.symbol}_{index:02d}"

    def _add(self, call: Call) -> tuple[_Function, dict[str, int]]:
        kernel, lowering = call.choice.kernel, call.lowering
        marks = {
            "name": _NAME,
            "size_parameters": _PARAMETERS,
            "size_constants": _CONSTANTS.strip(),
        }
        body = render_template(kernel.template, lowering.context | marks)
        sizes = _named(body, lowering.sizes)
        key = (kernel.symbol, body, tuple(sizes))
        function = self._functions.setdefault(key, _Function(kernel.symbol, body))
        if sizes not in function.wanted:
            function.wanted.append(sizes)
        self._uses[call.index, call.part] = (function, sizes)
        return function, sizes

    def name_of(self, call: Call) -> str:
        """The function that a call runs."""
        return self._uses[call.index, call.part][0].name

    def size_arguments(self, call: Call) -> list[str]:
        """What is passed to the function's parameters behind all pointers."""
        function, sizes = self._uses[call.index, call.part]
        return [str(sizes[name]) for name in function.parameters]

    @property
    def any_shared(self) -> bool:
        """Whether several layers call one of the functions."""
        return any(function.calls > 1 for function in self._functions.values())

    def texts(self) -> list[str]:
        """The C of all functions."""
        return [function.text() for function in self._functions.values()]


def _named(body: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes that a text names."""
    if not sizes:
        return {}
    words = set(_WORD.findall(_COMMENT.sub("", body)))
    return {name: value for name, value in sizes.items() if name in words}
