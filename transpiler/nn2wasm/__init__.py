"""nn2wasm: neural networks ahead of time to small, exact C and WebAssembly.

import nn2wasm

nn2wasm.compile_model("model.onnx", "model.wasm")
outputs = nn2wasm.load("model.wasm").run({"input": array})
"""

import importlib
from typing import TYPE_CHECKING, Any

from nn2wasm.version import __version__

if TYPE_CHECKING:
    from nn2wasm.api import Artifact, Options, compile_model
    from nn2wasm.errors import Nn2wasmError
    from nn2wasm.estimate import Budget
    from nn2wasm.loaders import Session, TensorInfo, load
    from nn2wasm.tools.boards import find_board
    from nn2wasm.tools.difference import Tolerance
    from nn2wasm.tools.exporting import from_sklearn, from_torch
    from nn2wasm.tools.fit import FitReport, Room, fit_boards, fit_model
    from nn2wasm.tools.inspect import inspect_model
    from nn2wasm.tools.verify import VerifyReport, verify_model
    from nn2wasm.tools.verify_layers import LayersReport, verify_layers

_HOMES = {
    "nn2wasm.api": ("Artifact", "Options", "compile_model"),
    "nn2wasm.errors": ("Nn2wasmError",),
    "nn2wasm.estimate": ("Budget",),
    "nn2wasm.loaders": ("Session", "TensorInfo", "load"),
    "nn2wasm.tools.boards": ("find_board",),
    "nn2wasm.tools.difference": ("Tolerance",),
    "nn2wasm.tools.exporting": ("from_sklearn", "from_torch"),
    "nn2wasm.tools.fit": ("FitReport", "Room", "fit_boards", "fit_model"),
    "nn2wasm.tools.inspect": ("inspect_model",),
    "nn2wasm.tools.verify": ("VerifyReport", "verify_model"),
    "nn2wasm.tools.verify_layers": ("LayersReport", "verify_layers"),
}

__all__ = [
    "Artifact",
    "Budget",
    "FitReport",
    "LayersReport",
    "Nn2wasmError",
    "Options",
    "Room",
    "Session",
    "TensorInfo",
    "Tolerance",
    "VerifyReport",
    "__version__",
    "compile_model",
    "find_board",
    "fit_boards",
    "fit_model",
    "from_sklearn",
    "from_torch",
    "inspect_model",
    "load",
    "verify_layers",
    "verify_model",
]


def __getattr__(name: str) -> Any:
    """Imports what is asked for only then, so that ``nn2wasm --help`` need not load onnx."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'nn2wasm' has no attribute {name!r}")
