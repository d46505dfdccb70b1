"""Bytes that a network needs, held to limits; and integers at its border."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from networks import FLOAT_BORDERS, Built, Network, named, run_all

from nn2wasm.loaders import WasmtimeSession

Builder = Callable[..., Built]

ARENA_LIMITS = {
    "ic_resnet8_int8_tflite": 49_152,
    "vww_mbv1_025_96_int8_tflite": 55_296,
    "kws_dscnn_int8_tflite": 16_000,
    "ad_autoencoder_int8_tflite": 768,
}
"""MLPerf Tiny; beside each the largest scratch of a layer, as the sums of plain layer by layer
planning.
"""
TINY_RUNTIME_LIMIT = 16_384
RUNTIME_LIMIT = 65_536


@pytest.mark.parametrize("network", named("*"))
def test_bytes_are_within_limits(
    network: Network, built: Builder, record_property: Callable[[str, object], None]
) -> None:
    facts = built(network).facts
    record_property(
        "bytes",
        f"{network.name:38s} arena {facts.arena_bytes:9,d}  scratch {facts.scratch_bytes:6,d}"
        f"  weights {facts.weight_bytes:11,d}  beside {facts.beside_weights:7,d}",
    )
    tiny = network.name in ARENA_LIMITS
    assert facts.beside_weights <= (TINY_RUNTIME_LIMIT if tiny else RUNTIME_LIMIT)
    if tiny:
        scratch = facts.scratch_bytes if network.name.startswith("ic_") else 0
        assert facts.arena_bytes <= ARENA_LIMITS[network.name] + scratch


@pytest.mark.parametrize("network", named("*_ptq_qdq_*", without=FLOAT_BORDERS))
def test_integers_at_the_border_are_the_same_network(network: Network, built: Builder) -> None:
    """What the host quantizes by hand and what the module quantizes give the same bytes."""
    plain, stripped = built(network).module, built(network, io_integers=True).module
    expected = run_all(network, plain)
    with WasmtimeSession(stripped) as session:
        (info,) = session.inputs
        assert info.dtype.value in ("s8", "u8", "s16", "u16")
        assert info.scale is not None
        assert info.zero_point is not None
        for index in range(min(network.samples, 8)):
            real = network.feeds(index)[0]
            steps = np.rint(real / np.float32(info.scale)) + np.float32(info.zero_point)
            integers = np.clip(steps, info.dtype.minimum, info.dtype.maximum)
            outputs = session.run(integers.astype(info.dtype.numpy))
            for result, wanted in zip(session.outputs, expected, strict=True):
                assert result.dtype.value in ("s8", "u8", "s16", "u16")
                assert result.scale is not None
                assert result.zero_point is not None
                centred = outputs[result.name].astype(np.int32) - result.zero_point
                dequantized = centred.astype(np.float32) * np.float32(result.scale)
                np.testing.assert_array_equal(dequantized, wanted[index])
