"""Write the JavaScript that runs a module, and its TypeScript types.

It has no dependency and runs in browsers, Node, Deno and edge workers. One loader serves any
number of modules. Of a list of modules for several targets, best first, load() takes the first
that is for this engine and processor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nn2wasm.cli.output import print_json

DEFAULT_STEM = "loader"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "module",
        metavar="model.wasm",
        nargs="?",
        type=Path,
        help="write model.mjs and model.d.mts beside it",
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="a folder, or the name of the .mjs to write"
    )
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    from nn2wasm.files import write_files
    from nn2wasm.resources import data_folder

    if arguments.module is None and arguments.output is None:
        arguments.usage_error("nowhere to write to: give a module, or a folder with -o")
    folder, stem = _place(arguments.module, arguments.output)
    templates = data_folder("templates") / "model"
    files = {
        f"{stem}.mjs": (templates / "loader.mjs").read_bytes(),
        f"{stem}.d.mts": (templates / "loader.d.mts").read_bytes(),
    }
    write_files(folder, files)
    paths = [str(folder / name) for name in files]
    if arguments.json:
        print_json({"files": paths})
        return 0
    print(f'{paths[0]}: load("model.wasm") and run(), for browsers, Node, Deno, edge workers')
    print(f"{paths[1]}: its types, for TypeScript")
    return 0


def _place(module: Path | None, output: str | None) -> tuple[Path, str]:
    """Folder and stem of the two files."""
    stem = DEFAULT_STEM if module is None else module.stem
    if output is None:
        return Path() if module is None else module.parent, stem
    path = Path(output)
    return (path.parent, path.stem) if path.suffix == ".mjs" else (path, stem)
