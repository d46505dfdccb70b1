"""What a module has beside its weights, held to limits for speed and for size; the same results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from engines import node_path, run_all_in, skip_without_relaxed
from networks import Built, Network, named

from nn2wasm.errors import RunError
from nn2wasm.toolchain import read_metadata

Builder = Callable[..., Built]

FORMS = ("int8_tflite", "ptq_qdq_s8", "f32")
TINY = ("ic_resnet8", "vww_mbv1_025_96", "kws_dscnn", "ad_autoencoder")
NAMES = (*TINY, "mobilenet_v2", "mobilenet_v2_035_96")
NETWORKS = named(*(f"{name}_{form}" for name in NAMES for form in FORMS))
INT8 = named(*(f"{name}_{form}" for name in NAMES for form in FORMS[:2]))
TARGETS = ("wasm-simd128", "wasm-simd128-cranelift", "wasm-relaxed")
LIMITS = {"speed": (40_000, 64_000), "size": (16_000, 16_000)}
"""Of runtime bytes: MLPerf Tiny, the larger ones."""
INTERPRETER_LIMIT = 17_500


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimize", LIMITS)
@pytest.mark.parametrize("targets", [TARGETS], ids=["simd"])
def test_runtime_bytes(
    network: Network, optimize: str, targets: tuple[str, ...], built: Builder
) -> None:
    limit = LIMITS[optimize][not network.name.startswith(TINY)]
    for target in targets:
        facts = built(network, target=target, optimize=optimize).facts
        assert facts.beside_weights <= limit, f"{target}, {optimize}"


@pytest.mark.parametrize("network", INT8)
def test_runtime_bytes_for_interpreters(network: Network, built: Builder) -> None:
    """Layers of a kind share their kernels."""
    assert built(network).facts.beside_weights <= INTERPRETER_LIMIT


@pytest.mark.parametrize("network", NETWORKS)
def test_same_results(network: Network, built: Builder) -> None:
    """The order of sums does not depend on how a module is made."""
    if node_path() is None:
        pytest.skip("there is no node")
    for target in TARGETS:
        modules = [built(network, target=target, optimize=o).module for o in LIMITS]
        names = [port["name"] for port in read_metadata(modules[0])["inputs"]]
        feeds = dict(zip(names, network.feeds(0), strict=True))
        try:
            fast, small = run_all_in("node", [(module, feeds) for module in modules])
        except RunError as problem:
            skip_without_relaxed(problem)
            raise
        assert list(fast) == list(small)
        for name, array in fast.items():
            assert np.asarray(array).tobytes() == np.asarray(small[name]).tobytes(), target
