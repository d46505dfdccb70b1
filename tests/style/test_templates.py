"""Templates only format: every decision is made in Python, where it can be typed and tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import nodes

from nn2wasm.codegen.environment import environment
from nn2wasm.resources import data_folder

TEMPLATES = sorted(data_folder("templates").rglob("*.j2"))
LONGEST_TEMPLATE = 200
SHORT_TEMPLATE = 40
"""Lines up to which the share of directives does not count: there a loop is half the text."""
DIRECTIVE_SHARE = 0.5

assert TEMPLATES


def violations(source: str) -> Iterator[str]:
    """What a template does beyond names, attributes, for, if [not] and include."""
    tree = environment().parse(source)
    loop_names = {
        loop.target.name for loop in tree.find_all(nodes.For) if isinstance(loop.target, nodes.Name)
    }
    for statement in tree.body:
        yield from _statement(statement, loop_names)


def _statement(node: nodes.Node, loop_names: set[str]) -> Iterator[str]:
    inside: list[nodes.Node] = []
    if isinstance(node, nodes.Output):
        for part in node.nodes:
            if not isinstance(part, nodes.TemplateData) and not _is_value(part, loop_names):
                yield _complaint(part, "an expression")
    elif isinstance(node, nodes.For):
        if node.test or node.recursive or node.else_:
            yield _complaint(node, "a loop with a filter, recursion or else")
        if not isinstance(node.target, nodes.Name) or not _is_value(node.iter, loop_names):
            yield _complaint(node, "a loop over more than a name")
        inside = node.body
    elif isinstance(node, nodes.If):
        test = node.test.node if isinstance(node.test, nodes.Not) else node.test
        if not _is_value(test, loop_names) or node.elif_:
            yield _complaint(node, "a condition that is more than a name, or elif")
        inside = [*node.body, *node.else_]
    elif isinstance(node, nodes.Include):
        if not isinstance(node.template, nodes.Const):
            yield _complaint(node, "an include of a computed name")
    else:
        yield _complaint(node, type(node).__name__)
    for child in inside:
        yield from _statement(child, loop_names)


def _is_value(node: nodes.Node, loop_names: set[str]) -> bool:
    """A name, its attribute, or an element of it that a loop's variable chooses."""
    if isinstance(node, nodes.Name):
        return True
    if isinstance(node, nodes.Getattr):
        return _is_value(node.node, loop_names)
    if isinstance(node, nodes.Getitem):
        chosen_by_loop = isinstance(node.arg, nodes.Name) and node.arg.name in loop_names
        return chosen_by_loop and _is_value(node.node, loop_names)
    return False


def _complaint(node: nodes.Node, what: str) -> str:
    return f"line {node.lineno}: {what}"


def name_of(path: Path) -> str:
    return path.relative_to(data_folder("templates")).as_posix()


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_templates_only_format(path):
    assert not list(violations(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "{{ a + 1 }}",
        "{{ a | upper }}",
        "{{ a() }}",
        "{{ 'text' }}",
        "{{ a[0] }}",
        "{{ a['key'] }}",
        "{{ a[i] }}",
        "{{ a if b else c }}",
        "{{ a == b }}",
        "//% set a = 1",
        "//% if a == 1\n//% endif",
        "//% if a and b\n//% endif",
        "//% if a\n//% elif b\n//% endif",
        "//% for a in range(3)\n//% endfor",
        "//% for a in b if c\n//% endfor",
        "//% for a, b in c\n//% endfor",
        "//% include a",
        "//% macro a()\n//% endmacro",
        "{% block a %}{% endblock %}",
        "//% for a in b\n{{ a.x * 2 }}\n//% endfor",
    ],
)
def test_anything_else_is_found(source):
    assert list(violations(source))


@pytest.mark.parametrize(
    "source",
    [
        "int {{ a }} = {{ b.c.d }};",
        "//% for a in b.c\n{{ a.x }}{{ w[a] }}{{ loop.index0 }}\n//% endfor",
        "//% if a\n//% else\n//% if not b.c\n//% endif\n//% endif",
        '//% include "a.c.j2"',
    ],
)
def test_what_is_allowed(source):
    assert not list(violations(source))


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_size(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_TEMPLATE
    directives = sum(line.lstrip().startswith("//%") for line in lines)
    if len(lines) > SHORT_TEMPLATE:
        assert directives <= DIRECTIVE_SHARE * len(lines)


@pytest.mark.parametrize(
    "path", [p for p in TEMPLATES if "__" in p.name and p.name.endswith(".c.j2")], ids=name_of
)
def test_a_kernel_begins_with_its_equation(path):
    """And asks for no architecture: one instruction set, one file."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("/* ")
    for line in text.splitlines():
        assert not line.lstrip().startswith(("#if", "#endif", "#else")), line
