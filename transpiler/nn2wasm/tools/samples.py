"""Inputs to run a model on: read from files, split into samples, or drawn from a fixed seed."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from nn2wasm.errors import RunError, quote
from nn2wasm.files import write_file
from nn2wasm.ir import Array, DType
from nn2wasm.loaders import TensorInfo

SEED = 0
SMALL_INTEGERS = 10
"""Random 32 and 64 bit integers stay below: they are indices more often than quantities."""

_DAMAGED = (
    *(ValueError, EOFError, MemoryError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)


class Stacking(Enum):
    """How samples lie in an array, and how outputs are to be put together again."""

    SINGLE = "one sample"
    JOINED = "along the model's own batch axis"
    STACKED = "along an axis of their own, the first"


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs for several runs.

    Attributes:
        feeds: for each run the value of each input.
        stacking: how they lay in the arrays that they were cut from.
        origin: where they come from, for reports.
    """

    feeds: tuple[Mapping[str, Array], ...]
    stacking: Stacking
    origin: str

    def first(self, count: int | None) -> Samples:
        """At most that many of them."""
        return Samples(self.feeds[:count], self.stacking, self.origin)

    def join(self, outputs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        """The outputs of all runs in one array each."""
        if self.stacking is Stacking.SINGLE:
            return dict(outputs[0])
        joined = {}
        for name, value in outputs[0].items():
            values = [each[name] for each in outputs]
            own_axis = self.stacking is Stacking.JOINED and value.shape[:1] == (1,)
            joined[name] = np.concatenate(values) if own_axis else np.stack(values)
        return joined


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of an ``.npz`` by name; that of an ``.npy`` under the empty name.

    Raises:
        RunError: the file cannot be read, or holds Python objects.
    """
    try:
        with open(path, "rb") as file:  # numpy forgets to close what it cannot read
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            with loaded as archive:
                return _members(archive, Path(path))
    except OSError as error:
        raise RunError(f"cannot read '{path}': {error.strerror or error}") from error
    except _DAMAGED as error:
        raise RunError(
            f"'{path}' holds no arrays that can be read",
            hint="expected .npy or .npz as numpy.save and numpy.savez write them, without objects",
        ) from error


def _members(archive: Mapping[str, Array], path: Path) -> dict[str, Array]:
    """Those that can be read; files with labels as objects are common, and no matter."""
    arrays = {}
    for name in archive:
        try:
            arrays[name] = archive[name]
        except ValueError:
            continue
    if not arrays:
        raise RunError(f"'{path}' holds no arrays")
    return arrays


def pick_inputs(infos: Sequence[TensorInfo], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The array of each input: by its name, as ``in_0``, ``in_1`` …, or the only array there is.

    Raises:
        RunError: an input has none.
    """
    if all(info.name in arrays for info in infos):
        return {info.name: arrays[info.name] for info in infos}
    if all(f"in_{index}" in arrays for index in range(len(infos))):
        return {info.name: arrays[f"in_{index}"] for index, info in enumerate(infos)}
    if len(infos) == len(arrays) == 1:
        return {infos[0].name: next(iter(arrays.values()))}
    facts = [("missing" if info.name not in arrays else "found", _shown(info)) for info in infos]
    facts += [("there is", quote(name)) for name in arrays if name][:10]
    raise RunError(
        "the file does not hold the model's inputs",
        facts=facts,
        hint="name the arrays as the inputs, or in_0, in_1 … in their order",
    )


def split(infos: Sequence[TensorInfo], arrays: Mapping[str, Array], origin: str) -> Samples:
    """Cuts arrays into samples, where they have more axes or a longer first axis than the inputs.

    Raises:
        RunError: inputs with different numbers of samples, or without any.
    """
    parts = {info.name: _split(info, arrays[info.name]) for info in infos}
    counts = {name: len(values) for name, (values, _) in parts.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise RunError(
            "the inputs do not have the same number of samples, one at least",
            facts=[(quote(name), str(count)) for name, count in counts.items()],
        )
    count = next(iter(counts.values()), 1)
    kinds = {kind for _, kind in parts.values()} - {Stacking.SINGLE}
    stacking = Stacking.STACKED if Stacking.STACKED in kinds else next(iter(kinds), Stacking.SINGLE)
    feeds = tuple({name: parts[name][0][index] for name in parts} for index in range(count))
    return Samples(feeds, stacking, origin)


def _split(info: TensorInfo, array: Array) -> tuple[Sequence[Array], Stacking]:
    """The samples of one input. What does not fit stays whole: running it explains why."""
    shape = info.shape
    if array.shape == shape:
        return [array], Stacking.SINGLE
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return list(array), Stacking.STACKED
    if shape[:1] == (1,):
        if array.ndim == len(shape) and array.shape[1:] == shape[1:]:
            return list(array[:, None]), Stacking.JOINED
        if array.shape == shape[1:]:
            return [array[None]], Stacking.SINGLE
    return [array], Stacking.SINGLE


def random_samples(infos: Sequence[TensorInfo], count: int) -> Samples:
    """Reproducible inputs that make sense for most models."""
    dice = np.random.default_rng(SEED)
    feeds = tuple({info.name: _draw(dice, info) for info in infos} for _ in range(count))
    meanings = ", ".join(dict.fromkeys(_meaning(info.dtype) for info in infos))
    return Samples(feeds, Stacking.STACKED, f"random, seed {SEED}: {meanings or 'no inputs'}")


def _draw(dice: np.random.Generator, info: TensorInfo) -> Array:
    dtype = info.dtype
    if dtype.is_float:
        return dice.random(info.shape, np.float32).astype(dtype.numpy)
    if dtype is DType.BOOL:
        return dice.integers(0, 2, info.shape).astype(np.bool_)
    low, high = (0, SMALL_INTEGERS) if dtype.bytes > 2 else (dtype.minimum, dtype.maximum + 1)
    return dice.integers(low, high, info.shape).astype(dtype.numpy)


def _meaning(dtype: DType) -> str:
    if dtype.is_float:
        return f"{dtype.value} uniform in 0…1"
    if dtype is DType.BOOL:
        return "bool"
    span = f"0…{SMALL_INTEGERS - 1}" if dtype.bytes > 2 else f"{dtype.minimum}…{dtype.maximum}"
    return f"{dtype.value} uniform in {span}"


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """All arrays as ``.npz``, or the only one as ``.npy``; whole or not at all.

    Raises:
        RunError: another ending, several arrays for one ``.npy``, a folder that cannot be written.
    """
    place = Path(path)
    if place.suffix not in (".npz", ".npy"):
        raise RunError(
            f"the ending of '{place.name}' does not say what to write",
            facts=[("known", ".npz, .npy")],
        )
    if place.suffix == ".npy":
        if len(arrays) != 1:
            raise RunError(f"{len(arrays)} outputs do not fit into one .npy", hint="write an .npz")
        write_file(place, _npy(next(iter(arrays.values()))))
        return
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:  # savez() has names of its own that clash
        for name, data in _named_files(arrays):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    write_file(place, content.getvalue())


def _named_files(arrays: Mapping[str, Array]) -> Iterator[tuple[str, bytes]]:
    for name, array in arrays.items():
        yield f"{name}.npy", _npy(array)


def _npy(array: Array) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)
    return content.getvalue()


def _shown(info: TensorInfo) -> str:
    return f"{quote(info.name)}  {info.dtype.value} {list(info.shape)}"
