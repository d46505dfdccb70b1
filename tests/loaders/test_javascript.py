"""templates/model/loader.mjs, checked from the inside: see check_loader.mjs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from engines import node
from tiny_models import add_one, checked, copy_of, status_of_input, two_inputs

from nn2wasm.resources import data_folder
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module

SCRIPT = Path(__file__).with_name("check_loader.mjs")
ANSWERS = {
    "exact": "return 0;",
    "inexact": "return 1;",
    "wavers": "static int asked; return ++asked > 50;",
    "spoils": "return last_status == 1;",
}
"""nn_check() of modules, by their name and target."""
CHECKS = re.findall(r"^check\(\"(.+?)\"", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The loader under the name that it has beside a module, and modules to load."""
    folder = tmp_path_factory.mktemp("models")
    source = data_folder("templates") / "model" / "loader.mjs"
    (folder / "model.mjs").write_bytes(source.read_bytes())
    proto = copy_of("s8", "int8_t", 1)
    renamed = [dict(proto.metadata["outputs"][0], name="__proto__")]
    trees = {
        "add_one": add_one(),
        "two_inputs": two_inputs(),
        "status": status_of_input(),
        "long": copy_of("s64", "int64_t", 2),
        "unsigned": copy_of("u64", "uint64_t", 2),
        "picture": copy_of("u8", "uint8_t", 1, 2, 2),
        "truth": copy_of("bool", "uint8_t", 2),
        "proto": replace(proto, metadata=dict(proto.metadata, outputs=renamed)),
    }
    for name, answer in ANSWERS.items():
        model = status_of_input() if name == "spoils" else add_one()
        trees[name] = checked(model, answer, target=name)
    for name, tree in trees.items():
        (folder / f"{name}.wasm").write_bytes(build_module(tree, find_target("wasm")))
    section_of_the_future = b"\x7f\x00"
    add_one_module = (folder / "add_one.wasm").read_bytes()
    (folder / "unknown.wasm").write_bytes(add_one_module + section_of_the_future)
    return folder


@pytest.fixture(scope="module")
def answers(folder):
    lines = node(SCRIPT, str(folder)).splitlines()
    return dict(line.split("\t", 1) for line in lines)


@pytest.mark.parametrize("name", CHECKS)
def test_loader(answers, name):
    assert answers[name] == "ok"


def test_no_check_is_forgotten(answers):
    assert sorted(answers) == sorted(CHECKS)


def test_types_name_everything_that_the_loader_exports():
    model = data_folder("templates") / "model"
    exported = re.findall(
        r"^export (?:async )?(?:function|class) (\w+)", (model / "loader.mjs").read_text(), re.M
    )
    declared = re.findall(
        r"^export declare (?:function|class) (\w+)", (model / "loader.d.mts").read_text(), re.M
    )
    assert sorted(exported) == sorted(declared)
