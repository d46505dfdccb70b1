"""Where the rules are that compile models as a part of other people's builds.

Prints a folder. In a Makefile:

  include $(shell nn2wasm rules)/nn2wasm.mk

In a CMakeLists.txt:

  execute_process(COMMAND nn2wasm rules
    OUTPUT_VARIABLE nn2wasm_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
  find_package(nn2wasm CONFIG REQUIRED)
  nn2wasm_add_model(digits models/digits.onnx)

The files themselves say more. With -o they are copied, for projects that keep them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nn2wasm.cli.output import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, help="copy them there, and print that folder"
    )


def run(arguments: argparse.Namespace) -> int:
    from nn2wasm.files import write_files
    from nn2wasm.resources import data_folder

    folder = data_folder("templates") / "rules"
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    if arguments.output is not None:
        folder = arguments.output
        write_files(folder, files)
    if arguments.json:
        print_json({"folder": str(folder), "files": list(files)})
    else:
        print(folder)
    return 0
