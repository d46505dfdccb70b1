"""A compiled model that is ready to run: the same interface for every engine.

with nn2wasm.load("resnet8.wasm") as net:
    scores = net.run({"image": image})["scores"]
"""

from __future__ import annotations

import ctypes
import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nn2wasm.errors import RunError, quote
from nn2wasm.ir.dtype import DType
from nn2wasm.loaders.feeds import check_names, convert
from nn2wasm.loaders.tensor_info import TensorInfo
from nn2wasm.target import FROM_HOST


class Session(ABC):
    """A loaded model with memory of its own.

    `run` may be called from several threads; the calls take turns. For parallel work load the
    model once for each thread.

    Attributes:
        inputs: what `run` wants, in the model's order.
        outputs: what `run` returns.
        metadata: everything the model tells about itself.
    """

    def __init__(self, metadata: dict[str, Any]) -> None:
        self.metadata = metadata
        self.inputs = tuple(TensorInfo.from_metadata(e) for e in metadata["inputs"])
        self.outputs = tuple(TensorInfo.from_metadata(e) for e in metadata["outputs"])
        self._lock = threading.Lock()
        self._unusable = ""
        self._input_views: list[NDArray[np.uint8]] = []
        self._output_views: list[NDArray[np.uint8]] = []

    @abstractmethod
    def _memory(self, kind: str, index: int, byte_count: int) -> NDArray[np.uint8]:
        """The bytes of tensor `index` in the model's memory; `kind` is "input" or "output".

        Raises:
            RunError: the model has no such tensor, or it does not lie in its memory.
        """

    @abstractmethod
    def _call(self, name: str, *arguments: int) -> int:
        """What an exported function returns, 0 where it returns nothing; RunError when it traps."""

    @abstractmethod
    def _execute(self) -> int:
        """Run the model on what lies in its memory; its status. RunError when it traps."""

    @abstractmethod
    def close(self) -> None:
        """Give memory back; the session cannot run afterwards. May be called twice."""

    def run(self, feeds: Mapping[str, ArrayLike] | ArrayLike) -> dict[str, NDArray[Any]]:
        """Compute the outputs.

        Args:
            feeds: a value for each input; a model with one input takes the bare array too.
                Shapes must match. Values of another element type are converted where nothing but
                float precision is lost, and refused otherwise.

        Returns:
            Each output by its name, in arrays of their own.

        Raises:
            RunError: a wrong name, shape or element type; the model trapped or failed.
        """
        values = check_names(self.inputs, feeds)
        arrays = [convert(info, values[info.name]) for info in self.inputs]
        with self._lock:
            if self._unusable:
                raise RunError(f"the session cannot run: {self._unusable}", hint="load it again")
            try:
                status = self._compute(arrays)
            except RunError:
                self._unusable = "the model trapped before"
                raise
            if status != 0:
                raise RunError(f"the model reports status {status}")
            return {
                info.name: _from_bytes(info, view)
                for info, view in zip(self.outputs, self._output_views, strict=True)
            }

    def reset(self) -> None:
        """Make what stays from run to run zero again; nothing where the model keeps nothing.

        Raises:
            RunError: the session is closed, or the model trapped before.
        """
        with self._lock:
            if self._unusable:
                raise RunError(f"the session cannot run: {self._unusable}", hint="load it again")
            if self.metadata.get("states"):
                self._call("nn_reset")

    def _compute(self, arrays: list[NDArray[Any]]) -> int:
        """Hand the inputs over and run; the status."""
        feed = self.metadata.get("feed")
        if feed:
            image = arrays[0].transpose(0, 2, 3, 1) if feed["planes"] else arrays[0]
            return self._feed(np.ascontiguousarray(image).reshape(feed["rows"], -1))
        for view, array in zip(self._input_views, arrays, strict=True):
            view[:] = array.reshape(-1).view(np.uint8)
        return self._execute()

    def _feed(self, rows: NDArray[Any]) -> int:
        """Hand an image over row by row."""
        self._call("nn_begin")
        left = len(rows)
        for row in rows:
            data = row.view(np.uint8)
            self._memory("input", 0, data.size)[:] = data
            left = self._call("nn_feed", 1)
        return left

    def _find_tensors(self, input_count: int, output_count: int) -> None:
        """Take views of all tensors; memory of a model never grows, so it never moves.

        Raises:
            RunError: the code has other tensors than the metadata, or they lie elsewhere.
        """
        found = (input_count, output_count)
        told = (len(self.inputs), len(self.outputs))
        if found != told:
            raise RunError(
                "the metadata of the model does not fit its code",
                facts=[("inputs, outputs told", str(told)), ("found", str(found))],
            )
        if not self.metadata.get("feed"):
            self._input_views = [
                self._memory("input", i, info.byte_count) for i, info in enumerate(self.inputs)
            ]
        self._output_views = [
            self._memory("output", i, info.byte_count) for i, info in enumerate(self.outputs)
        ]

    def _closed(self) -> None:
        self._unusable = "it is closed"
        self._input_views = []
        self._output_views = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {quote(str(self.metadata['model']))}>"


def check_weights(metadata: Mapping[str, Any], weights: bytes) -> None:
    """Raises RunError unless a model that reads its weights from the host got just those."""
    if metadata.get("weights") != FROM_HOST:
        return
    found = hashlib.sha256(weights).hexdigest()
    if found != metadata.get("weights_sha256"):
        raise RunError(
            "these are not the weights of this module" if weights else "the weights are missing",
            facts=[("wanted", f"{metadata.get('weights_file_bytes')} bytes"),
                   ("found", f"{len(weights)} bytes")],
            hint="the compiler wrote them beside the module, with the ending .weights",
        )  # fmt: skip


def outside(kind: str, index: int) -> RunError:
    return RunError(f"{kind} {index} does not lie in the model's memory")


def bytes_at(address: int, count: int) -> NDArray[np.uint8]:
    """A view of `count` bytes of this process; the caller knows that they exist."""
    view: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address))
    return view


def _from_bytes(info: TensorInfo, memory: NDArray[np.uint8]) -> NDArray[Any]:
    if info.dtype is DType.BOOL:  # any byte but 0 is true; numpy wants a 1
        return np.asarray(memory != 0).reshape(info.shape)
    values: NDArray[Any] = memory.copy().view(info.dtype.numpy).astype(info.numpy, copy=False)
    return values.reshape(info.shape)
