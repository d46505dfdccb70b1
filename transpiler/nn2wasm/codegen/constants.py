"""Constants in C: arrays, or tiles in the file of weights; what a layer does to have them there."""

from __future__ import annotations

from dataclasses import dataclass, field

from nn2wasm.codegen.layout import call_text
from nn2wasm.codegen.literals import array_definition
from nn2wasm.codegen.runs import Run
from nn2wasm.ir import Array, DType
from nn2wasm.plan import Plan
from nn2wasm.plan.tile import tile_offsets


@dataclass(slots=True)
class ConstantWriter:
    """Collects constants while layers are written; equal ones are written once.

    Attributes:
        plan: whose constants.
        name: the network's, with which identifiers begin.
        embed: whether #embed may be used.
        texts: definitions of arrays, in C.
        files: that these embed.
        weights: the file of weights, where constants are elsewhere.
    """

    plan: Plan
    name: str
    embed: bool
    texts: list[str] = field(default_factory=list)
    files: dict[str, str | bytes] = field(default_factory=dict)
    weights: bytearray = field(default_factory=bytearray)
    _names: dict[tuple[str, bytes], str] = field(default_factory=dict)
    _tiles: dict[bytes, int] = field(default_factory=dict)

    def names(self, run: Run) -> list[str]:
        """How a call names what its kernel reads, in the order of `Call.packed`."""
        call = run.kernel
        names, in_tile = self._kept(run), iter(self._in_tile(run))
        return [
            next(in_tile) if call.tiled or index in call.encoded else names[index]["array"]
            for index in range(len(call.packed))
        ]

    def _kept(self, run: Run) -> list[dict[str, str]]:
        """The names of arrays that are kept for each constant of a kernel."""
        call = run.kernel
        if call.tiled:
            return []
        keys, place = list(call.lowering.constants), 0
        names: list[dict[str, str]] = []
        for index, array in enumerate(call.packed):
            is_packed = index < len(keys)
            number = call.index if is_packed else len(self._names)
            key = keys[index] if is_packed else "constant"
            encoded = call.encoded.get(index)
            arrays = encoded.arrays if encoded else {"array": array}
            names.append({})
            for kind, kept in arrays.items():
                stem = f"{self.name}_{key}{number:02d}" + (f"_{kind}" if encoded else "")
                name = self._constant(stem, run.array(place))
                names[-1][kind] = run.array_text(name, kept.size)
                place += 1
        return names

    def decodes(self, run: Run) -> list[str]:
        """Statements that decode constants into the tile."""
        if not run.calls or not run.kernel.encoded:
            return []
        kept, tile = self._kept(run), iter(self._in_tile(run))
        texts = []
        for index, encoded in run.kernel.encoded.items():
            to = next(tile).replace("(const ", "(", 1)
            zeros = "_zeros" if "zeros" in encoded.arrays else ""
            zero = [] if encoded.zero is None else [str(encoded.zero)]
            for section, starts in zip(encoded.sections, encoded.starts(), strict=True):
                *arrays, made = map(_moved_text, [*kept[index].values(), to], starts)
                sizes = [str(section.size)] if len(arrays) == 1 else map(str, section)
                arguments = [*arrays, *zero, *sizes, made]
                texts.append(call_text(f"{encoded.function}{zeros}", arguments, 2))
        return texts

    def _in_tile(self, run: Run) -> list[str]:
        at = self.plan.memory.scratch.get(run.layer.index, 0) + run.layer.tile_offset
        constants = run.kernel.in_tile
        return [
            f"(const {DType.of(array).c_name} *)(void *)(a + {at + offset})"
            for array, offset in zip(constants, tile_offsets(constants), strict=False)
        ]

    def fetch(self, run: Run) -> dict[str, object] | None:
        """Which bytes of the file of weights are copied where, before the call."""
        call = run.layer
        if not call.tiled or not run.calls or not run.kernel.packed:
            return None
        tiles = run.tiles
        data = b"".join(tiles)
        if data not in self._tiles:
            self._tiles[data] = len(self.weights)
            self.weights += data
        at = self.plan.memory.scratch[call.index] + call.tile_offset
        return {"at": at, "offset": run.offset_text(self._tiles[data]), "bytes": len(tiles[0])}

    def _constant(self, name: str, array: Array) -> str:
        """The name of a constant array; written where no equal one is there yet."""
        key = (array.dtype.str, array.tobytes())
        if key not in self._names:
            self._names[key] = name
            text, files = array_definition(name, array, embed=self.embed)
            self.texts.append(text)
            self.files |= files
        return self._names[key]


def _moved_text(pointer: str, elements: int) -> str:
    return f"{pointer} + {elements}" if elements else pointer
