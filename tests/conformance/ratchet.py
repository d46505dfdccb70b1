"""The list of all cases and what became of them, in verdicts.tsv, and the page made from it.

    python tests/conformance/ratchet.py                 judges all cases and writes both
    python tests/conformance/ratchet.py gather topk     judges only those with such names again

The test suite fails where a case that is listed as passed does not pass, and where another passes.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import onnx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

VERDICTS = HERE / "verdicts.tsv"
PAGE = ROOT / "docs" / "operators.md"
COMMON = {"float", "int64", "int32", "int8", "uint8", "bool"}


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list.

    Attributes:
        name: of the case.
        operator: that it is about, empty for networks and bodies of functions.
        opset: version of its domain.
        types: element types of inputs and outputs.
        outcome: "passed", "refused" or "beyond" (`judge.py`).
        reason: why it is refused; inputs that had to be fixed.
    """

    name: str
    operator: str
    opset: int
    types: tuple[str, ...]
    outcome: str
    reason: str

    def line(self) -> str:
        fields = (self.name, self.operator, self.opset, ",".join(self.types))
        return "\t".join(map(str, (*fields, self.outcome, self.reason))).rstrip("\t")


def read_verdicts() -> tuple[str, list[Listed]]:
    """The version of the onnx package that the list is of, and its lines."""
    version, *lines = VERDICTS.read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        name, operator, opset, types, outcome, reason, *_ = [*line.split("\t"), "", ""]
        found.append(Listed(name, operator, int(opset), tuple(types.split(",")), outcome, reason))
    return version.removeprefix("onnx "), found


def judge_cases(parts: Sequence[str]) -> list[Listed]:
    """Every case of the installed package, as many at a time as there are processors.

    Args:
        parts: of names; where there are any, only such cases are judged anew.
    """
    from onnx_cases import all_cases

    names = sorted(all_cases())
    known = {each.name: each for each in read_verdicts()[1]} if parts else {}
    chosen = [n for n in names if n not in known or any(part in n for part in parts)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        known |= {each.name: each for each in pool.map(_judged, chosen, chunksize=8)}
    return [known[name] for name in names]


def _judged(name: str) -> Listed:
    from judge import judge, operator_of, opset_of, types_of
    from onnx_cases import all_cases

    case = all_cases()[name]
    verdict, model = judge(case), case.model
    types = tuple(types_of(model))
    return Listed(name, operator_of(model), opset_of(model), types, verdict.outcome, verdict.reason)


def summary(listed: Sequence[Listed]) -> str:
    """How many of how many passed, of all and of those of the common element types."""
    common = [each for each in listed if set(each.types) <= COMMON]
    passed = sum(each.outcome == "passed" for each in listed)
    of_common = sum(each.outcome == "passed" for each in common)
    return (
        f"{passed:,} of the {len(listed):,} cases pass, "
        f"of those with float32, integers of 8, 32 and 64 bits and booleans alone {of_common:,} of "
        f"{len(common):,}."
    )


def page(version: str, listed: Sequence[Listed]) -> str:
    """docs/operators.md."""
    from nn2wasm.cli.table import markdown
    from nn2wasm.tools.operators import list_operators

    about: dict[str, list[Listed]] = {}
    for each in listed:
        about.setdefault(each.operator, []).append(each)
    rows = []
    for operator in list_operators():
        name = f"{operator.domain}.{operator.name}" if operator.domain else operator.name
        cases = about.pop(name, [])
        rows.append(
            (
                operator.name,
                operator.domain or "ai.onnx",
                operator.op,
                ", ".join(operator.dtypes) or "–",
                _versions(cases),
                _passed(cases),
                _reasons(cases),
            )
        )
    whole = about.pop("", [])
    missing = [(name, _passed(cases)) for name, cases in sorted(about.items())]
    parts = [
        INTRODUCTION.format(
            summary=summary(listed),
            version=version,
            but=_beyond(sum(each.outcome == "beyond" for each in listed)),
        ),
        markdown(HEADINGS, rows),
        "## Networks, and operators written as functions of others",
        f"{_passed(whole)} pass. Refused are:",
        markdown(("cases", "reason"), _counted(whole)),
        "## Not compiled",
        "Operators of the package's cases that are refused by name, all that a model has at once.",
        markdown(("Operator", "Cases"), missing),
    ]
    return "\n\n".join(parts) + "\n"


HEADINGS = (
    "Operator", "Domain", "Compiled as", "Kernels for", "Opsets of cases", "Passed", "Refused",
)  # fmt: skip
INTRODUCTION = """\
# Operators

Written by `make conformance`; do not edit. *Kernels for* are the element types that the
operation's own kernels compute on; quantized (QDQ) models also compute others on int8, by a table
of their 256 results or by arithmetic on integers. Operators without kernels vanish: they are
evaluated while compiling, or become other operations.

The last columns are of the cases of the onnx package (version {version}): each is compiled for the
target `wasm` and run in wasmtime; inputs that decide shapes are fixed (`--fix`).
{summary}
None is wrong: what does not pass is refused with a reason{but}."""


def _beyond(count: int) -> str:
    """What the page says of cases beyond float32, nothing where there are none."""
    if not count:
        return ""
    return (
        f",\nbut for {count} that feed float64 which float32, in which it is computed, cannot hold"
    )


def _versions(cases: Iterable[Listed]) -> str:
    versions = sorted({each.opset for each in cases})
    if not versions:
        return "–"
    return f"{versions[0]}–{versions[-1]}" if len(versions) > 1 else str(versions[0])


def _passed(cases: Sequence[Listed]) -> str:
    if not cases:
        return "–"
    return f"{sum(each.outcome == 'passed' for each in cases)} of {len(cases)}"


def _reasons(cases: Iterable[Listed]) -> str:
    return "; ".join(f"{reason} ({count})" for count, reason in _counted(cases))


def _counted(cases: Iterable[Listed]) -> list[tuple[str, str]]:
    reasons = Counter(_plain(each) for each in cases if each.outcome != "passed")
    return [(str(count), reason) for reason, count in sorted(reasons.items())]


def _plain(each: Listed) -> str:
    """The reason without the class of the error and the name of the node."""
    error, _, text = each.reason.partition(": ")
    if error == "UnsupportedOp":
        return f"operators {text}"
    _, separator, rest = text.partition("': ")
    text = re.sub(r"(?:in|out)put '[^']*' (?:has|is)", "it has", rest if separator else text)
    return text.replace("|", "\\|")


def main() -> int:
    listed = judge_cases(sys.argv[1:])
    lines = [f"onnx {onnx.__version__}", *(each.line() for each in listed)]
    VERDICTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    PAGE.write_text(page(onnx.__version__, listed), encoding="utf-8")
    wrong = [each for each in listed if each.outcome not in ("passed", "refused", "beyond")]
    said = [summary(listed), *(f"WRONG {each.name}: {each.reason}" for each in wrong)]
    sys.stdout.write("\n".join(said) + "\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
