"""Networks on emulated cores: the bytes that the host computes."""

from __future__ import annotations

import pytest
from emulated_boards import ALL, board_of
from target_models import DIGITS, SHARED, TargetModel

INTEGERS = TargetModel(DIGITS / "digits_int8.onnx", True)
FLOATS = TargetModel(DIGITS / "digits_f32.onnx", False)
BOARDS = [pytest.param(board, id=board.core) for board in ALL]

# Depthwise, residual and pooled networks, one whose scales are each tensor's, and activations of
# 16 bits.
OTHERS = {
    "kws_dscnn_int8_tflite": ("cortex-m0", "cortex-m33", "cortex-m55", "rv32imc"),
    "ic_resnet8_ptq_qop_u8": ("cortex-m4",),
    "mbv3_block_64_ptq_qdq_s8": ("cortex-m3", "cortex-m55", "rv32imc"),
    "ad_autoencoder_int8_tflite": ("cortex-m7",),
    "digits_cnn_ptq_qdq_a16w8_ms": ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"),
    "digits_cnn_ptq_qdq_a16w16_op21": ("cortex-m3", "cortex-m33"),
}
STACK_BYTES = 1024


def same_bytes(runs, expected):
    for run, want in zip(runs, expected, strict=True):
        assert list(run.outputs) == list(want)
        for name, array in want.items():
            assert run.outputs[name].tobytes() == array.tobytes(), f"output {name!r}"


@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize("board", BOARDS)
def test_integers(board, optimize, run_on, reference):
    runs = run_on(board, INTEGERS, optimize)
    same_bytes(runs, reference(INTEGERS))
    assert 0 < runs[0].stack_bytes < STACK_BYTES


@pytest.mark.parametrize("board", BOARDS)
def test_floats(board, run_on, reference):
    """In software where there is no FPU: the same bits."""
    same_bytes(run_on(board, FLOATS), reference(FLOATS))


@pytest.mark.parametrize(
    ("name", "core"), [(name, core) for name, cores in OTHERS.items() for core in cores]
)
def test_networks(name, core, run_on, reference):
    model = TargetModel(SHARED / f"{name}.onnx", True)
    if not model.path.is_file():
        pytest.skip(f"{model.path.name} is not in {SHARED}")
    same_bytes(run_on(board_of(core), model), reference(model))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_integers_by_gcc(core, run_on, reference):
    runs = run_on(board_of(core), INTEGERS, compiler="gcc")
    same_bytes(runs, reference(INTEGERS))


def test_layers_add_up(run_on):
    """The calls in between cost a few instructions each."""
    run = run_on(board_of("rv32imc"), INTEGERS, layers=True)[0]
    assert len(run.layers) == 7
    assert sum(run.layers) <= run.instructions <= sum(run.layers) + 100
