"""The limits we keep ourselves to; an exception needs a line with a reason."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nn2wasm.target import TARGETS

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "transpiler" / "nn2wasm"
SOURCES = sorted(PACKAGE.rglob("*.py"))
OWN_TEXT = sorted(
    path
    for folder in (
        "transpiler",
        "templates",
        "runtime_c",
        "tests",
        "examples",
        "benchmarks",
        "docs",
    )
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in (".py", ".j2", ".c", ".h", ".mjs", ".mts", ".md") and path.is_file()
    if not {".mypy_cache", "__pycache__", "node_modules", ".venv"} & set(path.parts)
)

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_RUNTIME = 4000
"""A third is for instruction sets, each again in plain C so that any machine tests it."""

LONGER_FILES: dict[str, str] = {
    # path below nn2wasm: why it may be longer
    "ops/conv.py": "a convolution has kernels for seven instruction sets, each a few lines here",
}
LONGER_FUNCTIONS: dict[str, str] = {
    # path below nn2wasm:function: why it may be longer
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring: explaining costs nothing."""
    length = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        length -= (first.end_lineno or 0) - first.lineno + 1
    return length


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_file_length(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_FILE or name_of(path) in LONGER_FILES, f"{lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_function_length(path):
    for function in functions(path):
        length = length_of(function)
        where = f"{name_of(path)}:{function.name}"
        assert length <= LONGEST_FUNCTION or where in LONGER_FUNCTIONS, f"{where}: {length} lines"


def test_exceptions_are_still_needed():
    for name in LONGER_FILES:
        assert (PACKAGE / name).read_text(encoding="utf-8").count("\n") > LONGEST_FILE
    for name in LONGER_FUNCTIONS:
        path, _, function = name.partition(":")
        lengths = {f.name: length_of(f) for f in functions(PACKAGE / path)}
        assert lengths[function] > LONGEST_FUNCTION


def test_the_runtime_stays_small():
    files = [p for p in (REPOSITORY / "runtime_c").rglob("*") if p.suffix in (".c", ".h")]
    assert sum(p.read_text(encoding="utf-8").count("\n") for p in files) <= LONGEST_RUNTIME


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.relative_to(PACKAGE).parts[0] not in ("cli", "__main__.py")],
    ids=name_of,
)
def test_only_the_command_prints(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "breakpoint", "input"), f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            console = node.value.id == "sys" and node.attr in ("stdout", "stderr", "exit")
            assert not console, f"line {node.lineno}: sys.{node.attr}"


def test_nothing_is_put_off():
    """What is not done is in docs, with its reason; not in a marker that nobody reads."""
    marker = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in OWN_TEXT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marker.search(line)
    ]
    assert not found


@pytest.mark.parametrize("word", ["utils", "util", "helpers", "common", "misc", "manager"])
def test_no_drawer_for_odds_and_ends(word):
    assert not [p for p in SOURCES if word in (*p.relative_to(PACKAGE).parts, p.stem)]


def test_names_of_targets_and_features_stay_in_the_table():
    """Whoever asks "is this wasm?" by a name has found something that `Target` should say."""
    names = {target.name for target in TARGETS} - {"c"}
    allowed = {"target.py", "api.py"}  # the table, and the default of each kind of output
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        if name_of(path) not in allowed and "cli" not in path.parts and "tools" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if isinstance(side, ast.Constant) and side.value in names
    ]
    assert not found


def test_import_layers(tmp_path):
    """import-linter's contract in pyproject.toml: each stage uses those below it."""
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run(
        [linter, "--config", str(REPOSITORY / "pyproject.toml"), "--no-cache", "--no-logo"],
        cwd=REPOSITORY / "transpiler",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
def test_docs_tell_of_every_target(target):
    pages = [*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md"]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    assert any(f"`{target}`" in text or f"--target {target}" in text for text in texts)
