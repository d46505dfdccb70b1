"""The C of a model as users take it: one file and its header, or a folder for a firmware build.

The folder has ``<name>.c``, ``<name>.h``, the runtime headers in ``nn2wasm/``, ``README.md`` and
what its build system needs (`package_kinds.py`). The file has inside what it calls of the headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from nn2wasm.codegen.environment import render_template
from nn2wasm.codegen.identifiers import comment_text
from nn2wasm.codegen.package_kinds import PackageFile, PackageKind
from nn2wasm.codegen.source_tree import SourceTree
from nn2wasm.errors import TargetError
from nn2wasm.ir import DType
from nn2wasm.resources import data_folder

SHOWN_ELEMENTS = 16
"""Elements of an output that main.c prints."""

README = PackageFile("README.md", "README.md.j2", "")

_RUNTIME_INCLUDE = re.compile(r'^#include "(nn2wasm/\w+\.h)"\n', re.MULTILINE)
_STRING_INCLUDE = re.compile(r"^#include <string\.h>\n", re.MULTILINE)
_STRING_CALL = re.compile(r"\bmem(?:cpy|move|set)\(")
_RUNTIME_NAME = re.compile(r"\bnn_\w+|\bNN_\w+")
_DEFINITION = re.compile(
    r"^(?:#define (NN_\w+)|(?:static \w+|NN_ONCE) [^(\n]*\b(nn_\w+)\()", re.MULTILINE
)
_FUNCTION = re.compile(
    r"^(?:/\*(?:(?!\*/).)*\*/\n)?(?:static \w+|NN_ONCE) [^(\n]*\b(nn_\w+)\(.*?^\}\n+",
    re.MULTILINE | re.DOTALL,
)
_NOT_MARKDOWN = re.compile(r"[^A-Za-z0-9 _.,:/+-]")
_NOT_IN_INCLUDE = re.compile(r'[\x00-\x1f"\\\x7f]')

# How main.c fills an input and prints an output, by element type. Wide integers often are indices:
# zeros are always valid ones.
_PATTERNS = {
    DType.F32: "(float)(i % 17) / 8.0f - 1.0f",
    DType.BOOL: "(uint8_t)(i % 2)",
    DType.S8: "(int8_t)(i % 255 - 127)",
    DType.U8: "(uint8_t)(i % 255)",
}


def runtime_headers(source: str) -> dict[str, str]:
    """Path and text of the runtime headers that a source includes, in order."""
    include = data_folder("runtime_c") / "include"
    return {
        name: (include / name).read_text(encoding="utf-8")
        for name in _RUNTIME_INCLUDE.findall(source)
    }


def amalgamate(tree: SourceTree, stem: str) -> dict[str, str]:
    """``<stem>.c`` and ``<stem>.h``: what the source calls of the runtime stands inside it.

    Raises:
        TargetError: the stem cannot stand in an #include.
    """
    if _NOT_IN_INCLUDE.search(stem):
        raise TargetError(
            f"a header named {stem!r} cannot be included", hint="choose a plainer file name"
        )
    source, header = _without_unused_includes(_text(tree, "c")), _text(tree, "h")
    headers = _called_parts(source)
    source = _RUNTIME_INCLUDE.sub(lambda match: headers[match[1]], source)
    source = source.replace(f'#include "{tree.name}.h"', f'#include "{stem}.h"', 1)
    return {f"{stem}.c": source, f"{stem}.h": header}


def c_package(tree: SourceTree, kind: PackageKind) -> dict[str, str | bytes]:
    """The files of a C package: sources, runtime headers, a program that runs it, build files."""
    source = _without_unused_includes(_text(tree, "c"))
    headers = runtime_headers(source)
    weights = {f"{tree.name}.weights": tree.weights} if tree.weights else {}
    sources = {**tree.files, f"{tree.name}.c": source, **headers, **weights}
    context = _package_context(tree, kind, sorted(headers))
    context["build"] = render_template(f"{kind.name}/build.md.j2", context)
    context["placement"] = render_template(f"{kind.name}/placement.md.j2", context)
    own: dict[str, str | bytes] = {
        file.path.format(name=tree.name): render_template(file.template, context)
        for file in (*kind.files, README)
    }
    return {f"{kind.source_folder}{path}": content for path, content in sources.items()} | own


def _text(tree: SourceTree, ending: str) -> str:
    text = tree.files[f"{tree.name}.{ending}"]
    assert isinstance(text, str)
    return text


def _without_unused_includes(source: str) -> str:
    """The source without includes of headers that neither it nor those behind them need."""
    named = set(_RUNTIME_NAME.findall(source))
    for header, text in reversed(runtime_headers(source).items()):
        defined = {name for pair in _DEFINITION.findall(text) for name in pair if name}
        if defined & named:
            named.update(_RUNTIME_NAME.findall(text))
        else:
            source = source.replace(f'#include "{header}"\n', "", 1)
    if not _STRING_CALL.search(source):
        source = _STRING_INCLUDE.sub("", source, count=1)
    return re.sub(r"\n{3,}", "\n\n", source)


def _called_parts(source: str) -> dict[str, str]:
    """The runtime headers of a source, each without the functions that are never called."""
    headers = runtime_headers(source)
    bodies = {match[1]: match[0] for text in headers.values() for match in _FUNCTION.finditer(text)}
    called: set[str] = set()
    waiting = [name for name in dict.fromkeys(_RUNTIME_NAME.findall(source)) if name in bodies]
    while waiting:
        name = waiting.pop()
        called.add(name)
        waiting += [
            n for n in _RUNTIME_NAME.findall(bodies[name]) if n in bodies and n not in called
        ]
    return {
        header: _FUNCTION.sub(lambda match: match[0] if match[1] in called else "", text)
        for header, text in headers.items()
    }


def _package_context(tree: SourceTree, kind: PackageKind, headers: list[str]) -> dict[str, object]:
    about: Mapping[str, Any] = tree.metadata
    inputs = [_port(port) for port in about["inputs"]]
    outputs = [_port(port) for port in about["outputs"]]
    return {
        "name": tree.name,
        "upper": tree.name.upper(),
        "version": about["version"],
        "model_sha256": about["model_sha256"],
        "arena_bytes": tree.arena_bytes,
        "weight_bytes": about["weight_bytes"],
        "macs": about["macs"],
        "headers": headers,
        "folder": kind.source_folder,
        "entry": kind.entry,
        "stateful": bool(about.get("states")),
        "files": [
            {"path": f.path.format(name=tree.name), "about": f.about.format(name=tree.name)}
            for f in kind.files
        ],
        "inputs": inputs,
        "outputs": outputs,
    }


def _port(about: Mapping[str, Any]) -> dict[str, object]:
    """An input or output as main.c and README.md tell of it."""
    dtype, shape = DType(about["dtype"]), about["shape"]
    count = prod(shape)
    is_float = dtype in (DType.F32, DType.F64)
    return {
        "comment": comment_text(about["name"]),
        "plain_name": _NOT_MARKDOWN.sub("_", comment_text(about["name"])),
        "type": dtype.c_name,
        "shape": " x ".join(map(str, shape)) or "scalar",
        "meaning": _meaning(about),
        "pattern": _PATTERNS.get(dtype, "0"),
        "format": "%.6g" if is_float else "%lld",
        "print_type": "double" if is_float else "long long",
        "serial_type": "double" if is_float else "long",
        "is_vector": count > 1,
        "shown": min(count, SHOWN_ELEMENTS),
    }


def _meaning(about: Mapping[str, Any]) -> str:
    if about.get("labels"):
        return "its elements have the names" if "f" in about["dtype"] else "an index into names"
    if about.get("scale") is None:
        return ""
    zero_point = about["zero_point"]
    q = f"(q {'-' if zero_point > 0 else '+'} {abs(zero_point)})" if zero_point else "q"
    return f"real = {q} * {about['scale']:.9g}"
