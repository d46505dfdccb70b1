"""Two networks in one program, from C and from C++: no name of one meets the other's."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest
from c_compilers import COMPILERS, WARNINGS, compile_c, compiler, run
from small_networks import NETWORKS

import nn2wasm
from nn2wasm.api import Options

FIRST, SECOND = "conv_s8", "conv_pool_softmax_f32"
"""Both use the runtime's headers; the one on integers, the other on floats."""
LANGUAGES = {"c": "c11", "cpp": "c++17"}

PROGRAM = """\
    #include <stdio.h>
    {includes}
    #ifdef __cplusplus
    #define ALIGNED alignas(16)
    #else
    #define ALIGNED _Alignas(16)
    #endif

    ALIGNED static unsigned char first[{first_upper}_ARENA_BYTES];
    ALIGNED static unsigned char second[{second_upper}_ARENA_BYTES];

    static void fill(float *x, int count) {{
      for (int i = 0; i < count; ++i) x[i] = (float)i / 8.0f - 0.5f;
    }}

    static void show(const float *y, int count) {{
      for (int i = 0; i < count; ++i) printf("%.9g ", (double)y[i]);
      printf("\\n");
    }}

    int main(void) {{
      fill((float *){first}_input(first, 0), {first_upper}_INPUT_0_COUNT);
      fill((float *){second}_input(second, 0), {second_upper}_INPUT_0_COUNT);
      const int status = {first}_run(first) + {second}_run(second);
      show((const float *){first}_output(first, 0), {first_upper}_OUTPUT_0_COUNT);
      show((const float *){second}_output(second, 0), {second_upper}_OUTPUT_0_COUNT);
      return status;
    }}
    """


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Outputs of both networks in a module each."""
    folder = tmp_path_factory.mktemp("modules")
    values = []
    for network in (FIRST, SECOND):
        nn2wasm.compile_model(NETWORKS[network](), folder / "net.wasm")
        with nn2wasm.load(folder / "net.wasm") as session:
            shape = session.inputs[0].shape
            x = (np.arange(np.prod(shape), dtype=np.float32) / 8 - 0.5).reshape(shape)
            values.append(session.run({"x": x})["y"].reshape(-1))
    return values


def write(folder: Path, form: str, language: str) -> tuple[list[str], list[str]]:
    """Both networks, as packages or single files, and the program: C files, folders of headers."""
    names = {"first": FIRST, "second": SECOND}
    uppers = {f"{key}_upper": name.upper() for key, name in names.items()}
    includes = "".join(f'#include "{name}.h"\n' for name in names.values()) * 2
    text = textwrap.dedent(PROGRAM).format(includes=includes, **names, **uppers)
    (folder / f"main.{language}").write_text(text)
    for name in names.values():
        output = folder / name if form == "packages" else folder / f"{name}.c"
        nn2wasm.compile_model(NETWORKS[name](), output, options=Options(name=name))
    if form == "packages":
        return [f"{name}/{name}.c" for name in names.values()], [f"-I{n}" for n in names.values()]
    return [f"{name}.c" for name in names.values()], ["-I."]


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["packages", "files"])
def test_two_networks(form, language, name, expected, tmp_path):
    sources, folders = write(tmp_path, form, language)
    for index, source in enumerate(sources):
        options = ("-std=c11", "-O1", *WARNINGS, *folders)
        compile_c(name, tmp_path, *options, "-c", source, "-o", f"{index}.o")
    command = compiler(name)
    if language == "cpp":
        command = compiler("g++") if name == "gcc" else [command[0], "c++"]
    main = [f"-std={LANGUAGES[language]}", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    run([*command, *main, *folders, "-c", f"main.{language}", "-o", "main.o"], tmp_path)
    compile_c(name, tmp_path, "main.o", "0.o", "1.o", "-o", "program")
    lines = run(["./program"], tmp_path).splitlines()
    for line, values in zip(lines, expected, strict=True):
        np.testing.assert_array_equal(np.float32(line.split()), values)


def test_one_translation_unit_may_hold_both(tmp_path):
    """Unity builds: the headers inside the files guard themselves, and macros agree."""
    sources, _ = write(tmp_path, "files", "c")
    text = "".join(f'#include "{source}"\n' for source in [*sources, "main.c"])
    (tmp_path / "unity.c").write_text(text)
    compile_c("gcc", tmp_path, "-std=c11", "-O1", *WARNINGS, "unity.c", "-o", "program")
    assert len(run(["./program"], tmp_path).splitlines()) == 2
