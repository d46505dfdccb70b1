"""Compiles the bundled network and classifies 360 handwritten digits with it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import nn2wasm

HERE = Path(__file__).resolve().parent
MODULE = HERE.parents[1] / "build" / "digits.wasm"
INKS = " .:-=+*#%"
SHOWN = (0, 7, 21, 33, 52, 64)


def main() -> None:
    MODULE.parent.mkdir(exist_ok=True)
    start = time.perf_counter()
    artifact = nn2wasm.compile_model(HERE / "digits_int8.onnx", MODULE)
    seconds = time.perf_counter() - start

    samples = np.load(HERE / "test_images.npz")
    pixels, labels = samples["pixels"], samples["label"]
    images = pixels.astype(np.float32) / 16
    network = nn2wasm.load(MODULE)
    network.run({"image": images[:1]})
    start = time.perf_counter()
    answers = np.array([network.run({"image": image[None]})["logits"].argmax() for image in images])
    microseconds = (time.perf_counter() - start) / len(images) * 1e6

    show(pixels[list(SHOWN), 0], answers[list(SHOWN)])
    right = int((answers == labels).sum())
    print(f"accuracy  {right} of {len(labels)} images right ({right / len(labels):.1%})")
    print(
        f"bytes     {artifact.total_bytes:,} in {MODULE.name}: "
        f"{artifact.weight_bytes:,} weights, {artifact.runtime_bytes:,} everything else"
    )
    print(
        f"memory    {artifact.arena_bytes:,} bytes for all tensors, "
        f"{artifact.memory_bytes:,} bytes of linear memory, no imports"
    )
    print(
        f"time      {microseconds:.0f} µs an image in wasmtime, called from Python; "
        f"compiled in {seconds:.2f} s"
    )


def show(images: np.ndarray, answers: np.ndarray) -> None:
    """Draws images side by side, two characters a pixel, the answers below."""
    for row in range(images.shape[1]):
        print("   ".join("".join(INKS[v // 2] * 2 for v in image[row]) for image in images))
    print("   ".join(f"{f'this is {answer}':^16}" for answer in answers))
    print()


if __name__ == "__main__":
    main()
