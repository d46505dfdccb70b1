"""From a plan to C: sources as a value, nothing compiled."""

from nn2wasm.codegen.render import render
from nn2wasm.codegen.source_tree import SourceTree

__all__ = ["SourceTree", "render"]
