"""Train, export and quantize a small CNN for 8x8 handwritten digits.

Writes next to this file: digits_f32.onnx, digits_int8.onnx (QDQ) and test_images.npz.
Both models take `image`, float32 [N, 1, 8, 8] = pixels / 16, and return `logits` [N, 10].
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

HERE = Path(__file__).resolve().parent
F32, INT8, TEST = HERE / "digits_f32.onnx", HERE / "digits_int8.onnx", HERE / "test_images.npz"
SEED, EPOCHS, BATCH, PEAK_LR = 0, 120, 64, 1e-2
PIXEL_MAX = 16.0  # the data set counts ink in 4x4 blocks: 0..16


def network() -> nn.Sequential:
    """4,218 parameters, 60,544 multiply-accumulates per image."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1),  # 8x8
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(8, 16, 3, padding=1, stride=2),  # 4x4
            relu2=nn.ReLU(),
            conv3=nn.Conv2d(16, 16, 3, padding=1),
            relu3=nn.ReLU(),
            pool=nn.MaxPool2d(2),  # 2x2
            flatten=nn.Flatten(),
            dense=nn.Linear(64, 10),
        )
    )


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Rotate by up to 10 degrees, scale by up to 10 %, shift by up to 0.8 pixel."""
    angle, scale, dx, dy = (2 * torch.rand(4, len(x), generator=rng) - 1) * torch.tensor(
        [[0.175], [0.1], [0.2], [0.2]]
    )
    c, s = (1 + scale) * angle.cos(), (1 + scale) * angle.sin()
    theta = torch.stack([c, -s, dx, s, c, dy], dim=1).reshape(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def train(x: Tensor, y: Tensor) -> nn.Sequential:
    """Train on every image of the training set; the test set plays no part."""
    torch.manual_seed(SEED)
    rng = torch.Generator().manual_seed(SEED)
    model = network()
    steps = EPOCHS * -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=rng).split(BATCH):
            logits = model(augment(x[rows], rng))
            optimizer.zero_grad()
            F.cross_entropy(logits, y[rows], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def export(model: nn.Sequential, path: Path) -> None:
    """Write the float model, with tidy node names."""
    with warnings.catch_warnings():  # the TorchScript exporter needs no further package
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 8, 8),),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
            opset_version=17,
            dynamo=False,
        )
    proto = onnx.load(path)
    rename: dict[str, str] = {}
    for node in proto.graph.node:  # "/conv1/Conv" and its output become "conv1"
        node.name = node.name.split("/")[1]
        if node.output[0] != "logits":
            rename[node.output[0]] = node.name
        node.input[:] = [rename.get(name, name) for name in node.input]
        node.output[:] = [rename.get(name, name) for name in node.output]
    proto.graph.name = "digits"
    del proto.graph.value_info[:]
    quant_pre_process(proto, path, skip_optimization=True, skip_symbolic_shape=True)  # shapes


class Calibration(CalibrationDataReader):
    """The training images, in batches."""

    def __init__(self, images: np.ndarray) -> None:
        self.batches = iter(np.array_split(images, 16))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"image": batch}


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    """Check the file, then classify the images with ONNX Runtime."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": images})
    return float((logits.argmax(axis=1) == labels).mean())


def main() -> None:
    torch.set_num_threads(1)  # a fixed order of summation: the same files on every run
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    pixels = digits.images.astype(np.uint8)[:, np.newaxis]
    labels = digits.target.astype(np.uint8)
    train_px, test_px, train_y, test_y = train_test_split(
        pixels, labels, test_size=360, stratify=labels, random_state=SEED
    )
    train_x, test_x = (px.astype(np.float32) / np.float32(PIXEL_MAX) for px in (train_px, test_px))

    export(train(torch.from_numpy(train_x), torch.from_numpy(train_y.astype(np.int64))), F32)
    quantize_static(
        F32,
        INT8,
        Calibration(train_x),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    np.savez_compressed(TEST, pixels=test_px, label=test_y)

    for path in (F32, INT8):
        print(f"{path.name}: {accuracy(path, test_x, test_y):.2%} of {len(test_y)} test images")


if __name__ == "__main__":
    main()
