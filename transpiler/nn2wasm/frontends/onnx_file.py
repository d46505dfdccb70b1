"""From a path, bytes or a ModelProto to a parsed ModelProto, or one line on what it is instead.

A .tflite file is translated here, so that all behind it sees ONNX.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TypeAlias

import onnx
from google.protobuf.message import DecodeError, Error  # type: ignore[import-untyped]

from nn2wasm.errors import LONGEST_PATH, InvalidModel, quote
from nn2wasm.frontends.limits import Limits
from nn2wasm.frontends.onnx_wire import check_wire
from nn2wasm.frontends.tflite_import import translated

Source: TypeAlias = str | os.PathLike[str] | bytes | onnx.ModelProto

_HEAD_BYTES = 1024
_PYTORCH = "export it with torch.onnx.export(model, example_input, 'model.onnx')"
_KEEP = "copy it again; a download or copy that stopped early leaves such a file"
_MAGIC = (
    # offset, bytes, what it is, what to do
    (0, b"version https://git-lfs.github.com/spec", "a Git LFS pointer", "run: git lfs pull"),
    (0, b"PK\x03\x04", "a zip archive (PyTorch .pt, .keras and .npz files are)", _PYTORCH),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5)", "convert it with tf2onnx"),
    (0, b"\0asm", "a WebAssembly module", "give the .onnx file that it was made from"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"\x80\x02", "a Python pickle (PyTorch .pth)", _PYTORCH),
    (0, b"\x80\x03", "a Python pickle", _PYTORCH),
    (0, b"\x80\x04", "a Python pickle", _PYTORCH),
    (0, b"\x80\x05", "a Python pickle", _PYTORCH),
    (0, b"\x93NUMPY", "a numpy array", ""),
    (0, b"\x7fELF", "an ELF program", ""),
)


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A parsed model that has a graph.

    Attributes:
        proto: the model.
        label: what messages call the file, already quoted.
        sha256: hex digest of its bytes.
        folder: where external data may lie, None for a model that is not a file.
    """

    proto: onnx.ModelProto
    label: str
    sha256: str
    folder: str | None


def open_model(source: Source, limits: Limits) -> OnnxFile:
    """Reads and parses; raises InvalidModel for all that is not an ONNX model."""
    if isinstance(source, onnx.ModelProto):
        return _from_proto(source, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        data, label = bytes(source), "the model (bytes)"
        folder: str | None = None
        _check_size(len(data), label, limits)
    else:
        path = os.fspath(source)
        label = quote(path, LONGEST_PATH)
        data = _read(path, label, limits)
        folder = os.path.realpath(os.path.dirname(path) or ".")
    proto = translated(data, label, limits) or _parse(data, label, limits)
    return OnnxFile(proto, label, hashlib.sha256(data).hexdigest(), folder)


def _from_proto(proto: onnx.ModelProto, limits: Limits) -> OnnxFile:
    label = "the model"
    if not proto.HasField("graph"):
        raise InvalidModel(f"{label} has no graph")
    try:
        data = proto.SerializeToString(deterministic=True)
    except (Error, ValueError) as error:
        raise InvalidModel(
            f"{label} cannot be serialized", facts=[("protobuf", _one_line(error))]
        ) from error
    _check_size(len(data), label, limits)
    check_wire(data, label, limits.field_count)
    return OnnxFile(proto, label, hashlib.sha256(data).hexdigest(), None)


def _read(path: str, label: str, limits: Limits) -> bytes:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            saved_model = os.path.exists(os.path.join(path, "saved_model.pb"))
            raise InvalidModel(
                f"{label} is a folder, not an ONNX file",
                hint="it is a TensorFlow SavedModel; convert it with tf2onnx"
                if saved_model
                else "give the .onnx file itself",
            )
        if not stat.S_ISREG(status.st_mode):
            raise InvalidModel(f"{label} is a device or a pipe, not an ONNX file")
        with open(path, "rb") as file:
            if status.st_size <= limits.model_bytes:
                # One byte more than allowed shows a file that grew since.
                data = file.read(limits.model_bytes + 1)
                status_bytes = len(data)
            else:
                data, status_bytes = file.read(_HEAD_BYTES), status.st_size
    except FileNotFoundError as error:
        raise InvalidModel(f"{label} does not exist") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidModel(f"{label} cannot be read: {reason}") from error
    if status_bytes > limits.model_bytes:
        _refuse_known(data, label)
    _check_size(status_bytes, label, limits)
    return data


def _check_size(size: int, label: str, limits: Limits) -> None:
    if size == 0:
        raise InvalidModel(f"{label} is empty (0 bytes)", hint=_KEEP)
    if size > limits.model_bytes:
        raise InvalidModel(
            f"{label} has {size:,} bytes; models are read up to {limits.model_bytes:,}"
        )


def _parse(data: bytes, label: str, limits: Limits) -> onnx.ModelProto:
    try:
        check_wire(data, label, limits.field_count)
    except InvalidModel:
        _refuse_known(data, label)
        raise
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        _refuse_known(data, label)
        raise InvalidModel(
            f"{label} is not an ONNX model, or it is cut short or damaged "
            f"({len(data):,} bytes that protobuf cannot read)",
            facts=[("protobuf", _one_line(error))],
            hint=_KEEP,
        ) from error
    if not proto.HasField("graph"):
        _refuse_known(data, label)
        raise InvalidModel(
            f"{label} is not an ONNX model, or it is cut short: it has no graph", hint=_KEEP
        )
    return proto


def _refuse_known(data: bytes, label: str) -> None:
    """Raises where the first bytes tell what the file really is."""
    for offset, magic, what, hint in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            raise InvalidModel(f"{label} is {what}, not an ONNX model", hint=hint)
    kind = _text_kind(data[:_HEAD_BYTES])
    if kind:
        hint = "look into it: a download often ends in an error page" if "HTML" in kind else ""
        raise InvalidModel(f"{label} is {kind}, not an ONNX model", hint=hint)


def _text_kind(head: bytes) -> str:
    """What sort of text this is, empty where it is none."""
    text = head.decode("utf-8", "ignore")
    # A character cut in two at the end of the head is no reason to call it binary.
    if len(head) - len(text.encode("utf-8")) > 3 or not text.strip():
        return ""
    if not all(c.isprintable() or c in "\t\r\n\f\ufeff" for c in text):
        return ""
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return "an HTML or XML page"
    if start.startswith(("{", "[")):
        return "JSON text"
    return "text"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
