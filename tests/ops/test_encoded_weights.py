"""Float networks whose weights are kept as integers or halves: the same bits as with floats."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import pytest
from bench import MICROSOFT, Bench
from cases import answers_of, in_onnxruntime, run
from onnx import helper
from outcome import once

from nn2wasm.api import Compiled, Options, plan_model
from nn2wasm.codegen.kernels import KernelSet
from nn2wasm.codegen.runs import runs_of
from nn2wasm.errors import InvalidModel, UnsupportedFeature
from nn2wasm.plan import Segment, lay_out
from nn2wasm.plan.parts import LEAST_OUTPUTS, PartMaker
from nn2wasm.target import find_target

TARGETS = ("wasm", "wasm-simd128", "wasm-simd128 size", "wasm-relaxed", "c", "cortex-m4")
S8, U8, S4, U4, F16 = np.int8, np.uint8, ml_dtypes.int4, ml_dtypes.uint4, np.float16
RANGES = {S8: (-128, 128), U8: (0, 256), S4: (-8, 8), U4: (0, 16)}


class Networks(Bench):
    """The same networks, their weights as integers or as the floats that these stand for."""

    def __init__(self, *, encoded: bool) -> None:
        super().__init__()
        self._encoded = encoded
        self._random = np.random.default_rng(3)

    def weights(self, name: str, shape: tuple[int, ...], dtype: type, axis: int | None,
                block: int = 0, zeros: bool = False) -> str:  # fmt: skip
        """A constant; a scale for all, for each index of an axis, or for each block along it."""
        if dtype in (F16, ml_dtypes.bfloat16):
            halves = self._random.standard_normal(shape).astype(dtype)
            if not self._encoded:
                return self.constant(name, halves.astype(np.float32))
            return self.node("Cast", [self.constant(f"{name}_q", halves)], name, to=1)
        low, high = RANGES[dtype]
        q = self._random.integers(low, high, shape)
        of_scale: tuple[int, ...] = () if axis is None else (shape[axis],)
        if block:
            assert axis is not None
            of_scale = tuple(-(-n // block) if i == axis else n for i, n in enumerate(shape))
        scale = self._random.uniform(0.001, 0.02, of_scale).astype(np.float32)
        zero = self._random.integers(low, high, of_scale) if zeros else np.zeros(of_scale, int)
        if self._encoded:
            kept = [q.astype(dtype), scale, zero.astype(dtype)]
            parts = ("q", "scale", "zero")
            names = [self.constant(f"{name}_{p}", a) for p, a in zip(parts, kept, strict=True)]
            more = {} if axis is None else {"axis": axis}
            more |= {"block_size": block} if block else {}
            return self.node("DequantizeLinear", names, name, **more)
        if block:
            scale, zero = (np.repeat(a, block, axis) for a in (scale, zero))
            scale, zero = (np.take(a, range(shape[axis]), axis) for a in (scale, zero))
        elif axis is not None:
            aligned = [-1 if i == axis else 1 for i in range(len(shape))]
            scale, zero = scale.reshape(aligned), zero.reshape(aligned)
        return self.constant(name, (q - zero).astype(np.float32) * scale)

    def layer(self, name: str, op: str, x: tuple[int, ...], w: tuple[int, ...], dtype: type,
              axis: int | None, *, block: int = 0, zeros: bool = False, bias: int = 0,
              **more: object) -> None:  # fmt: skip
        values = self._random.standard_normal(x).astype(np.float32)
        operands = [self.input(f"{name}_x", values)]
        operands.append(self.weights(f"{name}_w", w, dtype, axis, block, zeros))
        if bias:
            operands.append(self.weights(f"{name}_b", (bias,), dtype, None))
        self.done(name, self.node(op, operands, name, **more))

    def rows(self, name: str, w: tuple[int, int], dtype: type, axis: int | None, *, block: int = 0,
             zeros: bool = False) -> None:  # fmt: skip
        """Some rows of a table."""
        indices = self._random.integers(-w[0], w[0], (2, 5))
        table = self.weights(f"{name}_w", w, dtype, axis, block, zeros)
        operands = [table, self.input(f"{name}_x", indices)]
        self.done(name, self.node("Gather", operands, name))


def networks(bench: Networks) -> None:
    """Types, places of scales, one pixel and many, sizes that no vector divides."""
    line, w = (1, 96), (50, 96)
    for dtype, mark in ((S8, "s8"), (U8, "u8"), (S4, "s4"), (U4, "u4")):
        bench.layer(f"one_{mark}", "Gemm", line, w, dtype, None, transB=1)
        bench.layer(f"outputs_{mark}", "Gemm", line, w, dtype, 0, transB=1, zeros=dtype is not S8)
        bench.layer(f"blocks_{mark}", "Gemm", line, w, dtype, 1, block=32, transB=1)
        bench.layer(f"zeros_{mark}", "Gemm", line, w, dtype, 1, block=16, zeros=True, transB=1)
        bench.layer(f"columns_{mark}", "MatMul", (3, 7, 64), (64, 41), dtype, 1)
        bench.layer(f"inputs_{mark}", "MatMul", (5, 64), (64, 41), dtype, 0, zeros=True)
        bench.layer(f"blocks_of_columns_{mark}", "MatMul", (9, 64), (64, 48), dtype, 0, block=16)
        bench.layer(f"pointwise_{mark}", "Conv", (1, 24, 5, 4), (40, 24, 1, 1), dtype, 0)
        bench.layer(f"windows_{mark}", "Conv", (1, 6, 9, 7), (34, 6, 3, 3), dtype, 0,
                    zeros=True, pads=[1] * 4)  # fmt: skip
        bench.layer(f"depthwise_{mark}", "Conv", (1, 33, 6, 5), (33, 1, 3, 3), dtype, 0,
                    group=33)  # fmt: skip
        bench.rows(f"table_{mark}", (60, 24), dtype, None)
        bench.rows(f"table_rows_{mark}", (60, 24), dtype, 0, zeros=dtype is not S8)
        bench.rows(f"table_blocks_{mark}", (60, 48), dtype, 1, block=16, zeros=True)
        bench.rows(f"table_columns_{mark}", (60, 24), dtype, 1, zeros=dtype is not U8)
    bench.layer("groups", "Conv", (1, 8, 6, 5), (32, 4, 3, 3), S8, 0, group=2)
    bench.layer("transposed", "ConvTranspose", (1, 20, 4, 3), (20, 24, 3, 3), S8, None)
    bench.layer("batched", "MatMul", (2, 3, 40), (2, 40, 24), S8, None)
    bench.layer("odd_blocks", "Gemm", (2, 71), (40, 71), S8, 1, block=32, transB=1)
    bench.layer("odd", "Gemm", (2, 71), (40, 71), S4, 0, transB=1)
    for dtype, mark in ((F16, "f16"), (ml_dtypes.bfloat16, "bf16")):
        bench.layer(f"line_{mark}", "Gemm", line, w, dtype, None, transB=1)
        bench.layer(f"windows_{mark}", "Conv", (1, 6, 9, 7), (34, 6, 3, 3), dtype, None)
        bench.layer(f"bias_{mark}", "Conv", (1, 24, 4, 3), (160, 24, 1, 1), dtype, None, bias=160)
        bench.rows(f"table_{mark}", (60, 24), dtype, None)


@once
def bench(encoded: bool) -> Bench:
    made = Networks(encoded=encoded)
    networks(made)
    return made


@once
def planned(target: str, encoded: bool, weights: str = "resident") -> Compiled:
    name, _, optimize = target.partition(" ")
    options = Options(name="n", optimize=optimize or None, weights=weights)  # type: ignore[arg-type]
    return plan_model(bench(encoded).model(), find_target(name), options)


def answers(compiled: Compiled) -> dict[str, np.ndarray]:
    return answers_of(compiled, bench(True).feeds)


@once
def of_floats(target: str) -> dict[str, np.ndarray]:
    return answers(planned(target, False))


def assert_same(results: dict[str, np.ndarray], target: str) -> None:
    for name, value in of_floats(target).items():
        np.testing.assert_array_equal(
            results[name].view(np.uint32), value.view(np.uint32), err_msg=name
        )


def encoded_layers(compiled: Compiled) -> set[str]:
    """Outputs of layers with constants that are decoded."""
    return {c.node.output.name for c in compiled.plan.calls if any(k.encoded for k in c.kernels)}


@pytest.mark.parametrize("target", TARGETS)
def test_results_are_those_of_floats(target):
    assert_same(answers(planned(target, True)), target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("by_rows", [False, True])
def test_so_they_are_in_the_smallest_parts(target, by_rows):
    made = planned(target, True)
    plan, maker = made.plan, PartMaker(made.plan.target, LEAST_OUTPUTS)
    calls = [maker.fit(call, 0, by_rows=by_rows) for call in plan.calls]
    assert sum(call.parts is not None for call in calls) > 20
    kernels = KernelSet(calls)
    assert all(len(list(runs_of(call, kernels))) == 1 for call in calls)  # a function each
    segments = [Segment((call,)) for call in calls]
    assert_same(answers(replace(made, plan=lay_out(plan.graph, plan.target, segments))), target)


@pytest.mark.parametrize("target", TARGETS)
def test_they_are_kept_small(target):
    floats, encoded = planned(target, False), planned(target, True)
    assert not encoded_layers(floats)
    assert len(encoded_layers(encoded)) >= 45
    assert encoded.plan.weight_bytes < 0.32 * floats.plan.weight_bytes


def test_weights_elsewhere_stay_floats():
    made = planned("wasm", True, "host")
    assert not encoded_layers(made)
    assert made.plan.weight_bytes > 2 * planned("wasm", True).plan.weight_bytes


@pytest.mark.parametrize(("q", "share"), [(U8, 0.27), (S8, 0.27), (U4, 0.16), (S4, 0.16)])
def test_a_kept_matrix_takes_the_bytes_of_its_codes(q, share):
    sizes = []
    for encoded in (False, True):
        one = Networks(encoded=encoded)
        one.layer("y", "Gemm", (1, 256), (128, 256), q, 1, block=32 if q in (U4, S4) else 128,
                  transB=1)  # fmt: skip
        sizes.append(plan_model(one.model(), find_target("wasm"), Options()).plan.weight_bytes)
    assert sizes[1] < share * sizes[0] + 4 * 128  # biases


# -- MatMulNBits -----------------------------------------------------------------------------------


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """Integers along the last axis to bytes, the lowest first."""
    per_byte = 8 // bits
    padded = np.zeros((*codes.shape[:-1], -(-codes.shape[-1] // per_byte) * per_byte), np.uint8)
    padded[..., : codes.shape[-1]] = codes
    parts = padded.reshape(*codes.shape[:-1], -1, per_byte)
    return np.bitwise_or.reduce(parts << (np.arange(per_byte, dtype=np.uint8) * bits), axis=-1)


def of_few_bits(bits: int, k: int, n: int, block: int, *, zeros: str = "", order: str = ""):
    """A model of one MatMulNBits, and the matrix that it means, [n, k]."""
    random = np.random.default_rng(bits * 100 + k)
    count = -(-k // block)
    codes = random.integers(0, 2**bits, (n, count * block), dtype=np.uint8)
    scale = random.uniform(0.01, 0.1, (n, count)).astype(np.float32)
    zero = np.full((n, count), 2 ** (bits - 1), np.float32)
    inputs, constants = ["x", "w", "scale"], {}
    constants["w"] = pack(codes.reshape(n, count, block), bits)
    constants["scale"] = scale.reshape(-1)
    if zeros:
        given = random.integers(0, 2**bits, (n, count), dtype=np.uint8)
        zero = given.astype(np.float32)
        constants["zero"] = pack(given, bits).reshape(-1) if zeros == "packed" else zero.reshape(-1)
    inputs.append("zero" if zeros else "")
    if order:
        constants["order"] = np.arange(k) // block if order == "plain" else np.arange(k) % count
        constants["order"] = constants["order"].astype(np.int32)
    inputs.append("order" if order else "")
    constants["b"] = random.standard_normal(n).astype(np.float32)
    inputs.append("b")
    node = helper.make_node("MatMulNBits", inputs, ["y"], domain=MICROSOFT, name="product",
                            K=k, N=n, bits=bits, block_size=block)  # fmt: skip
    blocks = np.arange(count * block) // block
    w = (codes.astype(np.float32) - zero[:, blocks]) * scale[:, blocks]
    return node, constants, w[:, :k]


def model_of(node: onnx.NodeProto, constants: dict[str, np.ndarray], k: int) -> onnx.ModelProto:
    bench = Bench()
    for name, value in constants.items():
        bench.constant(name, value)
    bench.input("x", np.random.default_rng(1).standard_normal((3, k)).astype(np.float32))
    bench.nodes.append(node)
    bench.done("y", "y")
    return bench.model()


@pytest.mark.parametrize(
    ("bits", "k", "n", "block", "more"),
    [
        (4, 64, 40, 32, {}),
        (4, 96, 33, 16, {"zeros": "packed"}),
        (4, 80, 20, 32, {"zeros": "packed"}),
        (4, 64, 24, 32, {"zeros": "floats"}),
        (4, 64, 24, 32, {"order": "plain"}),
        (8, 64, 24, 32, {"zeros": "packed"}),
        (2, 128, 24, 64, {}),
    ],
)
def test_products_with_matrices_of_few_bits(bits, k, n, block, more):
    node, constants, w = of_few_bits(bits, k, n, block, **more)
    model = model_of(node, constants, k)
    feeds = {"x": np.random.default_rng(1).standard_normal((3, k)).astype(np.float32)}
    plain = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="product", transB=1)
    floats = model_of(plain, {"w": w, "b": constants["b"]}, k)
    result, of_matrix = (run(each, feeds)["y"] for each in (model, floats))
    np.testing.assert_array_equal(result, of_matrix)
    (expected,) = in_onnxruntime(model, feeds)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"bits": 3}, UnsupportedFeature, "integers of 3 bits"),
        ({"block_size": 24}, InvalidModel, "blocks of 24"),
        ({"K": 60}, InvalidModel, "K = 60"),
        ({"N": 41}, InvalidModel, "its matrix has not 41 rows"),
    ],
)
def test_what_matrices_of_few_bits_cannot_be(change, error, says):
    node, constants, _ = of_few_bits(4, 64, 40, 32)
    for attribute in node.attribute:
        attribute.i = change.get(attribute.name, attribute.i)
    with pytest.raises(error, match=says):
        plan_model(model_of(node, constants, 64), find_target("wasm"), Options())


def test_a_matrix_in_another_order_is_refused():
    node, constants, _ = of_few_bits(4, 64, 40, 32, order="shuffled")
    with pytest.raises(UnsupportedFeature, match="g_idx"):
        plan_model(model_of(node, constants, 64), find_target("wasm"), Options())
