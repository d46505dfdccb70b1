"""``-o folder/``: a package that builds as it stands, alone or inside a firmware."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
from c_compilers import COMPILERS, WARNINGS, compile_c, compiler, run
from small_networks import NETWORKS

import nn2wasm
from nn2wasm.api import Options

S8, F32 = "gemm_s8", "conv_pool_softmax_f32"
DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_int8.onnx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the packages of all small networks."""
    path = tmp_path_factory.mktemp("packages")
    for name, network in NETWORKS.items():
        nn2wasm.compile_model(network(), path / name, options=Options(name=name))
    return path


@pytest.fixture
def cmake():
    path = shutil.which("cmake")
    if path is None:
        pytest.skip("cmake is not installed")
    compiler("gcc")
    return path


def test_the_files(folder):
    files = {p.relative_to(folder / S8).as_posix() for p in (folder / S8).rglob("*") if p.is_file()}
    own = {"main.c", "CMakeLists.txt", "README.md", f"{S8}.c", f"{S8}.h"}
    assert files == own | {"nn2wasm/requantize.h"}


def test_as_the_readme_says(cmake, folder, tmp_path):
    """The program runs the network on main.c's pattern: the same answer as the module's."""
    shutil.copytree(folder / S8, tmp_path / "firmware")
    package = tmp_path / "firmware"
    output = run([cmake, "-S", ".", "-B", "build"], package)
    assert "Warning" not in output
    output = run([cmake, "--build", "build"], package)
    assert "warning" not in output
    printed = run([f"./build/{S8}_demo"], package)
    nn2wasm.compile_model(NETWORKS[S8](), tmp_path / "x.wasm")
    pattern = (np.arange(9) % 17 / 8 - 1).astype(np.float32).reshape(1, 1, 3, 3)
    with nn2wasm.load(tmp_path / "x.wasm") as session:
        expected = session.run({"x": pattern})["y"].reshape(-1)
    values = re.search(r"^output 0:(.*)$", printed, re.MULTILINE)[1].split()
    np.testing.assert_allclose([float(v) for v in values], expected, rtol=1e-5)
    assert f"the largest of 5 is element {expected.argmax()}" in printed


def test_two_packages_in_one_program(cmake, folder, tmp_path):
    """By add_subdirectory: no demo, no main(), no symbol twice."""
    (tmp_path / "main.c").write_text(
        textwrap.dedent(f"""\
        #include "{S8}.h"
        #include "{F32}.h"

        static _Alignas(16) unsigned char first[{S8.upper()}_ARENA_BYTES];
        static _Alignas(16) unsigned char second[{F32.upper()}_ARENA_BYTES];

        int main(void) {{
          return {S8}_run(first) + {F32}_run(second);
        }}
        """)
    )
    (tmp_path / "CMakeLists.txt").write_text(
        textwrap.dedent(f"""\
        cmake_minimum_required(VERSION 3.13)
        project(firmware C)
        add_subdirectory({folder / S8} a)
        add_subdirectory({folder / F32} b)
        add_executable(firmware main.c)
        target_link_libraries(firmware PRIVATE {S8} {F32})
        """)
    )
    run([cmake, "-S", ".", "-B", "build"], tmp_path)
    run([cmake, "--build", "build"], tmp_path)
    run(["./build/firmware"], tmp_path)
    assert not list(tmp_path.rglob("*_demo"))


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_no_warning(folder, name, network):
    """main.c too, with and without a console."""
    package, options = folder / network, ("-std=c11", "-O2", *WARNINGS)
    compile_c(name, package, *options, f"{network}.c", "main.c", "-o", "program")
    compile_c(name, package, *options, "-DNN_NO_STDIO", "-c", "main.c", "-o", "main.o")
    symbols = run(["nm", "-u", "main.o"], package)
    assert "printf" not in symbols
    assert "puts" not in symbols


def test_from_cpp(folder, tmp_path):
    source = f"""\
        #include "{F32}.h"

        alignas(16) static unsigned char arena[{F32.upper()}_ARENA_BYTES];

        int main() {{
          static_cast<{F32.upper()}_INPUT_0_TYPE *>({F32}_input(arena, 0))[0] = 1.0f;
          return {F32}_run(arena);
        }}
        """
    (tmp_path / "main.cpp").write_text(textwrap.dedent(source))
    package = folder / F32
    compile_c("gcc", tmp_path, "-std=c11", "-O1", "-c", str(package / f"{F32}.c"), "-o", "net.o")
    command = [*compiler("g++"), "-Wall", "-Wextra", "-Werror", "-Wold-style-cast", f"-I{package}"]
    run([*command, "main.cpp", "net.o", "-o", "program"], tmp_path)
    run(["./program"], tmp_path)


def test_constants_can_be_placed(folder):
    macro = '-DNN_WEIGHTS=__attribute__((section(".flash")))'
    compile_c("gcc", folder / S8, "-std=c11", "-O1", macro, "-c", f"{S8}.c", "-o", "placed.o")
    sizes = {
        fields[0]: int(fields[1])
        for line in run(["size", "-A", "placed.o"], folder / S8).splitlines()
        if len(fields := line.split()) == 3 and fields[1].isdigit()
    }
    artifact = nn2wasm.compile_model(NETWORKS[S8](), folder / "again")
    padding = sizes[".flash"] - artifact.weight_bytes
    assert 0 <= padding < 32 * len(artifact.compiled.plan.calls)


def test_constants_go_where_the_readme_says(cmake, folder, tmp_path):
    readme = (folder / S8 / "README.md").read_text()
    line = re.search(r"^With `(target_compile_definitions.*?)` they", readme, re.MULTILINE)[1]
    head = "cmake_minimum_required(VERSION 3.13)\nproject(firmware C)\n"
    (tmp_path / "CMakeLists.txt").write_text(f"{head}add_subdirectory({folder / S8} a)\n{line}\n")
    run([cmake, "-S", ".", "-B", "build"], tmp_path)
    run([cmake, "--build", "build"], tmp_path)
    assert ".flash" in run(["size", "-A", f"build/a/lib{S8}.a"], tmp_path)


def test_no_mutable_data(folder):
    """All state is in the caller's arena."""
    for network in NETWORKS:
        compile_c("gcc", folder / network, "-std=c11", "-O1", "-c", f"{network}.c", "-o", "net.o")
        for line in run(["size", "-A", "net.o"], folder / network).splitlines():
            fields = line.split()
            if fields and fields[0].startswith((".data", ".bss")):
                assert fields[1] == "0" or ".ro" in fields[0], line


def test_the_readme_states_the_sizes(tmp_path):
    artifact = nn2wasm.compile_model(DIGITS, tmp_path / "firmware")
    text = (tmp_path / "firmware" / "README.md").read_text()
    assert f"| {artifact.arena_bytes} bytes" in text
    assert f"| {artifact.weight_bytes} bytes" in text
    header = (tmp_path / "firmware" / "digits_int8.h").read_text()
    assert f"_ARENA_BYTES {artifact.arena_bytes}\n" in header


def test_every_number_format(tmp_path):
    """main.c fills and prints whatever the model has: bytes, booleans, 64-bit integers."""
    import onnx
    from onnx import TensorProto, helper

    types = {"u": TensorProto.UINT8, "i": TensorProto.INT64, "b": TensorProto.BOOL}
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in types]
    graph = helper.make_graph(
        nodes,
        "types",
        [helper.make_tensor_value_info(name, kind, (3,)) for name, kind in types.items()],
        [helper.make_tensor_value_info(f"{n}_out", kind, (3,)) for n, kind in types.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert isinstance(model, onnx.ModelProto)
    nn2wasm.compile_model(model, tmp_path / "types", options=Options(name="types"))
    package = tmp_path / "types"
    compile_c("gcc", package, "-std=c11", *WARNINGS, "types.c", "main.c", "-o", "program")
    lines = run(["./program"], package).splitlines()
    assert lines[0] == "output 0: 0 1 2"
    assert lines[2] == "output 1: 0 0 0"
    assert lines[4] == "output 2: 0 1 0"
