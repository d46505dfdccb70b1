"""Plan → C: kernels and layers from templates, constants as arrays, the description as metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from nn2wasm.codegen.environment import render_template
from nn2wasm.codegen.identifiers import comment_text, identifier
from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.codegen.layout import call_text, comment_lines
from nn2wasm.codegen.literals import array_definition
from nn2wasm.codegen.source_tree import SourceTree
from nn2wasm.ir import Array, DType, Tensor
from nn2wasm.ops.kernel import Rows, Window
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.spatial import offset_text, steps_text
from nn2wasm.plan import Call, Plan
from nn2wasm.version import __version__

ABI = 1


def render(plan: Plan, *, name: str, model_sha256: str, embed: bool = False) -> SourceTree:
    """The sources of a plan: ``<name>.h``, ``<name>.c`` and the files that it embeds.

    Args:
        plan: what to write.
        name: the model's name; it becomes an identifier.
        model_sha256: of the model's file, for the description.
        embed: put large constants into files of their own, for compilers with #embed.
    """
    writer = _Writer(plan, identifier(name), embed, KernelSet(plan.calls))
    layers = [writer.layer(call) for call in plan.calls]
    metadata = describe(plan, name, model_sha256)
    context: dict[str, object] = {
        "version": __version__,
        "target": plan.target.name,
        "name": writer.name,
        "upper": writer.name.upper(),
        "title": comment_text(name),
        "model_sha256": model_sha256,
        "arena_bytes": max(1, plan.memory.arena_bytes),
        "weight_bytes": plan.weight_bytes,
        "macs": plan.macs,
        "inputs": [writer.port(tensor, tensor.name) for tensor in plan.graph.inputs],
        "outputs": [
            writer.port(tensor, output)
            for tensor, output in zip(plan.graph.outputs, plan.graph.output_names, strict=True)
        ],
        "constants": writer.constants,
        "guards": list(dict.fromkeys(g for c in plan.calls if (g := c.choice.kernel.guard))),
        "headers": list(dict.fromkeys(h for c in plan.calls for h in c.choice.kernel.headers)),
        "kernels": writer.kernels.texts(),
        "any_shared": writer.kernels.any_shared,
        "layers": layers,
        "many_layers": len(layers) > 1,
    }
    context["input_count"] = len(plan.graph.inputs)
    context["output_count"] = len(plan.graph.outputs)
    files: dict[str, str | bytes] = {
        f"{writer.name}.h": render_template("model.h.j2", context),
        f"{writer.name}.c": render_template("model.c.j2", context),
    }
    files |= writer.files
    return SourceTree(writer.name, files, max(1, plan.memory.arena_bytes), metadata)


def describe(plan: Plan, name: str, model_sha256: str) -> dict[str, object]:
    """What a module tells about itself; see docs/abi.md."""
    outputs = zip(plan.graph.outputs, plan.graph.output_names, strict=True)
    return {
        "abi": ABI,
        "model": name,
        "version": __version__,
        "target": plan.target.name,
        "inputs": [_signature(tensor, tensor.name) for tensor in plan.graph.inputs],
        "outputs": [_signature(tensor, output) for tensor, output in outputs],
        "arena_bytes": plan.memory.arena_bytes,
        "weight_bytes": plan.weight_bytes,
        "macs": plan.macs,
        "model_sha256": model_sha256,
    }


def _signature(tensor: Tensor, name: str) -> dict[str, object]:
    quant = tensor.quant
    per_tensor = quant is not None and quant.axis is None
    return {
        "name": name,
        "dtype": tensor.dtype.value,
        "shape": list(tensor.shape),
        "scale": float(quant.scale) if quant is not None and per_tensor else None,
        "zero_point": int(quant.zero_point) if quant is not None and per_tensor else None,
    }


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


@dataclass(slots=True)
class _Writer:
    """Collects constants while layers are written; equal ones are written once."""

    plan: Plan
    name: str
    embed: bool
    kernels: KernelSet
    constants: list[str] = field(default_factory=list)
    files: dict[str, str | bytes] = field(default_factory=dict)
    _constant_names: dict[tuple[str, bytes], str] = field(default_factory=dict)

    def layer(self, call: Call) -> dict[str, object]:
        """What the templates need of a layer; its constants are written on the way."""
        node, walk = call.node, call.lowering.walk
        stem = f"{self.name}_{call.index:02d}"
        kernel = self.kernels.name_of(call)
        constants = [
            self._constant(f"{self.name}_{key}{call.index:02d}", array)
            for key, array in call.lowering.constants.items()
        ]
        context: dict[str, object] = {
            "function": f"{stem}_{identifier(node.op.kind, 'op')}",
            "comment": self._comment(call),
            "kernel": kernel,
            "window": walk if isinstance(walk, Window) else None,
            "rows": walk if isinstance(walk, Rows) else None,
        }
        arguments = [self._pointer(tensor, const=True) for tensor in call.arguments]
        if walk is not None:
            return context | self._walk(call, walk, kernel, arguments[0], constants)
        parts = [*(str(a["expression"]) for a in arguments), *constants]
        parts += [scratch] if (scratch := self._scratch(call)) else []
        parts += [str(self._pointer(tensor, const=False)["expression"]) for tensor in node.outputs]
        parts += self.kernels.size_arguments(call)
        return context | {"walks": False, "call": call_text(kernel, parts, indent=2)}

    def _walk(
        self,
        call: Call,
        walk: Window | Rows,
        kernel: str,
        x: dict[str, object],
        constants: list[str],
    ) -> dict[str, object]:
        """The loop over rows: pointers for windows, spans for pointwise kernels."""
        counts_rows = isinstance(walk, Window) and walk.counts_rows
        middle = ["valid_rows", *constants] if counts_rows else [*constants]
        middle = [*_call_rows_text(walk), *middle]
        middle += [scratch] if (scratch := self._scratch(call)) else []
        sizes = self.kernels.size_arguments(call)
        context: dict[str, object] = {
            "walks": True,
            "x": x,
            "y": self._pointer(call.node.output, const=False),
            "loop": _row_loop(walk, call.backward),
        }
        if isinstance(walk, Rows):
            is_loop = walk.count > 1
            at_x = f"x + {steps_text('row', walk.in_row_elements)}" if is_loop else "x"
            at_y = f"y + {steps_text('row', walk.out_row_elements)}" if is_loop else "y"
            arguments = [at_x, *middle, at_y, *sizes]
            text = call_text(kernel, arguments, indent=4 if is_loop else 2)
            return context | {"is_loop": is_loop, "call": text}
        dtype = call.arguments[0].dtype
        fill_at = self.plan.memory.scratch.get(call.index, 0)
        fill = int(walk.fill) if dtype is not DType.F32 else float_literal(float(walk.fill))
        many_images = walk.images > 1
        at_y = f"y + {steps_text('oy', walk.out_row_elements)}"
        arguments = ["rows", *middle, at_y, *sizes]
        return context | {
            "call": call_text(kernel, arguments, indent=6 if many_images else 4),
            "pad": "  " if many_images else "",
            "padded": walk.is_padded,
            "fill_pointer": f"({dtype.c_name} *)(void *)(a + {fill_at})",
            "fill": fill,
            "iy": _row_text(walk),
            "images": walk.images,
            "many_images": many_images,
            "image_in": walk.in_rows * walk.in_row_elements,
            "image_out": walk.out_rows * walk.out_row_elements,
            "tall_window": walk.kernel > 1,
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
        if tensor.is_constant:
            count = len(self._constant_names)  # names of tensors need not differ as identifiers
            name = self._constant(f"{self.name}_constant{count:02d}", tensor.value)
            return {"type": c_type, "expression": name}
        offset = self.plan.memory.offsets[tensor]
        qualifier = "const " if const else ""
        cast = f"({qualifier}{c_type} *)" + ("" if c_type == "uint8_t" else "(void *)")
        return {"type": c_type, "expression": f"{cast}(a + {offset})"}

    def _scratch(self, call: Call) -> str:
        if not call.lowering.scratch_bytes:
            return ""
        offset = self.plan.memory.scratch[call.index] + call.scratch_offset
        return f"({call.lowering.scratch_type} *)(void *)(a + {offset})"

    def port(self, tensor: Tensor, name: str) -> dict[str, object]:
        """An input or output in the header."""
        quant = tensor.quant if tensor.quant is not None and tensor.quant.axis is None else None
        comment = f"'{comment_text(name)}' {shape_text(tensor)}"
        macros: dict[str, object] = {}
        if quant is not None:
            zero_point, scale = int(quant.zero_point), float_literal(float(quant.scale))
            comment += f"; real = (q{offset_text(-zero_point)}) * {scale[:-1]}"
            macros = {"zero_point": zero_point, "scale": scale}
        return {
            "comment": comment_lines(comment, taken=len("Output 00: ")),
            "type": tensor.dtype.c_name,
            "count": prod(tensor.shape),
            "bytes": tensor.bytes,
            "offset": self.plan.memory.offsets[tensor],
            "quant": macros,
        }
