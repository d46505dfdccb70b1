"""A module that breaks a promise is refused, and each promise is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import wasmtime
from tiny_models import add_one

from nn2wasm.errors import InternalError, RunError
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module, build_wasm, check_promises, finish_module, read_metadata
from nn2wasm.toolchain.promises import METADATA_KEYS, broken_promises, metadata_text
from nn2wasm.toolchain.wasm_file import Memory, SectionId, WasmFile

GOOD = """
(module
  {before}
  {memory}
  (global (export "__heap_base") i32 (i32.const 2048))
  (global (export "__data_end") i32 (i32.const 1024))
  (func (export "nn_abi_version") (result i32) (i32.const 1))
  (func (export "nn_input_count") (result i32) (i32.const 0))
  (func (export "nn_output_count") (result i32) (i32.const 0))
  (func (export "nn_input") (param i32) (result i32) (i32.const 0))
  (func (export "nn_output") (param i32) (result i32) (i32.const 0))
  (func (export "{run}") (result i32) {body})
  {after})
"""
METADATA = {
    "model": "m",
    "version": "1.2.3",
    "target": "wasm",
    "inputs": [],
    "outputs": [],
    "arena_bytes": 0,
    "weight_bytes": 0,
    "macs": 0,
    "model_sha256": "",
}


def module(
    *,
    before: str = "",
    memory: str = '(memory (export "memory") 1 1)',
    body: str = "i32.const 0",
    run: str = "nn_run",
    after: str = "",
) -> bytes:
    text = GOOD.format(before=before, memory=memory, body=body, run=run, after=after)
    section = metadata_text({"abi": 1, **METADATA}).encode()
    return WasmFile.parse(wasmtime.wat2wasm(text)).with_custom("nn2wasm", section).to_bytes()


def test_a_good_module():
    assert broken_promises(module()) == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"before": '(import "env" "f" (func))'}, ["imports 'env.f'"]),
        ({"before": '(import "env" "g" (global i32))'}, ["imports 'env.g'"]),
        (
            {"before": '(import "env" "t" (table 1 funcref))'},
            ["imports 'env.t'"],
        ),
        ({"memory": '(memory (export "memory") 1)'}, ["memory may grow from 1 pages to None"]),
        ({"memory": '(memory (export "memory") 1 2)'}, ["memory may grow from 1 pages to 2"]),
        (
            {"memory": '(import "env" "memory" (memory 1 1)) (export "memory" (memory 0))'},
            ["imports 'env.memory'", "has 0 memories, not one"],
        ),
        ({"memory": "(memory 1 1)"}, ["does not export the memory 'memory'"]),
        ({"run": "nn_ran"}, ["does not export the function 'nn_run'"]),
        ({"after": "(table 1 1 funcref)"}, ["has a table section"]),
        (
            {"after": "(table 1 1 funcref) (elem (i32.const 0) 0)"},
            ["has a table section", "has a element section"],
        ),
        ({"after": "(func $s) (start $s)"}, ["has a start section"]),
        ({"body": "(memory.grow (i32.const 1))"}, ["function 5 contains memory.grow"]),
    ],
)
def test_each_promise(change, broken):
    assert broken_promises(module(**change)) == broken


def test_all_broken_promises_are_told_at_once():
    bad = module(before='(import "a" "b" (func))', run="x", after="(table 1 1 funcref)")
    with pytest.raises(InternalError) as caught:
        check_promises(bad)
    assert [text for _, text in caught.value.facts] == [
        "imports 'a.b'",
        "has a table section",
        "does not export the function 'nn_run'",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "i32.const 64 i32.const 0 i32.add",
        "f64.const 2 drop i32.const 0",  # bytes 40 00 ... in a constant
        "(block unreachable) i32.const 0",  # 02 40 00: a block, then unreachable
        "i64.const 0x4000 drop (br_table 0 0 (i32.const 0) (i32.const 64))",
        "(drop (v128.const i8x16 64 0 64 0 64 0 64 0 64 0 64 0 64 0 64 0)) i32.const 0",
        "(drop (i32.load offset=64 align=1 (i32.const 0))) i32.const 0",
        "(memory.copy (i32.const 64) (i32.const 0) (i32.const 64)) memory.size",
        "(drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"
        " (v128.load8_lane 3 (i32.const 0) (v128.const i64x2 64 64)) (v128.const i64x2 0 0)))"
        " i32.const 0",
    ],
)
def test_constants_are_not_taken_for_instructions(body):
    assert broken_promises(module(body=body)) == []


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[]", "lacks abi, model"),
        (b"null", "lacks abi, model"),
        (b'{"abi":1}', "lacks model, version"),
    ],
)
def test_a_broken_section_is_refused(section, problem):
    bad = WasmFile.parse(module()).with_custom("nn2wasm", section).to_bytes()
    with pytest.raises(RunError, match=problem):
        read_metadata(bad)
    with pytest.raises(InternalError, match=problem):
        check_promises(bad)


def test_a_newer_interface_is_refused():
    text = json.dumps({"abi": 2} | METADATA).encode()
    with pytest.raises(RunError, match="interface version 2, this nn2wasm knows 1"):
        read_metadata(WasmFile.parse(module()).with_custom("nn2wasm", text).to_bytes())


def test_a_module_from_elsewhere():
    with pytest.raises(RunError, match="not made by nn2wasm"):
        read_metadata(wasmtime.wat2wasm("(module)"))


def test_finish_writes_our_sections_and_no_others():
    tree = add_one()
    raw = build_wasm(tree, find_target("wasm"))
    noisy = WasmFile.parse(raw).with_custom("name", b"\0").with_custom("target_features", b"\0")
    finished = finish_module(noisy.to_bytes(), tree.metadata)
    wasm = WasmFile.parse(finished)
    customs = [s.name for s in wasm.sections if s.id == SectionId.CUSTOM]
    assert customs == ["nn2wasm", "producers"]
    assert wasm.custom("producers") == b"\1\x0cprocessed-by\1\7nn2wasm\x050.0.1"
    assert finished == build_module(tree, find_target("wasm"))


def test_finish_says_how_much_memory_is_used():
    """What a host below a page goes by; see examples/wasm3_host."""
    assert read_metadata(finish_module(module(), METADATA))["memory_bytes"] == 2048


def test_finish_fixes_the_memory():
    tree = add_one()
    raw = WasmFile.parse(build_wasm(tree, find_target("wasm")))
    loose = raw.with_memory(Memory(17, None)).to_bytes()
    finished = finish_module(loose, tree.metadata)
    assert WasmFile.parse(finished).memories == (Memory(1, 1),)


def test_metadata_is_compact_and_in_a_stable_order():
    shuffled = {"zebra": 1, "apple": "ü"} | dict(reversed(METADATA.items()))
    text = metadata_text(shuffled)
    assert text == metadata_text({**METADATA, "apple": "ü", "zebra": 1})
    assert list(json.loads(text)) == [*METADATA_KEYS[1:], "apple", "zebra"]
    assert '"apple":"ü"' in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}])
def test_metadata_that_is_not_json(value):
    with pytest.raises(InternalError, match="not JSON"):
        metadata_text(METADATA | {"extra": value})


def test_finish_refuses_metadata_with_a_hole():
    tree = add_one()
    less = {key: value for key, value in tree.metadata.items() if key != "macs"}
    with pytest.raises(InternalError, match="lacks macs"):
        build_module(replace(tree, metadata=less), find_target("wasm"))
