"""List the ONNX operators that can be compiled."""

from __future__ import annotations

import argparse

from nn2wasm.cli.output import print_json
from nn2wasm.cli.table import markdown, table

HEADINGS = ("operator", "domain", "compiled as", "kernels for")
INTRODUCTION = """\
# Operators

Written by `nn2wasm ops --markdown`. *Kernels for* are the element types that the operation's own
kernels compute on; quantized (QDQ) models also compute others on int8, by a table of their 256
results or by arithmetic on integers. Operators without kernels vanish: they are evaluated while
compiling, or become other operations.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="print docs/operators.md")


def run(arguments: argparse.Namespace) -> int:
    from nn2wasm.tools.operators import list_operators

    operators = list_operators()
    if arguments.json:
        print_json(
            [
                {"name": o.name, "domain": o.domain, "op": o.op, "dtypes": list(o.dtypes)}
                for o in operators
            ]
        )
        return 0
    rows = [(o.name, o.domain or "ai.onnx", o.op, ", ".join(o.dtypes) or "–") for o in operators]
    if arguments.markdown:
        print(f"{INTRODUCTION}\n{markdown([heading.capitalize() for heading in HEADINGS], rows)}")
    else:
        print(table(HEADINGS, rows))
    return 0
