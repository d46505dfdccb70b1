"""Names from a model are data: in C, CMake, Markdown and wasm they do nothing but stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nn2wasm
from nn2wasm.api import Options, generate, plan_model
from nn2wasm.codegen.identifiers import comment_text, identifier
from nn2wasm.codegen.package import amalgamate, c_package
from nn2wasm.codegen.package_kinds import PACKAGE_KINDS, PackageKind
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_many, read_metadata
from nn2wasm.toolchain.zig import zig_path

NAMES = {
    "ends-a-comment": "*/ int hidden(void) { return 1; } /*",
    "line-comment": "// x \\",
    "directive": '#include "/etc/passwd"',
    "newlines": 'a\n#error "out"\r\n\v\f\x85\u2028b',
    "quotes": "\"'`",
    "cmake": "${CMAKE_COMMAND} $ENV{HOME} $<1:x> ;) #[[",
    "shell": "$(touch owned) `touch owned` | & ;",
    "backslashes": "\\\\ \\n \\x41 \\",
    "trigraphs": "??/ ??' ??=",
    "percent": "%s%n%d {{ name }} {% raw %} //% if",
    "markdown": "](javascript:x) <script>alert(1)</script> | `x` **b** ![](http://x)",
    "long": "n" * 10_000,
    "unicode": "größe_\u202e\u200b名前😀",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f",
    "spaces": "   ",
    "digits": "0123",
    "dots": "../../etc/passwd",
    "keyword": "while",
    "cpp-keyword": "class",
    "runtime-function": "nn_run",
    "our-prefix": "nn",
    "main": "main",
    "library-header": "string",
    "type": "int8_t",
    "macro": "null",
    "cmake-target": "test",
    "build-file": "nn_runtime",
}
DIRECTIVES = {
    "define",
    "elif",
    "else",
    "endif",
    "error",
    "if",
    "ifdef",
    "ifndef",
    "include",
    "pragma",
}
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror")
FACTORS = np.float32([[4, 5, 6], [7, 8, 9]])
FLOOR = np.float32([[3.5, 5.5, 5.5], [6.9, 6.8, 0]])


def model_named(name: str) -> onnx.ModelProto:
    """y = max(sigmoid(x · w + b) · c₁, c₂), with everything that has a name called `name`.

    The names of the constants differ in ways that identifiers cannot show.
    """
    x, y, w = f"{name}x", f"{name}y", f"{name}w"
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    constants = [
        numpy_helper.from_array(weights, w),
        numpy_helper.from_array(np.float32([1, 2, 3]), f"{name}.b"),
        numpy_helper.from_array(FACTORS, f"{name}.c" + "_" * 99 + "1"),
        numpy_helper.from_array(FLOOR, f"{name}_c" + "." * 99 + "2"),
    ]
    nodes = [
        helper.make_node("MatMul", [x, w], [f"{name}1"], name=f"{name}matmul"),
        helper.make_node("Add", [f"{name}1", f"{name}.b"], [f"{name}2"], name=name),
        helper.make_node("Sigmoid", [f"{name}2"], [f"{name}3"], name=name),
        helper.make_node("Mul", [f"{name}3", constants[2].name], [f"{name}4"], name=f"{name}mul"),
        helper.make_node("Max", [f"{name}4", constants[3].name], [y], name=f"{name}max"),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, (2, 4))],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, (2, 3))],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compiled(name: str, target: str = "c"):
    return plan_model(model_named(name), find_target(target), Options(name=name))


@pytest.fixture(scope="module")
def modules():
    trees = [generate(compiled(name, "wasm")) for name in NAMES.values()]
    return dict(zip(NAMES, build_many(trees, find_target("wasm"), strict=True), strict=True))


@pytest.mark.parametrize("key", NAMES)
def test_module_keeps_the_true_names(key, modules):
    name, metadata = NAMES[key], read_metadata(modules[key])
    assert metadata["model"] == name
    assert metadata["inputs"][0]["name"] == f"{name}x"
    assert metadata["outputs"][0]["name"] == f"{name}y"


def test_module_computes(modules, tmp_path):
    x = np.float32([[1, 0, -1, 2], [0, 0.5, 0, -1]])
    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    want = np.maximum(FACTORS / (1 + np.exp(-(x @ w + np.float32([1, 2, 3])))), FLOOR)
    for key, module in modules.items():
        (tmp_path / "x.wasm").write_bytes(module)
        with nn2wasm.load(tmp_path / "x.wasm") as session:
            answer = session.run({f"{NAMES[key]}x": x})[f"{NAMES[key]}y"]
        np.testing.assert_allclose(answer, want, rtol=1e-5, err_msg=key)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with one C package for each name."""
    folder = tmp_path_factory.mktemp("hostile")
    for key, name in NAMES.items():
        nn2wasm.compile_model(model_named(name), folder / key, options=Options(name=name))
    return folder


@pytest.mark.parametrize("key", NAMES)
def test_package_compiles_without_a_warning(key, packages):
    """In the folder of the package, which must not hide a header of the C library."""
    own = identifier(NAMES[key])
    command = [str(zig_path()), "cc", "-std=c11", *WARNINGS, "-I.", f"{own}.c", "main.c"]
    run([*command, "-o", "program"], packages / key)
    printed = run(["./program"], packages / key)
    assert printed.startswith("output 0: ")
    assert not list(packages.rglob("owned"))


@pytest.mark.parametrize("key", NAMES)
def test_cmake_reads_the_package(key, packages):
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which("gcc") is None:
        pytest.skip("cmake or gcc is not installed")
    text = (packages / key / "CMakeLists.txt").read_text()
    assert set(re.findall(r"\$\{\w+\}", text)) == {"${CMAKE_CURRENT_SOURCE_DIR}"}
    own = identifier(NAMES[key])
    assert re.fullmatch(r"[a-z][a-z0-9_]*", own)
    reference = (packages / "quotes" / "CMakeLists.txt").read_text()
    assert anonymous(text, own) == anonymous(reference, identifier(NAMES["quotes"]))


def anonymous(text: str, own: str) -> str:
    """A text with another identifier in place of a model's."""
    return re.sub(rf"\b{own}(?=_demo\b|\b)", "@", text)


def test_cmake_accepts_the_worst_names(packages, tmp_path):
    """All packages in one project: target names differ and none is reserved."""
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which("gcc") is None:
        pytest.skip("cmake or gcc is not installed")
    chosen: dict[str, str] = {}
    for key, name in NAMES.items():
        chosen.setdefault(identifier(name), key)
    folders = [f'add_subdirectory("{packages / key}" {key})' for key in chosen.values()]
    lines = ["cmake_minimum_required(VERSION 3.13)", "project(all_of_them C)", "enable_testing()"]
    (tmp_path / "CMakeLists.txt").write_text("\n".join([*lines, *folders, ""]))
    run([cmake, "-S", ".", "-B", "build"], tmp_path)


ENDINGS = r"[ch]|mk|ino|md|json|yml|conf|properties"
PATHS = rf"[a-zA-Z0-9_/]+\.({ENDINGS})|([a-z0-9_/]+/)?CMakeLists\.txt|Kconfig|Makefile"


@pytest.mark.parametrize("key", NAMES)
def test_text_of_the_files(key):
    """Printable ASCII alone, no line that a name has begun, no way out of a comment."""
    name = NAMES[key]
    tree = generate(compiled(name))
    reference = generate(compiled("plain"))
    for files in (*(c_package(tree, kind) for kind in PACKAGE_KINDS), amalgamate(tree, "x")):
        for path, text in files.items():
            assert re.fullmatch(PATHS, path)
            if path.removeprefix("src/").startswith("nn2wasm/"):
                continue
            assert isinstance(text, str)
            body = text.encode().replace(b"\t", b"")
            assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", body)
            assert b"??" not in body
            if path.endswith((".c", ".h", ".ino")):
                assert text.count("*/") == text.count("/*")
                assert set(re.findall(r"^ *# *(\w*)", text, re.MULTILINE)) <= DIRECTIVES
            if path.endswith(".md"):
                assert not re.search(r"<script|javascript:x\)|!\[", text)
    for kind in PACKAGE_KINDS:
        text, plain = (c_package(each, kind)["README.md"] for each in (tree, reference))
        assert text.count("\n") == plain.count("\n")


@pytest.mark.parametrize("key", NAMES)
def test_build_files_differ_by_the_identifier_alone(key):
    """Make, Kconfig, JSON and the like see nothing else of a name."""
    for kind in PACKAGE_KINDS:
        texts = [build_files(NAMES[key], kind), build_files("plain", kind)]
        assert texts[0] == texts[1]


def build_files(name: str, kind: PackageKind) -> str:
    """Paths and texts of a package's build files, with @ and % for the identifier."""
    own = identifier(name)
    text = "\n".join(
        f"{path}:\n{text}"
        for path, text in c_package(generate(compiled(name)), kind).items()
        if not path.endswith((".c", ".h", ".md", ".ino"))
    )
    for stem, mark in ((own, "@"), (own.upper(), "%")):
        text = re.sub(rf"((?<=lib)|(?<![a-zA-Z0-9])){stem}(?![a-zA-Z0-9])", mark, text)
    return text


@pytest.mark.parametrize("key", NAMES)
def test_comment_text(key):
    text = comment_text(NAMES[key])
    assert len(text) <= 60
    assert not re.search(r"[^ -~]|\*|\\|\?", text)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]
    return done.stdout
