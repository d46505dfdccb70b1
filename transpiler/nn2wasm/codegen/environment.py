"""Jinja's settings; the only place that touches Jinja. Text from models is never a template."""

from __future__ import annotations

from functools import lru_cache

import jinja2

from nn2wasm.resources import data_folder


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Templates are still C to an editor: statements are lines that begin with ``//%``."""
    templates = data_folder("templates")
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(
            [templates / folder for folder in ("kernels", "model", "package")]
        ),
        undefined=jinja2.StrictUndefined,
        line_statement_prefix="//%",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render_template(name: str, context: dict[str, object]) -> str:
    """A template below templates/kernels, templates/model or templates/package, filled in."""
    return environment().get_template(name).render(context)
