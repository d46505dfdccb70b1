from __future__ import annotations

import numpy as np
import pytest

from nn2wasm.tools.difference import RELATIVE, STEPS, Meter, Tolerance


def measure(ours, theirs, unit=RELATIVE, step=1.0, **limits):
    meter = Meter(unit=unit, step=step)
    meter.add(np.asarray(ours), np.asarray(theirs))
    return meter.result(Tolerance(**limits))


def test_floats_are_measured_against_the_range():
    found = measure([1.0, 4.0], [1.0, 8.0], relative=0.5)
    assert (found.maximum, found.mean, found.differing, found.passed) == (0.5, 0.25, 1, True)
    assert not measure([1.0, 4.0], [1.0, 8.0], relative=0.4).passed


def test_integers_are_measured_in_steps():
    found = measure(np.int8([-128, 5]), np.int8([127, 5]), STEPS, steps=1)
    assert (found.maximum, found.differing, found.elements, found.passed) == (255, 1, 2, False)


def test_floats_that_stand_for_integers_have_steps_too():
    scale = np.float32(0.0123)
    found = measure(np.float32([100, 3]) * scale, np.float32([101, 3]) * scale, STEPS, float(scale))
    assert found.maximum == 1
    assert found.passed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_never_pass(bad):
    assert measure([bad, 1.0], [1.0, 1.0], relative=np.float64(1e300)).maximum == np.inf
    assert not measure([bad], [1.0]).passed
    assert not measure([1.0], [bad]).passed
    assert measure([bad, 1.0], [bad, 1.0]).passed


def test_agreement_counts_samples_and_forgives_ties():
    meter = Meter(unit=STEPS)
    for ours, theirs in (([1, 2], [1, 2]), ([2, 1], [1, 2]), ([2, 1], [2, 2])):
        meter.add(np.int8([ours]), np.int8([theirs]))
    result = meter.result(Tolerance())
    assert (result.top1, result.samples) == (2, 3)
    assert measure(np.zeros((2, 3)), np.zeros((2, 3))).top1 is None


def test_nothing_differs_in_zeros_and_in_nothing():
    assert measure(np.zeros(3), np.zeros(3)).passed
    assert measure(np.zeros((0, 3)), np.zeros((0, 3))).passed
