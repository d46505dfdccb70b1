"""What a user downloads: the runtime's files and the model, as they are and after brotli."""

from __future__ import annotations

from pathlib import Path

import programs
from bench_networks import PRECISIONS
from hosts import Pipe
from measure import Run
from programs import HERE

MODULES = HERE / "node_modules"
LITERT = ("@litertjs/core/dist/index.js", "@litertjs/wasm-utils/dist/index.js")
TFJS = "@tensorflow/tfjs"
RUNTIMES: dict[str, tuple[str, ...]] = {
    "wasm-relaxed": ("../.cache/loader.mjs",),
    "wasm-simd128": ("../.cache/loader.mjs",),
    "wasm": ("../.cache/loader.mjs",),
    "onnxruntime": tuple(
        f"onnxruntime-web/dist/ort{name}"
        for name in (".wasm.min.mjs", "-wasm-simd-threaded.mjs", "-wasm-simd-threaded.wasm")
    ),
    "litert-relaxed": (
        *LITERT,
        "@litertjs/core/wasm/litert_wasm_internal.js",
        "@litertjs/core/wasm/litert_wasm_internal.wasm",
    ),
    "litert-compat": (
        *LITERT,
        "@litertjs/core/wasm/litert_wasm_compat_internal.js",
        "@litertjs/core/wasm/litert_wasm_compat_internal.wasm",
    ),
    "tfjs-wasm": (
        f"{TFJS}-core/dist/tf-core.es2017.min.js",
        f"{TFJS}-backend-wasm/dist/tf-backend-wasm.es2017.min.js",
        f"{TFJS}-backend-wasm/dist/tfjs-backend-wasm-simd.wasm",
    ),
    "tfjs-cpu": (
        f"{TFJS}-core/dist/tf-core.es2017.min.js",
        f"{TFJS}-backend-cpu/dist/tf-backend-cpu.es2017.min.js",
    ),
}


def shipped(run: Run) -> dict[str, list[int]]:
    """contender (its runtime) and contender/network/precision (the model) to raw, brotli."""
    pipe = Pipe([programs.node_path(), str(HERE / "js" / "bytes.mjs")])
    known: dict[Path, list[int]] = {}

    def sizes(paths: list[Path]) -> list[int]:
        for path in paths:
            if path not in known:
                known[path] = pipe.ask(path=str(path))["sizes"]
        return [sum(known[path][i] for path in paths) for i in range(2)]

    found: dict[str, list[int]] = {}
    for cell in run.cells:
        host, name, *rest = cell.job.key.split("/")
        if host != "chromium" or name == "ceiling" or rest[-1] not in PRECISIONS:
            continue
        found[name] = sizes([MODULES / file for file in RUNTIMES[name]])
        model = [cell.job.model]
        if model[0].name.endswith("tfjs.json"):
            model.append(model[0].with_suffix(".bin"))
        found["/".join([name, *rest])] = sizes(model)
    pipe.close()
    return found
