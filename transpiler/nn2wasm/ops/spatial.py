"""Window geometry that convolution and pooling share: ONNX attributes to numbers, 1-D as 2-D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nn2wasm.ir import Shape, Tensor
from nn2wasm.ops.kernel import Window
from nn2wasm.ops.onnx_node import OnnxNode

Pair = tuple[int, int]
LARGEST_WINDOW = 4096
LARGEST_STEP = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A sliding window over height and width; a 1-D window has height 1.

    Attributes:
        rank: spatial axes of the tensors, 1 or 2.
        kernel: kh, kw.
        stride: rows, columns.
        dilation: rows, columns.
        pad_begin: above, left.
        pad_end: below, right.
        ceil: round the output's size up; windows that begin in the end padding are dropped.
    """

    rank: int
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pad_begin: Pair = (0, 0)
    pad_end: Pair = (0, 0)
    ceil: bool = False

    def out_size(self, size: Pair) -> Pair:
        """Output height and width for an input of that height and width."""
        return tuple(self._out(i, size[i]) for i in range(2))  # type: ignore[return-value]

    def _out(self, i: int, size: int) -> int:
        extent = (self.kernel[i] - 1) * self.dilation[i] + 1
        room = size + self.pad_begin[i] + self.pad_end[i] - extent
        if room < 0:
            return 0
        if not self.ceil:
            return room // self.stride[i] + 1
        count = -(-room // self.stride[i]) + 1
        if (count - 1) * self.stride[i] >= size + self.pad_begin[i]:
            count -= 1
        return count

    @property
    def is_pointwise(self) -> bool:
        """1x1, stride 1, no padding: every output pixel comes from one input pixel."""
        return (
            self.kernel == (1, 1)
            and self.stride == (1, 1)
            and not any(self.pad_begin + self.pad_end)
        )

    @property
    def is_padded(self) -> bool:
        return any(self.pad_begin + self.pad_end)


def spatial_size(shape: Shape, channels_last: bool) -> Pair:
    """Height and width of an image tensor of rank 3 or 4; height 1 for rank 3."""
    sizes = shape[1:-1] if channels_last else shape[2:]
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def image_shape(batch: int, size: Pair, channels: int, rank: int, channels_last: bool) -> Shape:
    sizes = size[2 - rank :]
    return (batch, *sizes, channels) if channels_last else (batch, channels, *sizes)


class Steps(NamedTuple):
    """Attributes of a window over any number of spatial axes, a number for each."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    ceil: bool


def read_steps(
    node: OnnxNode, in_shape: Shape, kernel: Sequence[int], *, channels_last: bool = False
) -> Steps:
    """Reads auto_pad, strides, dilations, pads and ceil_mode of a windowed ONNX node.

    Raises:
        InvalidModel: lengths or values that mean nothing.
        UnsupportedFeature: negative padding, numbers beyond the limits.
    """
    rank = len(kernel)
    if len(in_shape) != rank + 2:
        raise node.invalid(f"a kernel of {rank} axes needs an input of rank {rank + 2}")

    def numbers(name: str, default: int, length: int, least: int) -> tuple[int, ...]:
        values = node.attr_ints(name, (default,) * length) or (default,) * length
        if len(values) != length:
            raise node.invalid(f"{name} has {len(values)} values, expected {length}")
        if min(values) < least:
            if name == "pads":
                raise node.unsupported("negative padding")
            raise node.invalid(f"{name} must be at least {least}")
        return values

    if min(kernel) < 1:
        raise node.invalid(f"kernel {list(kernel)} must be at least 1")
    if max(kernel) > LARGEST_WINDOW:
        raise node.unsupported(f"a window of {max(kernel)}; up to {LARGEST_WINDOW} is compiled")
    strides = numbers("strides", 1, rank, 1)
    dilations = numbers("dilations", 1, rank, 1)
    pads = numbers("pads", 0, 2 * rank, 0)
    begin, end = pads[:rank], pads[rank:]
    if max(strides + dilations + pads) > LARGEST_STEP:
        raise node.unsupported(f"strides, dilations or pads above {LARGEST_STEP}")
    auto = node.attr_str("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sizes = in_shape[1:-1] if channels_last else in_shape[2:]
        begin, end = _same_pads(sizes, kernel, strides, dilations, lower=auto == "SAME_LOWER")
    elif auto == "VALID":
        begin = end = (0,) * rank
    elif auto != "NOTSET":
        raise node.invalid(f"auto_pad {auto!r} is not one of ONNX's")
    ceil = bool(node.attr_int("ceil_mode", 0))
    return Steps(tuple(kernel), strides, dilations, begin, end, ceil)


def read_geometry(
    node: OnnxNode, in_shape: Shape, kernel: Sequence[int], *, channels_last: bool = False
) -> Geometry:
    """The window of a node over one or two spatial axes.

    Raises:
        InvalidModel: lengths or values that mean nothing.
        UnsupportedFeature: more than two spatial axes, negative padding.
    """
    rank = len(kernel)
    if rank not in (1, 2):
        raise node.unsupported(f"{rank} spatial axes; 1 and 2 are compiled")
    steps = read_steps(node, in_shape, kernel, channels_last=channels_last)

    def pair(values: Sequence[int], filler: int) -> Pair:
        return (filler, values[0]) if rank == 1 else (values[0], values[1])

    return Geometry(
        rank=rank,
        kernel=pair(kernel, 1),
        stride=pair(steps.strides, 1),
        dilation=pair(steps.dilations, 1),
        pad_begin=pair(steps.begin, 0),
        pad_end=pair(steps.end, 0),
        ceil=steps.ceil,
    )


def transposed_sizes(
    node: OnnxNode, in_shape: Shape, steps: Steps
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of a transposed convolution: the padding at the begin of each axis, and the output's sizes.

    Raises:
        InvalidModel: output_padding or output_shape mean nothing, or nothing would be left.
    """
    auto, rank = node.attr_str("auto_pad", "NOTSET"), len(steps.kernel)
    extra = node.attr_ints("output_padding", (0,) * rank) or (0,) * rank
    wanted = node.attr_ints("output_shape")
    if len(extra) != rank or min(extra) < 0:
        raise node.invalid(f"output_padding {list(extra)} for {rank} axes")
    if wanted is not None:
        wanted = wanted[-rank:]
        if len(wanted) != rank or min(wanted) < 1:
            raise node.invalid(f"output_shape {list(wanted)} for {rank} axes")
    begins, sizes = [], []
    for axis, size in enumerate(in_shape[2:]):
        stride, dilation = steps.strides[axis], steps.dilations[axis]
        full = (size - 1) * stride + extra[axis] + (steps.kernel[axis] - 1) * dilation + 1
        if wanted is not None or auto in ("SAME_UPPER", "SAME_LOWER"):
            out = wanted[axis] if wanted is not None else size * stride
            total = max(0, full - out)
            begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
            out = out if wanted is not None else full - total
        else:
            begin = steps.begin[axis]
            out = full - begin - steps.end[axis]
        if out < 1:
            raise node.invalid(f"its output would have {out} elements along axis {axis + 2}")
        begins.append(begin)
        sizes.append(out)
    return tuple(begins), tuple(sizes)


def _same_pads(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    lower: bool,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding for ceil(size / stride) outputs; the odd one goes to the end, or to the begin."""
    begin, end = [], []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        out = -(-size // stride)
        total = max(0, (out - 1) * stride + (k - 1) * dilation + 1 - size)
        small, large = total // 2, total - total // 2
        begin.append(large if lower else small)
        end.append(small if lower else large)
    return tuple(begin), tuple(end)


def steps_text(variable: str, step: int, offset: int = 0) -> str:
    """The C expression ``variable * step + offset`` without its idle parts."""
    text = variable if step == 1 else f"{variable} * {step}"
    if offset:
        text += f" + {offset}" if offset > 0 else f" - {-offset}"
    return text


def offset_text(offset: int) -> str:
    """What adds a constant to a C expression, nothing for 0."""
    return f" + {offset}" if offset > 0 else f" - {-offset}" if offset else ""


def window_text(out: str, tap: str, geometry: Geometry, axis: int) -> str:
    """The input index under a window's tap, for comments: oy * 2 + ky - 1."""
    begin = steps_text(out, geometry.stride[axis])
    if geometry.kernel[axis] == 1:
        return begin + offset_text(-geometry.pad_begin[axis])
    taps = steps_text(tap, geometry.dilation[axis])
    return f"{begin} + {taps}" + offset_text(-geometry.pad_begin[axis])


def image_window(
    geometry: Geometry, x: Tensor, y: Tensor, fill: int | float, *, counts_rows: bool = False
) -> Window:
    """How a kernel walks over images from x to y, both channels last."""
    h, w = spatial_size(x.shape, True)
    oh, ow = spatial_size(y.shape, True)
    return Window(
        images=x.shape[0],
        out_rows=oh,
        in_rows=h,
        kernel=geometry.kernel[0],
        stride=geometry.stride[0],
        dilation=geometry.dilation[0],
        pad=geometry.pad_begin[0],
        in_row_elements=w * x.shape[-1],
        out_row_elements=ow * y.shape[-1],
        fill=fill,
        counts_rows=counts_rows,
    )


def image_context(geometry: Geometry, x: Tensor, y: Tensor) -> dict[str, Any]:
    """What templates of windowed kernels need of sizes, and of the columns of a window."""
    h, w = spatial_size(x.shape, True)
    oh, ow = spatial_size(y.shape, True)
    c, kernel = x.shape[-1], geometry.kernel[1]
    stride, dilation, pad = geometry.stride[1], geometry.dilation[1], geometry.pad_begin[1]
    padded = pad > 0 or (ow - 1) * stride + (kernel - 1) * dilation - pad >= w
    return {
        "h": h, "w": w, "c": c, "oh": oh, "ow": ow, "oc": y.shape[-1],
        "kh": geometry.kernel[0], "kw": kernel, "dx": dilation,
        "iy": window_text("oy", "ky", geometry, 0),
        "ix": window_text("ox", "kx", geometry, 1),
        "left": steps_text("ox", stride, -pad),
        "padded_columns": padded,
        "dense": dilation == 1,
        "kx_first": "first" if padded else 0,
        "kx_last": "last" if padded else kernel,
        "kx_step": steps_text("kx", dilation),
        "kx_column": steps_text("kx", dilation * c),
        "kx_weight": steps_text("kx", c),
        "row_weights": kernel * c,
    }  # fmt: skip
