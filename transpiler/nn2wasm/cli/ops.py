"""List the ONNX operators that can be compiled."""

from __future__ import annotations

import argparse

from nn2wasm.cli.output import print_json
from nn2wasm.cli.table import table

HEADINGS = ("operator", "domain", "compiled as", "kernels for")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


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
    print(table(HEADINGS, rows))
    return 0
