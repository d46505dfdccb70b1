"""The networks that are compared between targets, and the inputs they get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

REPOSITORY = Path(__file__).parents[2]
DIGITS = REPOSITORY / "examples" / "digits"
SHARED = REPOSITORY.parent / "shared" / "models"
SAMPLES = 2

INTEGER_MODELS = (
    "kws_dscnn_int8_tflite",
    "ic_resnet8_ptq_qop_u8",
    "ad_autoencoder_int8_tflite",
    "effnet_lite_64_ptq_qdq_s8",
    "mbv3_block_64_ptq_qdq_s8",
    "mobilenet_v2_035_96_ptq_qdq_pt",
    "kw_conv1d_ptq_qop_u8",
    "micro_speech_int8_tflite",
    "digits_cnn_ptq_qdq_a16w8_ms",
    "digits_cnn_ptq_qdq_a16w16_op21",
)
FLOAT_MODELS = ("digits_cnn_f32", "hello_sine_f32")


@dataclass(frozen=True)
class TargetModel:
    """A network on disk.

    Attributes:
        path: of the model.
        is_integer: it computes in integers, so every target must give the same bits.
    """

    path: Path
    is_integer: bool

    def __str__(self) -> str:
        return self.path.stem

    @cached_property
    def feeds(self) -> list[Mapping[str, np.ndarray]]:
        """`SAMPLES` recorded inputs."""
        if self.path.parent == DIGITS:
            pixels = np.load(DIGITS / "test_images.npz")["pixels"][:SAMPLES]
            return [{"image": image[None].astype(np.float32) / 16} for image in pixels]
        recorded = np.load(self.path.with_suffix(".npz"))
        graph = onnx.load(str(self.path)).graph
        constants = {tensor.name for tensor in graph.initializer}
        names = [value.name for value in graph.input if value.name not in constants]
        return [
            {name: recorded[f"in_{k}"][sample] for k, name in enumerate(names)}
            for sample in range(SAMPLES)
        ]


def present_models() -> list[TargetModel]:
    """Digits always, the others where the folder of shared models is."""
    models = [
        TargetModel(DIGITS / "digits_int8.onnx", True),
        TargetModel(DIGITS / "digits_f32.onnx", False),
    ]
    for names, is_integer in ((INTEGER_MODELS, True), (FLOAT_MODELS, False)):
        models += [TargetModel(SHARED / f"{name}.onnx", is_integer) for name in names]
    return [model for model in models if model.path.is_file()]


MODELS = present_models()
