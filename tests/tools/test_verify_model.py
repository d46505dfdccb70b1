from __future__ import annotations

import numpy as np
import pytest

from nn2wasm.api import Options, compile_model
from nn2wasm.errors import RunError, TargetError, UnsupportedOp, VerificationFailed
from nn2wasm.tools.difference import Tolerance
from nn2wasm.tools.verify import require_passed, verify_model


def test_a_quantized_model_is_exact(digits):
    report = verify_model(digits, count=4)
    assert report.passed
    assert report.sample_count == 4
    (output,) = report.outputs
    assert output.difference.unit == "steps"  # its float output is a multiple of one scale
    assert output.difference.maximum == 0
    assert output.difference.top1 == 4
    require_passed(report)


def test_a_float_model_is_close(digits_f32):
    report = verify_model(digits_f32, engine="onnx", target="host")
    assert report.passed
    assert report.outputs[0].difference.unit == "of range"
    assert 0 < report.outputs[0].difference.maximum < 1e-5
    strict = verify_model(digits_f32, tolerance=Tolerance(relative=0), count=1)
    assert not strict.passed
    with pytest.raises(VerificationFailed, match="more than the tolerance"):
        require_passed(strict)


@pytest.mark.parametrize("name", ["digits", "kws_dscnn_ptq_qdq_u8"])
def test_integers_at_the_border_mean_what_the_floats_did(digits, shared, name):
    path = digits if name == "digits" else shared(name)
    report = verify_model(path, count=3, options=Options(io_integers=True))
    assert report.outputs[0].dtype == "s8"
    assert report.passed


def test_a_module_is_compared_as_it_is(digits, tmp_path):
    module = compile_model(digits, tmp_path / "m.wasm", options=Options(io_integers=True)).path
    report = verify_model(digits, module, count=2)
    assert report.passed
    assert report.notes == ()
    assert report.module == str(module)


def test_a_module_with_sizes_that_the_model_leaves_open(digits_f32, tmp_path):
    options = Options(shapes={"image": (3, 1, 8, 8)})
    module = compile_model(digits_f32, tmp_path / "m.wasm", options=options).path
    report = verify_model(digits_f32, module, count=2)
    assert report.outputs[0].shape == (3, 10)
    assert report.passed


def test_a_module_of_another_model_is_noticed(chain, digits, tmp_path):
    other = compile_model(chain(scale=2.0), tmp_path / "m.wasm").path
    report = verify_model(chain(), other)
    assert not report.passed
    assert "SHA-256" in report.notes[0]
    with pytest.raises(RunError, match="not made from this ONNX model"):
        verify_model(digits, other)


def test_samples_may_be_arrays(chain):
    report = verify_model(chain(), samples={"x": np.eye(4, dtype=np.float32)})
    assert (report.sample_count, report.samples, report.passed) == (4, "given", True)
    with pytest.raises(RunError, match="without samples"):
        verify_model(chain(), count=0)


def test_errors_of_the_model_and_the_target_come_first(shared, chain):
    with pytest.raises(TargetError, match="nothing to run"):
        verify_model(chain(), target="c")
    model = chain()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(UnsupportedOp):
        verify_model(model)
