"""``-o x.c``: one source and one header that compile alone, without a warning."""

from __future__ import annotations

import re

import pytest
from c_compilers import COMPILERS, WARNINGS, compile_c, compiler, run, run_unchecked
from small_networks import NETWORKS

import nn2wasm
from nn2wasm.codegen.package import runtime_headers
from nn2wasm.errors import TargetError

ALLOWED_SYMBOLS = {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}
LONGEST_LINE = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All small networks as single files, and digits from the examples."""
    path = tmp_path_factory.mktemp("single")
    for name, network in NETWORKS.items():
        nn2wasm.compile_model(network(), path / f"{name}.c")
    return path


def test_two_files_each(folder):
    assert {path.name for path in folder.iterdir() if path.suffix in (".c", ".h")} == {
        f"{name}.{ending}" for name in NETWORKS for ending in "ch"
    }


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("standard", ["c99", "c11", "gnu17"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_no_warning(folder, name, standard, level):
    for network in NETWORKS:
        source = f"{network}.c"
        compile_c(name, folder, f"-std={standard}", level, *WARNINGS, "-c", source, "-o", "x.o")


@pytest.mark.parametrize("network", NETWORKS)
def test_needs_no_library(folder, network):
    """Neither libm nor malloc: memory functions at most, which compilers insert anyway."""
    compile_c("gcc", folder, "-std=c11", "-O1", "-c", f"{network}.c", "-o", "x.o")
    names = {line.split()[-1] for line in run(["nm", "-u", "x.o"], folder).splitlines()}
    assert names <= ALLOWED_SYMBOLS


@pytest.mark.parametrize("network", NETWORKS)
def test_only_four_symbols_are_visible(folder, network):
    compile_c("gcc", folder, "-std=c11", "-O1", "-c", f"{network}.c", "-o", "x.o")
    defined = run(["nm", "-g", "--defined-only", "x.o"], folder).splitlines()
    assert {line.split()[-1] for line in defined} == {
        f"{network}_{function}" for function in ("input", "output", "run")
    }


def test_headers_are_inside_with_their_guards(folder):
    source = (folder / "conv_pool_softmax_f32.c").read_text()
    assert '#include "nn2wasm' not in source
    assert source.count("#ifndef NN2WASM_MATH_H") == source.count("#define NN2WASM_MATH_H") == 1
    assert "nn_exp(float v) {" in source
    assert "nn_erf" not in re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)


def test_only_used_headers_are_included(folder):
    assert "NN2WASM" not in (folder / "relu_f32.c").read_text()
    assert "<string.h>" not in (folder / "relu_f32.c").read_text()
    assert "NN2WASM_MATH_H" not in (folder / "depthwise_add_s8.c").read_text()


def test_every_function_of_the_runtime_can_be_left_out():
    """The cut goes by the form of a definition: one in another form would always stay."""
    from nn2wasm.codegen import package

    everything = '#include "nn2wasm/math.h"\n#include "nn2wasm/requantize.h"\n'
    for text in runtime_headers(everything).values():
        left = package._FUNCTION.sub("", text)
        assert "static" not in re.sub(r"/\*.*?\*/", "", left, flags=re.DOTALL)
        assert "{" not in re.sub(r"/\*.*?\*/", "", left, flags=re.DOTALL)


def test_nothing_uncalled_stays_of_kernels_for_words():
    from nn2wasm.codegen import package

    (text,) = runtime_headers('#include "nn2wasm/dsp.h"\n').values()
    assert not re.findall(r"^\w.*\bnn_\w+\(", package._FUNCTION.sub("", text), re.MULTILINE)


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_no_warning_where_words_are_multiplied(name, optimize, tmp_path):
    """The kernels for Arm's DSP extension, as every other machine compiles them."""
    for network in ("gemm_s8", "depthwise_add_s8"):
        source = f"{network}.c"
        options = nn2wasm.Options(optimize=optimize)
        path = tmp_path / source
        nn2wasm.compile_model(NETWORKS[network](), path, target="cortex-m4", options=options)
        assert "nn_dual_add" in (tmp_path / source).read_text()
        compile_c(name, tmp_path, "-std=c99", "-O2", *WARNINGS, "-c", source, "-o", "x.o")


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("network", ["gemm_s8", "conv_pool_softmax_f32"])
def test_fast_math_is_refused(folder, name, network):
    command = [*compiler(name), "-O2", "-ffast-math", "-c", f"{network}.c", "-o", "x.o"]
    done = run_unchecked(command, folder)
    assert done.returncode != 0
    assert "-ffast-math changes results" in done.stderr


def test_excess_precision_is_refused(folder):
    command = [*compiler("gcc"), "-mfpmath=387", "-c", "gemm_s8.c", "-o", "x.o"]
    if "x86_64" not in run([*compiler("gcc"), "-dumpmachine"], folder):
        pytest.skip("only x86 has an x87")
    done = run_unchecked(command, folder)
    assert done.returncode != 0
    assert "excess precision" in done.stderr


@pytest.mark.parametrize("network", NETWORKS)
def test_lines_are_short(folder, network):
    for path in (folder / f"{network}.c", folder / f"{network}.h"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert len(line) <= LONGEST_LINE, f"{path.name}:{number}: {line}"
            assert line == line.rstrip(), f"{path.name}:{number}: space at the end"
            assert "\t" not in line


@pytest.mark.parametrize("network", NETWORKS)
def test_no_empty_section(folder, network):
    source = (folder / f"{network}.c").read_text()
    assert not re.search(r"/\* ---- [^\n]*\n+/\* ----", source)
    assert "\n\n\n" not in source


def test_a_file_name_that_cannot_be_included(tmp_path):
    with pytest.raises(TargetError, match="cannot be included"):
        nn2wasm.compile_model(NETWORKS["relu_f32"](), tmp_path / 'a"b.c')
    assert not list(tmp_path.iterdir())


def test_the_file_may_have_another_name_than_the_model(tmp_path):
    nn2wasm.compile_model(NETWORKS["relu_f32"](), tmp_path / "My net-2.c")
    assert '#include "My net-2.h"' in (tmp_path / "My net-2.c").read_text()
    compile_c("gcc", tmp_path, "-std=c11", *WARNINGS, "-c", "My net-2.c", "-o", "x.o")
