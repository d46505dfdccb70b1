"""Layers as C functions: the walk over rows, and pointers into the arena around a kernel's call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from nn2wasm.codegen.constants import ConstantWriter
from nn2wasm.codegen.drivers import driver_context
from nn2wasm.codegen.identifiers import comment_text, identifier
from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.codegen.layout import call_text, comment_lines
from nn2wasm.codegen.runs import Run, runs_of
from nn2wasm.ir import DType, Tensor
from nn2wasm.ops.kernel import Rows, Window
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.spatial import offset_text, steps_text
from nn2wasm.plan import Call, Plan, Segment
from nn2wasm.plan.rows import RowForm


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
    """Writes layers; the constants that they read are collected on the way."""

    plan: Plan
    name: str
    kernels: KernelSet
    constants: ConstantWriter

    def layers(self, segment: Segment) -> list[dict[str, object]]:
        """What the templates need of a segment's layers; constants are written on the way."""
        if segment.stretch is None:
            return [self._layer(segment.calls[0], self._alone)]
        layers = [
            self._layer(form.call, partial(self._streamed, form, segment))
            for form in segment.stretch.forms
        ]
        layers[-1]["driver"] = driver_context(self.name, segment, layers, self._state(segment))
        return layers

    def _layer(self, call: Call, write: Callable[[Run], dict[str, object]]) -> dict[str, object]:
        """A layer as a function; in parts, as one for each run of them and one that calls these."""
        runs, parts = list(runs_of(call, self.kernels)), call.parts
        if parts is None:
            context = write(runs[0])
            return context | {"functions": [context]}
        context, pieces, loops = self._common(Run(call, ())), [], []
        for k, run in enumerate(runs):
            name = f"{context['function']}_part{k if len(runs) > 1 else ''}"
            piece = (self._row_of(run) if parts.by_rows else write(run)) | {"function": name}
            pieces.append(piece | {"part_parameter": ", int part"})
            loops.append(run.loop(name, str(piece["row"])))
        walk = call.lowering.walk
        if parts.by_rows and walk is not None:
            loops = [
                f"  {_row_loop(walk, call.backward)} {{",
                *(f"  {line}" for line in loops),
                "  }",
            ]
        else:
            context |= {key: pieces[0][key] for key in ("streams", "row")}
        context |= {"walks": False, "call": "\n".join(loops)}
        return context | {"functions": [*pieces, context]}

    def _row_of(self, run: Run) -> dict[str, object]:
        """A part of a layer alone, for a row: what its kernel makes in a call."""
        call = run.layer
        walk = call.lowering.walk
        if isinstance(walk, Window):
            return self._window_row(run, walk)
        assert isinstance(walk, Rows)
        x = f"{self._inputs(run)[0]} + {steps_text('row', walk.in_row_elements)}"
        begin = self._pointer(call.node.output, const=False)["expression"]
        y = f"{begin} + {steps_text('row', walk.out_row_elements)}"
        context = self._common(run) | {"streams": True, "row": "row", "walks": False}
        return context | {"call": self._kernel_call(run, [x], [y], 2)}

    def _state(self, segment: Segment) -> int | None:
        """Where the counts of a segment are kept whose source the host feeds."""
        is_fed = segment.stretch is not None and segment.stretch.source in (segment.rings or {})
        return self.plan.memory.state_offset if is_fed else None

    def _alone(self, run: Run) -> dict[str, object]:
        """A layer that makes its whole output in one go."""
        call = run.layer
        walk = call.lowering.walk
        context = self._common(run)
        if isinstance(walk, Window):
            return context | self._windowed(run, walk)
        if isinstance(walk, Rows):
            x = self._x(run)
            y = self._pointer(call.node.output, const=False)
            call_of_rows = self._rows_call(run, walk, "x", "y")
            return context | call_of_rows | {"rows": walk, "x": x, "y": y,
                                             "loop": _row_loop(walk, call.backward)}  # fmt: skip
        written = [self._pointer(tensor, const=False) for tensor in call.node.outputs]
        outputs = [str(pointer["expression"]) for pointer in written]
        return context | {"call": self._kernel_call(run, self._inputs(run), outputs, 2)}

    def _streamed(self, form: RowForm, segment: Segment, run: Run) -> dict[str, object]:
        """A layer that makes a row, or a few."""
        call, rings = form.call, segment.rings or {}
        walk, y = call.lowering.walk, call.node.output
        kept = rings.get(y, form.rows)
        if isinstance(walk, Window):
            return self._window_row(run, walk, rings.get(call.arguments[0], walk.in_rows), kept)
        context = self._common(run) | {"streams": True}
        y_pointer = self._pointer(y, const=False)
        at_y = _row_at("row", form.row_bytes // y.dtype.bytes, kept, form.rows)
        arguments = []
        for tensor, pointer in zip(call.arguments, self._inputs(run), strict=True):
            if tensor in form.reaches:
                reach = form.reaches[tensor]
                kept = rings.get(tensor, reach.rows)
                elements = reach.row_bytes // tensor.dtype.bytes
                pointer += _row_at("row", elements, kept, reach.rows)
            arguments.append(pointer)
        at_y = f"{y_pointer['expression']}{at_y}"
        idle = not any("row" in text for text in (*arguments, at_y))
        context |= {"row": "row", "idle": idle}
        if isinstance(walk, Rows) and walk.count > 1:
            x = self._x(run) | {"expression": arguments[0]}
            text = self._rows_call(run, walk, "x", "y", variable="span")
            loop = f"for (int span = 0; span < {walk.count}; ++span)"
            return context | text | {"rows": walk, "x": x, "loop": loop,
                                     "y": y_pointer | {"expression": at_y}}  # fmt: skip
        context["walks"] = False
        return context | {"call": self._kernel_call(run, arguments, [at_y], 2)}

    def _window_row(
        self, run: Run, walk: Window, kept_in: int = 0, kept_out: int = 0
    ) -> dict[str, object]:
        """A windowed layer that makes a row, or a few, where so many rows are kept; 0: all."""
        row_at = _row_at("iy", walk.in_row_elements, kept_in or walk.in_rows, walk.in_rows)
        at_y = _row_at("oy", walk.out_row_elements, kept_out or walk.out_rows, walk.out_rows)
        context = self._common(run) | self._windowed(run, walk, row_at, f"y{at_y}")
        top = -(-walk.pad // walk.stride)
        extent = (walk.kernel - 1) * walk.dilation
        bottom = (walk.in_rows - 1 - extent + walk.pad) // walk.stride
        edges = [f"oy < {top}"] if top > 0 else []
        edges += [f"oy > {bottom}"] if bottom < walk.last_call else []
        if bottom < top and len(edges) > 1:  # each row is at an edge
            edges = [f"oy < {walk.out_rows}"]
        edge = " || ".join(edges)
        context["names_iy"] = names_iy = bool(row_at) or walk.is_padded
        idle = not (edge or names_iy or "oy" in str(context["call"]))
        return context | {"streams": True, "row": "oy", "edge": edge, "idle": idle}

    # -- parts of a layer ----------------------------------------------------------------------

    def _common(self, run: Run) -> dict[str, object]:
        call = run.layer
        stem = f"{self.name}_{call.index:02d}"
        return {
            "function": f"{stem}_{identifier(call.node.op.kind, 'op')}",
            "comment": self._comment(call),
            "fetch": self.constants.fetch(run),
            "decodes": self.constants.decodes(run),
            "first": run.first_text,
            "part_parameter": "",
            "walks": call.lowering.walk is not None,
            "window": None,
            "rows": None,
            "streams": False,
            "row": "",
            "idle": False,
            "driver": None,
        }

    def _kernel_call(
        self, run: Run, before: Sequence[str], outputs: Sequence[str], indent: int
    ) -> str:
        """The call of a kernel with what stands before constants and scratch, and with outputs;
        outputs of a part that belong far from each other are scattered behind it.
        """
        call, parts = run.layer, run.layer.parts
        name, sizes = self.kernels.name_of(run.kernel), self.kernels.size_arguments(run.kernel)
        middle = self._middle(run)
        if parts is None:
            return call_text(name, [*before, *middle, *outputs, *sizes], indent)
        y = f"{outputs[0]} + first"
        if not parts.scattered_bytes:
            return call_text(name, [*before, *middle, y, *sizes], indent)
        dtype = call.node.output.dtype
        at = self.plan.memory.scratch[call.index] + call.scattered_offset
        made = f"({dtype.c_name} *)(void *)(a + {at})"
        walk, blocks = call.lowering.walk, str(parts.blocks)
        if walk is not None and (rows := _call_rows_text(walk)):
            blocks = f"({rows[0]}) * {walk.out_row_elements // parts.outputs}"
        texts = [blocks, str(parts.size * dtype.bytes), str(parts.outputs * dtype.bytes)]
        return "\n".join(
            [
                call_text(name, [*before, *middle, made, *sizes], indent),
                call_text("nn_scatter", [y, f"a + {at}", *texts], indent),
            ]
        )

    def _middle(self, run: Run) -> list[str]:
        """The arguments between inputs and outputs: how many rows, constants, scratch."""
        lowering = run.kernel.lowering
        walk = run.layer.lowering.walk
        counts_rows = isinstance(walk, Window) and walk.counts_rows
        middle = [*(_call_rows_text(walk) if walk is not None else []),
                  *(["valid_rows"] if counts_rows else []),
                  *self.constants.names(run)[: len(lowering.constants)]]  # fmt: skip
        return [*middle, scratch] if (scratch := self._scratch(run)) else middle

    def _inputs(self, run: Run) -> list[str]:
        """Pointers to the arguments, constant or not."""
        constants = iter(self.constants.names(run)[len(run.kernel.lowering.constants) :])
        return [
            next(constants)
            if tensor.is_constant
            else str(self._pointer(tensor, const=True)["expression"])
            for tensor in run.layer.arguments
        ]

    def _x(self, run: Run) -> dict[str, object]:
        return {"type": run.layer.arguments[0].dtype.c_name, "expression": self._inputs(run)[0]}

    def _rows_call(
        self, run: Run, walk: Rows, x: str, y: str, variable: str = "row"
    ) -> dict[str, object]:
        """The call for each span of pixels."""
        is_loop = walk.count > 1
        if is_loop:
            x += f" + {steps_text(variable, walk.in_row_elements)}"
            y += f" + {steps_text(variable, walk.out_row_elements)}"
        text = self._kernel_call(run, [x], [y], 4 if is_loop else 2)
        return {"is_loop": is_loop, "call": text}

    def _windowed(
        self, run: Run, walk: Window, row_at: str = "", at_y: str = ""
    ) -> dict[str, object]:
        """Pointers to the rows under a window, and the call with them."""
        call = run.layer
        dtype, streams = call.arguments[0].dtype, bool(at_y)
        fill_at = self.plan.memory.scratch.get(call.index, 0)
        fill = int(walk.fill) if dtype is not DType.F32 else float_literal(float(walk.fill))
        many_images = walk.images > 1
        at_y = at_y or f"y + {steps_text('oy', walk.out_row_elements)}"
        indent = 2 if streams else 6 if many_images else 4
        return {
            "window": walk,
            "x": self._x(run),
            "y": self._pointer(call.node.output, const=False),
            "loop": _row_loop(walk, call.backward),
            "call": self._kernel_call(run, ["rows"], [at_y], indent),
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
        parts = f" in {len(call.kernels)} parts" if call.parts else ""
        return comment_lines(
            f"{call.index:02d} {node.op.kind}{name}: {shapes} -> {shape_text(node.output)}"
            f"{work}{parts}, {call.choice.kernel.symbol}"
        )

    def _pointer(self, tensor: Tensor, *, const: bool) -> dict[str, object]:
        c_type = tensor.dtype.c_name
        offset = self.plan.memory.offsets[tensor]
        qualifier = "const " if const else ""
        cast = f"({qualifier}{c_type} *)" + ("" if c_type == "uint8_t" else "(void *)")
        return {"type": c_type, "expression": f"{cast}(a + {offset})"}

    def _scratch(self, run: Run) -> str:
        call, lowering = run.layer, run.kernel.lowering
        if not lowering.scratch_bytes:
            return ""
        offset = self.plan.memory.scratch[call.index] + call.scratch_offset
        return f"({lowering.scratch_type} *)(void *)(a + {offset})"
