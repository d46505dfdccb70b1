"""Rewrites of the graph, one a file; the order is one short list."""

from nn2wasm.passes.base import Pass, PassLog, PassOptions, run_passes
from nn2wasm.passes.channels_last import channels_last
from nn2wasm.passes.drop_dead import drop_dead
from nn2wasm.passes.feed_rows import feed_rows
from nn2wasm.passes.fold_affine import fold_affine
from nn2wasm.passes.fold_constants import fold_constants
from nn2wasm.passes.fuse_activation import fuse_activation
from nn2wasm.passes.fuse_distance import fuse_distance
from nn2wasm.passes.fuse_pad import fuse_pad
from nn2wasm.passes.gather_codes import gather_codes
from nn2wasm.passes.merge_views import merge_views
from nn2wasm.passes.move_quantizers import move_quantizers
from nn2wasm.passes.quantize_ops import quantize_ops
from nn2wasm.passes.remove_constant_channels import remove_constant_channels
from nn2wasm.passes.rescale import rescale
from nn2wasm.passes.sign_bytes import sign_bytes
from nn2wasm.passes.strip_io import strip_io
from nn2wasm.passes.tabulate import tabulate
from nn2wasm.passes.tie_states import tie_states

PIPELINE: tuple[Pass, ...] = (
    drop_dead,
    fold_affine,  # before fuse_activation: a clamp between closes the way
    fuse_activation,
    move_quantizers,
    sign_bytes,  # from here on bytes are s8
    tabulate,  # before quantize_ops, which would take x · f(x) apart
    quantize_ops,
    rescale,  # what neither a table nor an operation took
    drop_dead,  # dequantizers that nobody reads any more would count as readers
    strip_io,
    fold_constants,  # weights that stayed floats
    gather_codes,  # of tables that were folded, too
    fuse_distance,
    fuse_pad,  # its value is a zero point by now
    channels_last,
    fuse_pad,  # and where the model itself transposed between
    merge_views,
    drop_dead,
    feed_rows,
    remove_constant_channels,  # it speaks of channels as they lie in memory
    tie_states,  # last: nobody else need know of what stays between runs
)

__all__ = ["PIPELINE", "Pass", "PassLog", "PassOptions", "run_passes"]
