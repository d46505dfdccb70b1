"""Makes the .tflite files beside it and what TensorFlow Lite's reference kernels answer.

    pip install tensorflow-cpu && python tests/frontends/tflite/make_models.py

Weights are random; what matters is what the converter writes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

HERE = Path(__file__).resolve().parent
SAMPLES = 8
rng = np.random.default_rng(2026)


def image() -> keras.Model:
    """Convolutions of all kinds, residual sums, poolings, padding, a classifier."""
    x = keras.Input((16, 16, 3), batch_size=1)
    a = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    b = layers.DepthwiseConv2D(3, padding="same", activation="relu")(a)
    b = layers.Conv2D(8, 1)(b)
    c = layers.Add()([a, b])
    d = layers.Concatenate()([layers.MaxPool2D(2)(c), layers.AveragePooling2D(2)(c)])
    d = layers.ZeroPadding2D(1)(d)
    d = layers.Conv2D(6, 3, dilation_rate=2, activation="hard_sigmoid")(d)
    e = layers.GlobalAveragePooling2D()(d)
    return keras.Model(x, layers.Dense(5, activation="softmax")(e))


def upscaled() -> keras.Model:
    x = keras.Input((4, 4, 4), batch_size=1)
    a = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(x)
    b = layers.UpSampling2D(2, interpolation="bilinear")(a)
    c = layers.Cropping2D(1)(b)
    return keras.Model(x, layers.Conv2D(2, 1, activation="sigmoid")(c))


def attention() -> keras.Model:
    x = keras.Input((6, 8), batch_size=1)
    a = layers.MultiHeadAttention(2, 4)(x, x)
    y = layers.LayerNormalization()(a + x)
    return keras.Model(x, layers.Dense(3)(layers.Dense(12, activation="gelu")(y)))


def signal() -> keras.Model:
    x = keras.Input((32, 4), batch_size=1)
    a = layers.Conv1D(8, 5, strides=2, padding="causal", activation="tanh")(x)
    b = layers.MaxPool1D(2)(layers.LeakyReLU(negative_slope=0.1)(a))
    return keras.Model(x, layers.Dense(4)(layers.Flatten()(b)))


def convert(model: keras.Model, set_up: Callable[[tf.lite.TFLiteConverter], None]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    shapes = [(1, *each.shape[1:]) for each in model.inputs]
    converter.representative_dataset = lambda: (
        [rng.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(16)
    )
    set_up(converter)
    return converter.convert()


def integers(converter: tf.lite.TFLiteConverter) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def shorts(converter: tf.lite.TFLiteConverter) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]


def halves(converter: tf.lite.TFLiteConverter) -> None:
    converter.representative_dataset = None
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def plain(converter: tf.lite.TFLiteConverter) -> None:
    converter.representative_dataset = None


WANTED = {
    "image": (image, {"f32": plain, "int8": integers, "f16": halves}),
    "upscaled": (upscaled, {"f32": plain, "int8": integers}),
    "attention": (attention, {"f32": plain, "int8": integers}),
    "signal": (signal, {"int8": integers, "int16": shorts}),
}


def answers(data: bytes) -> dict[str, np.ndarray]:
    reference = tf.lite.experimental.OpResolverType.BUILTIN_REF
    engine = tf.lite.Interpreter(model_content=data, experimental_op_resolver_type=reference)
    engine.allocate_tensors()
    (port,), (out,) = engine.get_input_details(), engine.get_output_details()
    inputs, outputs = [], []
    for _ in range(SAMPLES):
        x = rng.normal(size=port["shape"])
        if port["dtype"] != np.float32:
            scale, zero = port["quantization"]
            x = np.clip(np.rint(x / scale) + zero, -128, 127)
        engine.set_tensor(port["index"], x.astype(port["dtype"]))
        engine.invoke()
        inputs.append(x.astype(port["dtype"]))
        outputs.append(engine.get_tensor(out["index"]))
    return {"input": np.stack(inputs), "output": np.stack(outputs)}


for name, (build, kinds) in WANTED.items():
    network = build()
    for weight in network.weights:
        if weight.path.endswith("bias"):
            weight.assign(0.1 * rng.normal(size=weight.shape))
    for kind, set_up in kinds.items():
        made = convert(network, set_up)
        (HERE / f"{name}_{kind}.tflite").write_bytes(made)
        np.savez_compressed(HERE / f"{name}_{kind}.npz", **answers(made))
