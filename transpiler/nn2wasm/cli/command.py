"""The command line: finds the verb, runs it, and turns errors into text and exit codes.

Exit codes: 0 done; 2 wrong usage; that of the error's class in `nn2wasm.errors` (50: verification
found differences); 70 a fault of nn2wasm; 130 interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import nn2wasm
from nn2wasm.cli.output import print_json
from nn2wasm.errors import InternalError, Nn2wasmError, RunError

VERBS = {
    "compile": "model to WebAssembly, C or a shared library (the verb may be left out)",
    "run": "run a compiled model on arrays",
    "verify": "compare a compiled model with onnxruntime or onnx",
    "inspect": "layers, kernels, sizes and memory of a model or module",
    "fit": "whether a model fits a board, before anything is compiled or flashed",
    "boards": "boards that `fit` knows",
    "targets": "what can be compiled for",
    "ops": "ONNX operators that can be compiled",
    "loader": "write the JavaScript that runs a module",
    "rules": "where the rules for Make and CMake are, for models in your build",
}
DESCRIPTION = "Compiles neural networks (ONNX) ahead of time to small, exact C and WebAssembly."
EPILOG = """\
  nn2wasm model.onnx -o model.wasm     compile
  nn2wasm verify model.onnx            compare with a reference, every output
  nn2wasm inspect model.onnx           what each layer costs

`nn2wasm VERB --help` tells more."""

FLAGS = ("--debug", "--json", "--quiet")
"""Options that may stand before the verb."""

INTERRUPTED = 130
NO_READER = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code.

    Args:
        arguments: those of the process where left out.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal need not know every character
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _main(words)
    except SystemExit as stop:  # argparse: help, version, wrong usage
        code = stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:
        code = NO_READER
    except KeyboardInterrupt:
        code = INTERRUPTED
    return _flushed(code)


def _flushed(code: int) -> int:
    """Writes what is left of the output; the exit code if that fails."""
    try:
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return NO_READER
    except OSError as error:
        _drop_output()
        if code == 0:
            print(f"error: {error.strerror or error}", file=sys.stderr)
        return code or RunError.exit_code


def _main(words: list[str]) -> int:
    if not words:
        _overview().print_help(sys.stderr)
        return 2
    if words[0] in ("-h", "--help", "--version"):
        _overview().parse_args(words)
    verb, rest = _verb(words)
    module = importlib.import_module(f"nn2wasm.cli.{verb}")
    parser = argparse.ArgumentParser(
        prog=f"nn2wasm {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    module.add_arguments(parser)
    options = parser.parse_args(rest)
    try:
        return int(module.run(options))
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:
        return _report(error, as_json=options.json, debug=options.debug)


def _overview() -> argparse.ArgumentParser:
    verbs = "".join(f"  {name:<10}{text}\n" for name, text in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="nn2wasm",
        usage="nn2wasm model.onnx -o model.wasm\n       nn2wasm VERB …",
        description=f"{DESCRIPTION}\n\nverbs:\n{verbs}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nn2wasm {nn2wasm.__version__}")
    return parser


def _verb(words: list[str]) -> tuple[str, list[str]]:
    """The verb and what is said beside it; a model in its place means `compile`."""
    place = next((i for i, word in enumerate(words) if word not in FLAGS), 0)
    first = words[place]
    if first in VERBS:
        return first, words[:place] + words[place + 1 :]
    is_bare = first.replace("-", "").isalpha() and not first.startswith("-")
    if is_bare and not os.path.exists(first):
        _usage_error(first)
    return "compile", words


def _usage_error(word: str) -> NoReturn:
    nearest = difflib.get_close_matches(word, VERBS, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; verbs are {', '.join(VERBS)}"
    _overview().error(f"{word!r} is neither a verb nor a file{hint}")


def _report(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Prints an error; its exit code. Whatever is not ours is a fault of nn2wasm."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, OSError):  # a full disk, a folder that vanished: not our fault
        where = [("file", str(error.filename))] if error.filename else []
        error = RunError(error.strerror or str(error), facts=where)
    if isinstance(error, Nn2wasmError):
        known, text = error, f"error: {error}"
    else:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        known = InternalError(reason, hint="please report this")
        again = "" if debug else "run with --debug for the traceback, and "
        text = f"internal error: {reason}; {again}please report"
    if as_json:
        described = {
            "class": type(known).__name__,
            "message": known.message,
            "facts": [list(fact) for fact in known.facts],
            "hint": known.hint,
        }
        print_json({"error": described})
    elif not debug or known is not error:
        print(text, file=sys.stderr)
    return known.exit_code


def _drop_output() -> None:
    """Lets Python end without a word about the pipe that closed."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
