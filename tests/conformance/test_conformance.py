"""The onnx package's own cases: those that pass go on passing, none is wrong."""

from __future__ import annotations

import onnx
import pytest
from judge import PASSED, WRONG, judge
from onnx_cases import all_cases
from ratchet import PAGE, page, read_verdicts

VERSION, LISTED = read_verdicts()


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: listed.name)
def test_case(listed):
    case = all_cases().get(listed.name)
    if case is None:
        pytest.skip(f"the installed onnx {onnx.__version__} has no such case")
    verdict = judge(case)
    assert verdict.outcome != WRONG, verdict.reason
    if onnx.__version__ == VERSION:
        assert verdict.outcome == listed.outcome, (
            f"{verdict.reason}; `make conformance` writes the list anew"
            if verdict.outcome == PASSED
            else verdict.reason
        )


def test_every_case_is_listed():
    if onnx.__version__ != VERSION:
        pytest.skip(f"the list is of onnx {VERSION}, installed is {onnx.__version__}")
    assert sorted(all_cases()) == [listed.name for listed in LISTED]


def test_none_is_listed_as_wrong():
    assert not [listed.name for listed in LISTED if listed.outcome == WRONG]


def test_the_page_is_of_this_list():
    assert PAGE.read_text(encoding="utf-8") == page(VERSION, LISTED), "run make conformance"
