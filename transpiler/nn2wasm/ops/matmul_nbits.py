"""Product with a matrix of few bits an element: com.microsoft MatMulNBits-1.

    y[…, n] = bias[n] + sum_k x[…, k] · (q[n, k] − zero[n, k / block]) · scale[n, k / block]

The matrix is made floats at compile time, which remember how they may be kept (`ir.encoding`).
"""

from __future__ import annotations

import numpy as np

from nn2wasm.ir import Array, blocks_of
from nn2wasm.ops.gemm import linear_product
from nn2wasm.ops.linear import bias_of
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp

BITS = (2, 4, 8)


class MatMulNBits(ImportOp):
    """Inputs x [.., k], bytes [n, blocks, …], scales [n · blocks], optional zero points, g_idx,
    bias [n].
    """

    onnx_types = ("com.microsoft.MatMulNBits",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        n, k, size = (node.attr_int(name, 0) for name in ("N", "K", "block_size"))
        bits = node.attr_int("bits", 4)
        if bits not in BITS:
            raise node.unsupported(f"integers of {bits} bits; {BITS} are compiled")
        if min(n, k) < 1 or size < 16 or size & (size - 1) or not x.shape or x.shape[-1] != k:
            raise node.invalid(f"N = {n}, K = {k}, blocks of {size}")
        _check_order(node, k, size)
        count = -(-k // size)
        packed = node.constant(1, "matrix")
        if packed.dtype != np.uint8 or packed.size != n * count * size * bits // 8:
            raise node.invalid(f"its matrix has not {n} rows of {count} blocks of bytes")
        codes = unpacked(packed.reshape(n, -1), bits)[:, :k]
        scale = np.asarray(node.constant(2, "scales"), np.float32)
        if scale.size != n * count:
            raise node.invalid(f"{scale.size} scales for {n} rows of {count} blocks")
        zero = _zero_points(node, n, count, bits)
        blocks = np.arange(n * count).reshape(n, count).repeat(size, axis=1)[:, :k]
        centred = codes.astype(np.float32) - zero.reshape(-1)[blocks]
        w = node.value((centred * scale.reshape(-1)[blocks]).astype(np.float32), "matrix")
        if zero.dtype == np.uint8:
            w.encoding = blocks_of(codes, blocks, scale, zero)
        bias = bias_of(node, node.optional(5), n)
        linear_product(node, x, w, bias, trans_w=True)


def unpacked(packed: Array, bits: int) -> Array:
    """Integers of some bits each, the lowest first, along the last axis of bytes."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = packed[..., None] >> shifts & (2**bits - 1)
    return np.asarray(parts.reshape(*packed.shape[:-1], -1), np.uint8)


def _zero_points(node: OnnxNode, n: int, count: int, bits: int) -> Array:
    """[n, count]: u8, or floats as wide as the input."""
    if node.optional(3) is None:
        return np.full((n, count), 2 ** (bits - 1), np.uint8)
    given = node.constant(3, "zero points")
    if given.dtype != np.uint8:
        if given.size != n * count:
            raise node.invalid(f"{given.size} zero points for {n} rows of {count} blocks")
        return np.asarray(given, np.float32).reshape(n, count)
    if given.size != n * -(-count * bits // 8):
        raise node.invalid(f"{given.size} bytes of zero points for {n} rows of {count} blocks")
    return unpacked(given.reshape(n, -1), bits)[:, :count]


def _check_order(node: OnnxNode, k: int, size: int) -> None:
    """Refuses blocks whose elements do not lie behind each other."""
    if node.optional(4) is None:
        return
    order = node.constant(4, "g_idx")
    if order.shape != (k,) or not np.array_equal(order, np.arange(k) // size):
        raise node.unsupported("a g_idx that reorders the elements of blocks")
