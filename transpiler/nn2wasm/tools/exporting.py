"""Models in memory of another library: exported to ONNX by its own exporter, and compiled."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from nn2wasm.api import Artifact, Options, compile_model
from nn2wasm.errors import InstallError, InvalidModel, UnsupportedFeature
from nn2wasm.target import Target

OPSETS = {"": 18, "ai.onnx.ml": 3}


def from_sklearn(
    estimator: Any,
    output: str | os.PathLike[str],
    *,
    example: Any = None,
    target: str | Target | None = None,
    options: Options | None = None,
) -> Artifact:
    """Compiles a fitted scikit-learn estimator or pipeline, through skl2onnx.

    Args:
        estimator: fitted; what `predict` gives, and probabilities or scores, are the outputs.
        output: as of `compile_model`.
        example: some samples as `predict` takes them, for their type; where left out, float32
            with as many features as the estimator was fitted with.
        target: as of `compile_model`.
        options: as of `compile_model`.

    Raises:
        InstallError: skl2onnx is not installed.
        UnsupportedFeature: skl2onnx cannot export it.
        Nn2wasmError: as of `compile_model`; nothing is written.
    """
    try:
        import skl2onnx
    except ImportError:
        raise InstallError(
            "compiling scikit-learn estimators needs skl2onnx",
            hint="install it: pip install 'nn2wasm[sklearn]'",
        ) from None
    types = None
    if example is None:
        features = getattr(estimator, "n_features_in_", None)
        if features is None:
            raise InvalidModel(
                f"{type(estimator).__name__} does not say how many features it takes",
                hint="fit it first, or give an example",
            )
        types = [("input", skl2onnx.common.data_types.FloatTensorType([None, int(features)]))]
    try:
        model = skl2onnx.to_onnx(estimator, example, initial_types=types, target_opset=dict(OPSETS))
    except Exception as error:  # of many kinds, all of them about the estimator
        raise UnsupportedFeature(
            f"skl2onnx cannot export this {type(estimator).__name__}",
            facts=[("skl2onnx", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")],
        ) from error
    return compile_model(model.SerializeToString(), output, target=target, options=options)


def from_torch(
    module: Any,
    example: Any,
    output: str | os.PathLike[str],
    *,
    target: str | Target | None = None,
    options: Options | None = None,
    **export: Any,
) -> Artifact:
    """Compiles a PyTorch module, through torch.onnx, in evaluation mode.

    Args:
        module: a torch.nn.Module; its mode is left as it was.
        example: a tensor, or a tuple of them: what the module takes; their shapes are compiled.
        output: as of `compile_model`.
        target: as of `compile_model`.
        options: as of `compile_model`.
        **export: further arguments of `torch.onnx.export`, for example `input_names`.

    Raises:
        InstallError: torch, or what its exporter needs, is not installed.
        UnsupportedFeature: torch.onnx cannot export it.
        Nn2wasmError: as of `compile_model`; nothing is written.
    """
    try:
        import torch
    except ImportError:
        raise InstallError(
            "compiling PyTorch modules needs torch and onnxscript",
            hint="install them: pip install 'nn2wasm[torch]'",
        ) from None
    arguments = example if isinstance(example, tuple) else (example,)
    training = bool(module.training)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.onnx"
        try:
            module.eval()
            torch.onnx.export(module, arguments, str(path), **export)
        except ImportError as error:
            raise InstallError(
                f"torch.onnx needs another package: {error}",
                hint="install it: pip install 'nn2wasm[torch]'",
            ) from error
        except Exception as error:  # of many kinds, all of them about the module
            raise UnsupportedFeature(
                f"torch.onnx cannot export this {type(module).__name__}",
                facts=[("torch", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")],
            ) from error
        finally:
            module.train(training)
        return compile_model(path, output, target=target, options=options)
