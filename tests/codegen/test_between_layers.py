"""NN_BETWEEN_LAYERS: a watchdog is fed, a deadline ends a run, and without it nothing is there."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from c_compilers import COMPILERS, WARNINGS, compile_c, compiler, run, run_unchecked
from small_networks import NETWORKS

import nn2wasm

NETWORK = "conv_pool_softmax_f32"
STRICT = ("-std=c11", "-O2", *WARNINGS)

COUNTS = f"""\
    #include <stdio.h>
    #include "{NETWORK}.h"

    static _Alignas(16) unsigned char arena[{NETWORK.upper()}_ARENA_BYTES];
    static int last = 0;

    int between(int done);
    int between(int done) {{
      printf("%d ", done);
      return done == last ? -7 : 0;
    }}

    int main(void) {{
      printf("= %d\\n", {NETWORK}_run(arena));
      last = 1;
      printf("= %d\\n", {NETWORK}_run(arena));
      last = 0;
      printf("= %d\\n", {NETWORK}_run(arena));
      return 0;
    }}
    """


@pytest.fixture
def folder(tmp_path):
    nn2wasm.compile_model(NETWORKS[NETWORK](), tmp_path / f"{NETWORK}.c")
    (tmp_path / "main.c").write_text(textwrap.dedent(COUNTS))
    return tmp_path


def configure(folder: Path) -> None:
    (folder / "nn2wasm_config.h").write_text(
        "int between(int done);\n#define NN_BETWEEN_LAYERS(done) between(done)\n"
    )


@pytest.mark.parametrize("name", COMPILERS)
def test_called_between_layers(name, folder):
    """By the settings in a header beside the source; what is not 0 ends the run, once."""
    configure(folder)
    compile_c(name, folder, *STRICT, f"{NETWORK}.c", "main.c", "-o", "program")
    layers = len(nn2wasm.compile_model(NETWORKS[NETWORK](), folder / "again.c").compiled.plan.calls)
    every = " ".join(map(str, range(1, layers)))
    assert layers == 3
    assert run(["./program"], folder).splitlines() == [f"{every} = 0", "1 = -7", f"{every} = 0"]


@pytest.mark.parametrize("name", COMPILERS)
def test_an_expression_on_the_command_line(name, folder):
    """As a watchdog is fed: a function without a result."""
    (folder / "feed.h").write_text("void feed(void);\n")
    macro = "-DNN_BETWEEN_LAYERS(done)=(feed(), 0)"
    compile_c(name, folder, *STRICT, "-include", "feed.h", macro, "-c", f"{NETWORK}.c", "-o", "x.o")
    assert "feed" in run(["nm", "-u", "x.o"], folder)


def test_without_it_nothing_is_there(folder):
    """The very bytes of code that come out where the source has no such line."""
    text = (folder / f"{NETWORK}.c").read_text()
    assert "  NN_DONE(1);\n" in text
    without = "".join(line for line in text.splitlines(True) if not line.startswith("  NN_DONE("))
    (folder / "without.c").write_text(without)
    for name in (NETWORK, "without"):
        compile_c("gcc", folder, "-std=c11", "-O2", "-S", f"{name}.c", "-o", f"{name}.s")
    assembly = [(folder / f"{name}.s").read_text() for name in (NETWORK, "without")]
    assert assembly[0].replace(f"{NETWORK}.c", "x") == assembly[1].replace("without.c", "x")


def test_modules_have_none(folder, monkeypatch):
    """A settings file in the current folder is the firmware's: it does not get into modules."""
    monkeypatch.chdir(folder)
    nn2wasm.compile_model(NETWORKS[NETWORK](), "a.wasm")
    configure(folder)
    nn2wasm.compile_model(NETWORKS[NETWORK](), "b.wasm")
    assert (folder / "a.wasm").read_bytes() == (folder / "b.wasm").read_bytes()


@pytest.mark.parametrize("name", COMPILERS)
def test_small_integers_are_refused(name, folder):
    """As on AVR: a tensor's bytes cannot be counted there."""
    text = (folder / f"{NETWORK}.c").read_text()
    (folder / "avr.c").write_text(text.replace("INT_MAX < 0x7fffffff", "0x7fff < 0x7fffffff"))
    done = run_unchecked([*compiler(name), "-std=c11", "-c", "avr.c", "-o", "x.o"], folder)
    assert done.returncode != 0
    assert "int has fewer than 32 bits" in done.stderr
