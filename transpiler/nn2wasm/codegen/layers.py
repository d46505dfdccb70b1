"""Layers as C functions: the walk over rows, and pointers into the arena around a kernel's call."""

from __future__ import annotations

from dataclasses import dataclass, field

from nn2wasm.codegen.drivers import driver_context
from nn2wasm.codegen.identifiers import comment_text, identifier
from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.codegen.layout import call_text, comment_lines
from nn2wasm.codegen.literals import array_definition
from nn2wasm.ir import Array, DType, Tensor
from nn2wasm.ops.kernel import Rows, Window
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.spatial import offset_text, steps_text
from nn2wasm.plan import Call, Plan, Segment
from nn2wasm.plan.rows import RowForm
from nn2wasm.plan.tile import make_tile


def shape_text(tensor: Tensor) -> str:
    return (
        f"{tensor.dtype.value}[{']['.join(map(str, tensor.shape))}]"
        if tensor.shape
        else (tensor.dtype.value)
    )


def count_text(value: int) -> str:
    """A count for people: 940, 1.18 k, 12.5 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def _row_text(walk: Window) -> str:
    """The input row under window row ky of output row oy."""
    parts = [steps_text("oy", walk.stride), steps_text("ky", walk.dilation)]
    return " + ".join(parts) + offset_text(-walk.pad)


def _row_loop(walk: Window | Rows, backward: bool) -> str:
    """The head of the loop over rows, in the direction that the memory plan needs."""
    if isinstance(walk, Window):
        variable, count, last, step = "oy", walk.out_rows, walk.last_call, walk.call_rows
    else:
        variable, count, last, step = "row", walk.count, walk.count - 1, 1
    if backward:
        down = f"{variable} -= {step}" if step > 1 else f"--{variable}"
        return f"for (int {variable} = {last}; {variable} >= 0; {down})"
    up = f"{variable} += {step}" if step > 1 else f"++{variable}"
    return f"for (int {variable} = 0; {variable} < {count}; {up})"


def _call_rows_text(walk: Window | Rows) -> list[str]:
    """How many output rows a call writes, where the last writes fewer than the others."""
    if not isinstance(walk, Window) or walk.out_rows % walk.call_rows == 0:
        return []
    step, rest = walk.call_rows, walk.out_rows % walk.call_rows
    return [f"oy < {walk.last_call} ? {step} : {rest}"] if walk.last_call else [str(rest)]


def _row_at(row: str, elements: int, kept: int, rows: int) -> str:
    """Where a row begins in a tensor of which `kept` rows are in memory, of `rows` in all."""
    if kept == 1 and rows > 1:
        return ""
    slot = row if kept == rows else f"({row} % {kept})"
    return f" + {steps_text(slot, elements)}"


@dataclass(slots=True)
class LayerWriter:
    """Collects constants while layers are written; equal ones are written once."""

    plan: Plan
    name: str
    embed: bool
    kernels: KernelSet
    constants: list[str] = field(default_factory=list)
    files: dict[str, str | bytes] = field(default_factory=dict)
    weights: bytearray = field(default_factory=bytearray)
    _constant_names: dict[tuple[str, bytes], str] = field(default_factory=dict)
    _tiles: dict[bytes, int] = field(default_factory=dict)

    def layers(self, segment: Segment) -> list[dict[str, object]]:
        """What the templates need of a segment's layers; constants are written on the way."""
        if segment.stretch is None:
            return [self._alone(segment.calls[0])]
        layers = [self._streamed(form, segment) for form in segment.stretch.forms]
        layers[-1]["driver"] = driver_context(self.name, segment, layers, self._state(segment))
        return layers

    def _state(self, segment: Segment) -> int | None:
        """Where the counts of a segment are kept whose source the host feeds."""
        is_fed = segment.stretch is not None and segment.stretch.source in (segment.rings or {})
        return self.plan.memory.state_offset if is_fed else None

    def _alone(self, call: Call) -> dict[str, object]:
        """A layer that makes its whole output in one go."""
        walk, middle = call.lowering.walk, self._middle(call)
        context = self._common(call)
        if isinstance(walk, Window):
            return context | self._windowed(call, walk, middle)
        if isinstance(walk, Rows):
            x = self._x(call)
            y = self._pointer(call.node.output, const=False)
            call_of_rows = self._rows_call(call, walk, middle, "x", "y")
            return context | call_of_rows | {"rows": walk, "x": x, "y": y,
                                             "loop": _row_loop(walk, call.backward)}  # fmt: skip
        parts = [*self._inputs(call), *middle]
        parts += [str(self._pointer(t, const=False)["expression"]) for t in call.node.outputs]
        parts += self.kernels.size_arguments(call)
        return context | {"call": call_text(self.kernels.name_of(call), parts, indent=2)}

    def _streamed(self, form: RowForm, segment: Segment) -> dict[str, object]:
        """A layer that makes a row, or a few."""
        call, rings = form.call, segment.rings or {}
        walk, middle = call.lowering.walk, self._middle(call)
        context = self._common(call) | {"streams": True}
        y = call.node.output
        out_row = form.row_bytes // y.dtype.bytes
        variable = "oy" if isinstance(walk, Window) else "row"
        at_y = _row_at(variable, out_row, rings.get(y, form.rows), form.rows)
        y_pointer = self._pointer(y, const=False)
        if isinstance(walk, Window):
            kept = rings.get(call.arguments[0], walk.in_rows)
            row_at = _row_at("iy", walk.in_row_elements, kept, walk.in_rows)
            row_context = self._windowed(call, walk, middle, row_at, f"y{at_y}")
            top = -(-walk.pad // walk.stride)
            extent = (walk.kernel - 1) * walk.dilation
            bottom = (walk.in_rows - 1 - extent + walk.pad) // walk.stride
            edges = [f"oy < {top}"] if top > 0 else []
            edges += [f"oy > {bottom}"] if bottom < walk.last_call else []
            edge = " || ".join(edges)
            row_context["names_iy"] = names_iy = bool(row_at) or walk.is_padded
            idle = not (edge or names_iy or "oy" in str(row_context["call"]))
            return context | row_context | {"row": "oy", "edge": edge, "idle": idle}
        arguments = []
        for tensor, pointer in zip(call.arguments, self._inputs(call), strict=True):
            if tensor in form.reaches:
                reach = form.reaches[tensor]
                kept = rings.get(tensor, reach.rows)
                elements = reach.row_bytes // tensor.dtype.bytes
                pointer += _row_at(variable, elements, kept, reach.rows)
            arguments.append(pointer)
        at_y = f"{y_pointer['expression']}{at_y}"
        idle = not any("row" in text for text in (*arguments, at_y))
        context |= {"row": "row", "idle": idle}
        if isinstance(walk, Rows) and walk.count > 1:
            x = self._x(call) | {"expression": arguments[0]}
            text = self._rows_call(call, walk, middle, "x", "y", variable="span")
            loop = f"for (int span = 0; span < {walk.count}; ++span)"
            return context | text | {"rows": walk, "x": x, "loop": loop,
                                     "y": y_pointer | {"expression": at_y}}  # fmt: skip
        parts = [*arguments, *middle, at_y, *self.kernels.size_arguments(call)]
        context["walks"] = False
        return context | {"call": call_text(self.kernels.name_of(call), parts, indent=2)}

    # -- parts of a layer ----------------------------------------------------------------------

    def _common(self, call: Call) -> dict[str, object]:
        stem = f"{self.name}_{call.index:02d}"
        return {
            "function": f"{stem}_{identifier(call.node.op.kind, 'op')}",
            "comment": self._comment(call),
            "fetch": self._fetch(call),
            "walks": call.lowering.walk is not None,
            "window": None,
            "rows": None,
            "streams": False,
            "row": "",
            "idle": False,
            "driver": None,
        }

    def _middle(self, call: Call) -> list[str]:
        """The arguments between inputs and outputs: how many rows, constants, scratch."""
        walk = call.lowering.walk
        counts_rows = isinstance(walk, Window) and walk.counts_rows
        middle = [*(_call_rows_text(walk) if walk is not None else []),
                  *(["valid_rows"] if counts_rows else []),
                  *self._constants(call)[: len(call.lowering.constants)]]  # fmt: skip
        return [*middle, scratch] if (scratch := self._scratch(call)) else middle

    def _inputs(self, call: Call) -> list[str]:
        """Pointers to the arguments, constant or not."""
        constants = iter(self._constants(call)[len(call.lowering.constants) :])
        return [
            next(constants)
            if tensor.is_constant
            else str(self._pointer(tensor, const=True)["expression"])
            for tensor in call.arguments
        ]

    def _x(self, call: Call) -> dict[str, object]:
        return {"type": call.arguments[0].dtype.c_name, "expression": self._inputs(call)[0]}

    def _constants(self, call: Call) -> list[str]:
        """How the call names its constants, in the order of `Call.constants`."""
        if call.tiled:
            return self._in_tile(call)
        keys = list(call.lowering.constants)
        names = []
        for index, array in enumerate(call.constants):
            is_packed = index < len(keys)
            number = call.index if is_packed else len(self._constant_names)
            key = keys[index] if is_packed else "constant"
            names.append(self._constant(f"{self.name}_{key}{number:02d}", array))
        return names

    def _in_tile(self, call: Call) -> list[str]:
        at = self.plan.memory.scratch.get(call.index, 0) + call.tile_offset
        offsets = make_tile(call.constants).offsets
        types = [DType.of(array).c_name for array in call.constants]
        return [
            f"(const {c_type} *)(void *)(a + {at + offset})"
            for c_type, offset in zip(types, offsets, strict=True)
        ]

    def _fetch(self, call: Call) -> dict[str, int] | None:
        """Which bytes of the file of weights are copied where, before the call."""
        if not call.tiled or not call.constants:
            return None
        data = make_tile(call.constants).data
        if data not in self._tiles:
            self._tiles[data] = len(self.weights)
            self.weights += data
        at = self.plan.memory.scratch[call.index] + call.tile_offset
        return {"at": at, "offset": self._tiles[data], "bytes": len(data)}

    def _rows_call(
        self, call: Call, walk: Rows, middle: list[str], x: str, y: str, variable: str = "row"
    ) -> dict[str, object]:
        """The call for each span of pixels."""
        is_loop = walk.count > 1
        if is_loop:
            x += f" + {steps_text(variable, walk.in_row_elements)}"
            y += f" + {steps_text(variable, walk.out_row_elements)}"
        arguments = [x, *middle, y, *self.kernels.size_arguments(call)]
        text = call_text(self.kernels.name_of(call), arguments, indent=4 if is_loop else 2)
        return {"is_loop": is_loop, "call": text}

    def _windowed(
        self, call: Call, walk: Window, middle: list[str], row_at: str = "", at_y: str = ""
    ) -> dict[str, object]:
        """Pointers to the rows under a window, and the call with them."""
        dtype, streams = call.arguments[0].dtype, bool(at_y)
        fill_at = self.plan.memory.scratch.get(call.index, 0)
        fill = int(walk.fill) if dtype is not DType.F32 else float_literal(float(walk.fill))
        many_images = walk.images > 1
        at_y = at_y or f"y + {steps_text('oy', walk.out_row_elements)}"
        arguments = ["rows", *middle, at_y, *self.kernels.size_arguments(call)]
        indent = 2 if streams else 6 if many_images else 4
        return {
            "window": walk,
            "x": self._x(call),
            "y": self._pointer(call.node.output, const=False),
            "loop": _row_loop(walk, call.backward),
            "call": call_text(self.kernels.name_of(call), arguments, indent=indent),
            "pad": " " * (indent - 2),
            "padded": walk.is_padded,
            "fill_pointer": f"({dtype.c_name} *)(void *)(a + {fill_at})",
            "fill": fill,
            "iy": _row_text(walk),
            "row_at": row_at if streams else f" + {steps_text('iy', walk.in_row_elements)}",
            "names_iy": True,
            "images": walk.images,
            "many_images": many_images,
            "image_in": walk.in_rows * walk.in_row_elements,
            "image_out": walk.out_rows * walk.out_row_elements,
        }

    def _comment(self, call: Call) -> str:
        node = call.node
        origin = node.origin[0] if node.origin else ""
        name = f" '{comment_text(origin)}'" if origin else " (added)"
        shapes = ", ".join(shape_text(t) for t in node.present_inputs[:2])
        macs = node.op.macs(node)
        work = f", {count_text(macs)} MAC" if macs else ""
        return comment_lines(
            f"{call.index:02d} {node.op.kind}{name}: {shapes} -> {shape_text(node.output)}"
            f"{work}, {call.choice.kernel.symbol}"
        )

    def _constant(self, name: str, array: Array) -> str:
        """The name of a constant array; written where no equal one is there yet."""
        key = (array.dtype.str, array.tobytes())
        if key not in self._constant_names:
            self._constant_names[key] = name
            text, files = array_definition(name, array, embed=self.embed)
            self.constants.append(text)
            self.files |= files
        return self._constant_names[key]

    def _pointer(self, tensor: Tensor, *, const: bool) -> dict[str, object]:
        c_type = tensor.dtype.c_name
        offset = self.plan.memory.offsets[tensor]
        qualifier = "const " if const else ""
        cast = f"({qualifier}{c_type} *)" + ("" if c_type == "uint8_t" else "(void *)")
        return {"type": c_type, "expression": f"{cast}(a + {offset})"}

    def _scratch(self, call: Call) -> str:
        if not call.lowering.scratch_bytes:
            return ""
        offset = self.plan.memory.scratch[call.index] + call.scratch_offset
        return f"({call.lowering.scratch_type} *)(void *)(a + {offset})"
