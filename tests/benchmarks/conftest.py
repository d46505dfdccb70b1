"""Puts the benchmarks' folders on the import path; none of these tests times anything."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path += [str(BENCHMARKS), str(BENCHMARKS / "mcu")]
