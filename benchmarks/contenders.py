"""Who is measured where: nn2wasm's targets and the peers, each on each host that can run it."""

from __future__ import annotations

from dataclasses import dataclass

from nn2wasm.target import TARGETS

KNOWN_TARGETS = {target.name for target in TARGETS}


@dataclass(frozen=True)
class Contender:
    """Something that runs networks on a host.

    Attributes:
        host: chromium, node, wasmtime or native.
        name: of the contender on that host.
        title: in the page.
        module: of js/contenders, or of `PythonHost`.
        flavour: one of ours: the target; else a choice within the peer.
        format: ending of the files that it takes.
        variants: precisions that it runs; "*" is every quantized form there is.
    """

    host: str
    name: str
    title: str
    module: str
    flavour: str
    format: str
    variants: tuple[str, ...] = ("f32", "int8")

    @property
    def key(self) -> str:
        return f"{self.host}/{self.name}"

    @property
    def is_ours(self) -> bool:
        return self.module == "ours"


def _ours(host: str, target: str) -> Contender:
    ending = "so" if target == "host" else "wasm"
    return Contender(host, target, f"nn2wasm {target}", "ours", target, f"{target}.{ending}")


def _ort(host: str, title: str) -> Contender:
    return Contender(host, "onnxruntime", title, "ort", "", "onnx", ("f32", "int8", "*"))


def _litert(host: str, flavour: str, title: str) -> Contender:
    return Contender(host, f"litert-{flavour}", title, "litert", flavour, "tflite")


def _tfjs(flavour: str, title: str) -> Contender:
    return Contender("chromium", f"tfjs-{flavour}", title, "tfjs", flavour, "tfjs.json", ("f32",))


ALL = (
    _ours("chromium", "wasm-relaxed"),
    _ours("chromium", "wasm-simd128"),
    _ours("chromium", "wasm"),
    _litert("chromium", "relaxed", "LiteRT.js, relaxed SIMD"),
    _litert("chromium", "compat", "LiteRT.js, no relaxed SIMD"),
    _ort("chromium", "onnxruntime-web"),
    _tfjs("wasm", "TensorFlow.js wasm"),
    _tfjs("cpu", "TensorFlow.js plain JS"),
    _ours("node", "wasm-relaxed"),
    _ours("node", "wasm-simd128"),
    _ours("node", "wasm"),
    _ort("node", "onnxruntime-web"),
    _litert("node", "compat", "LiteRT.js"),
    _ours("wasmtime", "wasm-simd128-cranelift"),
    _ours("wasmtime", "wasm-simd128"),
    _ours("wasmtime", "wasm"),
    _ours("native", "host"),
    _ort("native", "onnxruntime"),
)


def contenders(only: str = "") -> list[Contender]:
    """Those whose target nn2wasm knows; `only` is a part of the names to keep."""
    known = [c for c in ALL if not c.is_ours or c.flavour in KNOWN_TARGETS]
    return [c for c in known if not only or any(part in c.key for part in only.split(","))]


def missing_targets() -> dict[str, str]:
    """Contenders of ours that this version of nn2wasm does not have."""
    return {
        c.key: f"this version has no target {c.flavour}"
        for c in ALL
        if c.is_ours and c.flavour not in KNOWN_TARGETS
    }
