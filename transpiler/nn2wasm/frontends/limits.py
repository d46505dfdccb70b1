"""How much a model file may ask for before it is refused.

A model is untrusted bytes: a few kilobytes can describe terabytes. Every size is compared with
its limit in Python integers, before anything is allocated.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds, each far above what a model that fits its purpose needs.

    Attributes:
        model_bytes: size of the model file; the default is what protobuf itself can read.
        field_count: strings and messages in the file, counted before protobuf builds them
            (two bytes of file can become more than a hundred bytes of memory).
        node_count: nodes after functions are inlined, those inside subgraphs included.
        tensor_elements: elements of one tensor.
        rank: axes of one tensor.
        depth: subgraphs inside subgraphs, and functions that call functions.
        fold_elements: elements of the largest constant that folding, or turning a sparse
            tensor into a dense one, may create.
        weight_bytes: all constants together, in the types they are computed in.
        unrolled_nodes: nodes that loops become, and branches: each run of a body counts all its
            nodes.
        copied_bytes: subgraphs repeated because a function around them, or one that is called
            with them, is inlined.
    """

    model_bytes: int = 2**31 - 1
    field_count: int = 4_000_000
    node_count: int = 100_000
    tensor_elements: int = 2**28
    rank: int = 16
    depth: int = 32
    fold_elements: int = 2**24
    weight_bytes: int = 2**30
    unrolled_nodes: int = 5_000
    copied_bytes: int = 2**24

    @property
    def name_count(self) -> int:
        """Inputs, outputs and attributes of all inlined nodes together."""
        return 16 * self.node_count
